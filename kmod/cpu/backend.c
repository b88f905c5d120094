// SPDX-License-Identifier: GPL-2.0-only
/*
 * backend.c - which vendor's CPU is this?
 */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/processor.h>

#include "cpu/backend.h"
#include "cpu/fpu_asm.h"
#include "cpu/state.h"
#include "uapi/mayfly.h"

const struct backend_ops *backend;
DEFINE_STATIC_CALL(backend_run, svm_run);

/* SDM 1 11.6.6: where it is in an FXSAVE image, and what 0 means. */
#define MXCSR_MASK_OFFSET	28
#define MXCSR_MASK_DEFAULT	0xffbf

static u32 __init read_mxcsr_mask(void)
{
	static u8 image[512] __initdata __aligned(16);
	u32 mask;

	kernel_fpu_begin();
	fpu_save_guest(image);
	kernel_fpu_end();
	memcpy(&mask, image + MXCSR_MASK_OFFSET, sizeof(mask));
	return mask ?: MXCSR_MASK_DEFAULT;
}

/**
 * backend_setup - at load: find the vendor and let it set itself up
 *
 * Context: may sleep.
 * Return: 0, -EOPNOTSUPP when there is none or it lacks something (said in the
 * log), -ENOMEM.
 */
int __init backend_setup(void)
{
	static const struct backend_ops *const all[] = { &svm_ops, &vmx_ops };
	int i, ret = -ENODEV;

	for (i = 0; i < ARRAY_SIZE(all) && ret == -ENODEV; i++) {
		backend = all[i];
		ret = backend->setup();
	}
	if (ret == -ENODEV) {
		pr_err("mayfly: the CPU has neither SVM nor VT-x\n");
		return -EOPNOTSUPP;
	}
	state_linear_bits = boot_cpu_data.x86_virt_bits;
	state_mxcsr_bits = read_mxcsr_mask();
	if (!ret)
		static_call_update(backend_run, backend->run);
	return ret;
}

/* What MAYFLY_CPU_SSE42 adds; the kernel's numbers. */
static bool has_level_2(void)
{
	return boot_cpu_has(X86_FEATURE_XMM3) && boot_cpu_has(X86_FEATURE_SSSE3) &&
	       boot_cpu_has(X86_FEATURE_XMM4_1) && boot_cpu_has(X86_FEATURE_XMM4_2) &&
	       boot_cpu_has(X86_FEATURE_POPCNT) && boot_cpu_has(X86_FEATURE_AES) &&
	       boot_cpu_has(X86_FEATURE_PCLMULQDQ);
}

/**
 * backend_cpu_level - what guests may use of this host's CPU
 *
 * Return: the highest MAYFLY_CPU_*.
 */
u32 backend_cpu_level(void)
{
	return has_level_2() ? MAYFLY_CPU_SSE42 : MAYFLY_CPU_SSE2;
}

/**
 * backend_teardown - at unload
 */
void backend_teardown(void)
{
	backend->teardown();
}
