/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * entry.h - the world switch, in entry.S.
 */
#ifndef MAYFLY_SVM_ENTRY_H
#define MAYFLY_SVM_ENTRY_H

#include <linux/types.h>

/*
 * Enters the guest of the VMCB at @vmcb (host-physical), with its general registers
 * except rax and rsp in @regs. Returns at the next exit with GIF set, interrupts off,
 * and the host's FS, GS, TR and system call MSRs restored from @host (host-physical,
 * written by svm_save_host()).
 */
asmlinkage void svm_enter(phys_addr_t vmcb, u64 *regs, phys_addr_t host);

static inline void svm_save_host(phys_addr_t host)
{
	/* memory: VMSAVE writes the page at @host. */
	asm volatile("vmsave %0" : : "a" (host) : "memory");
}

#endif
