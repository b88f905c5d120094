// SPDX-License-Identifier: GPL-2.0-only
/*
 * l1d.c - L1TF (CVE-2018-3646): a guest that marks an entry of its own page tables
 * not present speculatively reads the memory that the entry points to, past EPT, if
 * it is in the first-level data cache. So the cache is flushed before entries.
 *
 * The kernel decides whether to do so (l1tf=); while kvm_intel is loaded, it does
 * (vmentry_l1d_flush=). KVM's "cond", which skips entries after harmless exits, is
 * "always" here.
 */
#include <linux/cache.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/vmx.h>

#include "compat.h"
#include "cpu/vmx/l1d.h"

/* Twice the cache of any affected CPU: replacement is not quite LRU. */
#define FILLER_ORDER	4
#define FILLER_SIZE	(PAGE_SIZE << FILLER_ORDER)

static bool is_wanted_without_kvm;
static u8 *filler;

static bool is_left_to_outer_hypervisor(void)
{
	u64 capabilities = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrq(MSR_IA32_ARCH_CAPABILITIES, capabilities);
	return capabilities & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
}

/**
 * vmx_l1d_setup - at load: does this CPU need flushes, and by what means?
 *
 * Return: 0 or a negative errno.
 */
int vmx_l1d_setup(void)
{
	unsigned int i;

	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return 0;
	is_wanted_without_kvm = l1tf_mitigation != L1TF_MITIGATION_OFF &&
				!is_left_to_outer_hypervisor();
	/* kvm_intel may come later and want it. */
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	filler = (u8 *)__get_free_pages(GFP_KERNEL, FILLER_ORDER);
	if (!filler)
		return -ENOMEM;
	/* No two pages the same: an outer hypervisor could merge them. */
	for (i = 0; i < 1u << FILLER_ORDER; i++)
		memset(filler + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	return 0;
}

/**
 * vmx_l1d_teardown - at unload
 */
void vmx_l1d_teardown(void)
{
	free_pages((unsigned long)filler, FILLER_ORDER);
	filler = NULL;
}

static bool l1d_flush_is_wanted(void)
{
	switch (READ_ONCE(l1tf_vmx_mitigation)) {
	case VMENTER_L1D_FLUSH_NEVER:
	case VMENTER_L1D_FLUSH_NOT_REQUIRED:
		return false;
	case VMENTER_L1D_FLUSH_AUTO:	/* There is no kvm_intel. */
		return is_wanted_without_kvm;
	default:
		return true;
	}
}

/* For microcode without a flush command: replaces all lines by others. */
static void displace_l1d(void)
{
	unsigned int i;

	/* First load the translations, or their lookup would disturb the filling. */
	for (i = 0; i < FILLER_SIZE; i += PAGE_SIZE)
		READ_ONCE(filler[i]);
	rmb();
	for (i = 0; i < FILLER_SIZE; i += L1_CACHE_BYTES)
		READ_ONCE(filler[i]);
	rmb();
}

/**
 * vmx_l1d_flush - flush, on a CPU with L1TF, right before a guest is entered
 *
 * Context: interrupts are off.
 */
void vmx_l1d_flush(void)
{
	if (!l1d_flush_is_wanted())
		return;
	if (cpu_feature_enabled(X86_FEATURE_FLUSH_L1D))
		native_wrmsrq(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		displace_l1d();
}
