/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * denied.h - the exits of instructions that guests do not have.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_VMX_DENIED_H
#define MAYFLY_VMX_DENIED_H

#include <linux/types.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

/* SDM 3D C: on CPUs with TDX these exit unconditionally. The kernel's header is older. */
#ifndef EXIT_REASON_SEAMCALL
#define EXIT_REASON_SEAMCALL	76
#define EXIT_REASON_TDCALL	77
#endif

/* The exception that an exit for @reason becomes, or 0 if it is no such exit. */
static inline u8 vmx_denied(u32 reason)
{
	switch (reason) {
	case EXIT_REASON_CR_ACCESS:
	case EXIT_REASON_DR_ACCESS:
	case EXIT_REASON_IO_INSTRUCTION:
	case EXIT_REASON_RDPMC:
	case EXIT_REASON_WBINVD:
	case EXIT_REASON_INVD:
		return X86_TRAP_GP;
	case EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_INVPCID:
	case EXIT_REASON_RDTSCP:
	case EXIT_REASON_MWAIT_INSTRUCTION:
	case EXIT_REASON_MONITOR_INSTRUCTION:
	case EXIT_REASON_XSETBV:
	case EXIT_REASON_RDRAND:
	case EXIT_REASON_RDSEED:
	case EXIT_REASON_ENCLS:
	case EXIT_REASON_SEAMCALL:
	case EXIT_REASON_TDCALL:
		return X86_TRAP_UD;
	default:
		return 0;
	}
}

#endif
