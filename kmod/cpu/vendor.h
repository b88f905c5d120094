/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vendor.h - what both vendors do alike; for svm/ and vmx/ alone.
 */
#ifndef MAYFLY_VENDOR_H
#define MAYFLY_VENDOR_H

#include <linux/gfp.h>
#include <linux/hw_breakpoint.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/topology.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <asm/debugreg.h>
#include <asm/mce.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/ptrace.h>

#include "compat.h"
#include "cpu/mcheck.h"
#include "cpu/vcpu.h"
#include "debug/mutation.h"

/* PAT with all entries write-back; guests cannot change it. SDM 3A 12.12, APM 2 7.8.2 */
#define PAT_ALL_WB	0x0606060606060606ull
#define DR7_OFF		0x400

#define NOBODY		((uid_t)-1)

/* A page of zeros that is near a CPU. */
static inline struct page *page_near(int cpu)
{
	int node = mutation_is(MUTATION_NODE) ? first_online_node : cpu_to_node(cpu);

	return alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
}

/*
 * @last: the uid whose guest ran last on this CPU, NOBODY if that is not known. That
 * guest may have trained the predictors against this one.
 */
static inline void change_user(uid_t *last, uid_t user)
{
	if (*last == user)
		return;
	*last = user;
	compat_prediction_barrier();
}

/* An exit clears DR7, and changes no other register of them. SDM 3C 28.5.1, APM 2 15.6 */
static inline void restore_breakpoints(void)
{
	if (unlikely(hw_breakpoint_active()))
		set_debugreg(__this_cpu_read(cpu_dr7), 7);
}

/* A guest whose own access it was would meet the same bad memory again, so it ends. */
static inline void machine_check(struct vm_exit *exit)
{
	/* As if it came from user mode: there is nothing to fix up. */
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };
	u64 status;

	/* The kernel clears it. */
	rdmsrq(MSR_IA32_MCG_STATUS, status);
	exit->reason = mcheck_is_anothers(status) ? MAYFLY_EXIT_INTERRUPT :
						    MAYFLY_EXIT_INVALID;
	do_machine_check(&regs);
}

#endif
