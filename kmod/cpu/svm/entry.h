/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * entry.h - the world switch, in entry.S.
 */
#ifndef MAYFLY_SVM_ENTRY_H
#define MAYFLY_SVM_ENTRY_H

#include <linux/types.h>

/*
 * Enters the guest of the control block at @vmcb (host-physical), with its
 * general registers but rax and rsp in @regs, and comes back at the next exit
 * with GIF set, interrupts off, and FS, GS, TR and the system call MSRs of the
 * host taken from @host (host-physical, written by svm_save_host()).
 */
asmlinkage void svm_enter(phys_addr_t vmcb, u64 *regs, phys_addr_t host);

static inline void svm_save_host(phys_addr_t host)
{
	/* memory: VMSAVE writes the page at @host. */
	asm volatile("vmsave %0" : : "a" (host) : "memory");
}

#endif
