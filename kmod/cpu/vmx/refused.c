// SPDX-License-Identifier: GPL-2.0-only
/*
 * refused.c - instead of all the others, for kernels that let only KVM turn VT-x on.
 *
 * They export cr4_update_irqsoff() and x86_virt_get_ref(), which VMXON takes, to KVM's
 * modules alone; docs/decisions.md, 60.
 */
#include <linux/errno.h>
#include <linux/init.h>
#include <linux/printk.h>

#include "compat.h"
#include "cpu/backend.h"

/* SDM 2A, CPUID. */
#define CPUID_1_ECX_VMX		(1u << 5)

static int __init vmx_setup(void)
{
	if (!(cpuid_ecx(1) & CPUID_1_ECX_VMX))
		return -ENODEV;
	pr_err("mayfly: this kernel lets only KVM use VT-x; take Linux 6.12 or older, or a machine with SVM\n");
	return -EOPNOTSUPP;
}

const struct backend_ops vmx_ops = {
	.name = "VT-x",
	.setup = vmx_setup,
};
