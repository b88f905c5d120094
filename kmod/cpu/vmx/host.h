/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * host.h - host registers that an exit does not restore. SDM 3C 28.5
 */
#ifndef MAYFLY_VMX_HOST_H
#define MAYFLY_VMX_HOST_H

#include <linux/types.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "cpu/vendor.h"

struct mayfly_vcpu_state;

/**
 * struct vmx_host - a CPU's host registers while it runs a guest
 * @cr3: in the VMCS
 * @cr4: likewise
 * @rsp: likewise
 * @kernel_gs_base: the user's, during a slice
 * @perf_switched: perf's MSRs have other values, during an entry
 * @debugctl: DEBUGCTL, during an entry
 * @ldt: selector, during an entry
 * @ds: selector, during a slice
 * @es: selector
 * @fs: selector
 * @gs: selector
 */
struct vmx_host {
	u64 cr3, cr4, rsp;
	u64 kernel_gs_base;
	bool perf_switched;
	u64 debugctl;
	u16 ldt, ds, es, fs, gs;
};

void vmx_host_write(struct vmx_host *host);
void vmx_host_leave(struct vmx_host *host, const struct mayfly_vcpu_state *state);
void vmx_host_return(const struct vmx_host *host, struct mayfly_vcpu_state *state);
bool vmx_switch_perf(bool guest);

/*
 * Registers that an exit clears and that interrupts between two entries may change: a
 * kernel thread's borrowed address space, and with it the LDT, goes when its process
 * does; perf turns branch traces on and off. An older value would bring back tables
 * and buffers that have been freed. SDM 3C 28.5
 */
static inline void vmx_host_before_entry(struct vmx_host *host)
{
	host->perf_switched = cpu_feature_enabled(X86_FEATURE_PEBS) && vmx_switch_perf(true);
	asm volatile("sldt %0" : "=rm" (host->ldt));
	host->debugctl = native_read_msr(MSR_IA32_DEBUGCTLMSR);
}

static inline void vmx_host_after_exit(const struct vmx_host *host)
{
	if (unlikely(host->ldt))
		asm volatile("lldt %0" : : "rm" (host->ldt));
	if (unlikely(host->debugctl))
		update_debugctlmsr(host->debugctl);
	restore_breakpoints();
	if (unlikely(host->perf_switched))
		vmx_switch_perf(false);
}

#endif
