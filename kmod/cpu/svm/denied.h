/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * denied.h - the exits of instructions that guests do not have.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_SVM_DENIED_H
#define MAYFLY_SVM_DENIED_H

#include <linux/types.h>
#include <asm/svm.h>
#include <asm/trapnr.h>

/* APM 2 C.1; the kernel's header lacks them. */
#define SVM_EXIT_INVLPGB		0x0a0
#define SVM_EXIT_INVLPGB_ILLEGAL	0x0a1
#define SVM_EXIT_MCOMMIT		0x0a3
#define SVM_EXIT_TLBSYNC		0x0a4

/* The exception that the exit @code becomes, or 0 if it is no such exit. */
static inline u8 svm_denied(u32 code)
{
	switch (code) {
	case SVM_EXIT_WRITE_CR0:
	case SVM_EXIT_WRITE_CR4:
	case SVM_EXIT_READ_CR8:
	case SVM_EXIT_WRITE_CR8:
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
	case SVM_EXIT_IOIO:
	case SVM_EXIT_RDPMC:
	case SVM_EXIT_WBINVD:
	case SVM_EXIT_INVD:
		return X86_TRAP_GP;
	case SVM_EXIT_RDTSC:	/* QEMU 7.2 reports RDTSCP as this */
	case SVM_EXIT_RDTSCP:
	case SVM_EXIT_RSM:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_ICEBP:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_COND:
	case SVM_EXIT_XSETBV:
	case SVM_EXIT_RDPRU:
	case SVM_EXIT_INVPCID:
	case SVM_EXIT_INVLPGB:
	case SVM_EXIT_INVLPGB_ILLEGAL:
	case SVM_EXIT_MCOMMIT:
	case SVM_EXIT_TLBSYNC:
		return X86_TRAP_UD;
	default:
		return 0;
	}
}

#endif
