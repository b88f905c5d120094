/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * entry.S - into a VMX guest and back.
 *
 * The VMCS switches rsp, rip, rflags, control and segment registers and some
 * MSRs (SDM 3C 27.3, 28.5); the general registers are ours. Interrupts are off on
 * both sides.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include "compat.h"
#include "cpu/entry_asm.h"

#define HOST_RSP	0x6c14

/*
 * Where IBRS protects the kernel (Skylake), a guest would run as slowly as the kernel
 * does with it, and it must be written again after an exit in any case. Clobbers rax,
 * rcx and rdx.
 */
.macro write_spec_ctrl without=0
	ALTERNATIVE "jmp .Lno_ibrs_\@", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	.if	\without
	and	$~(\without), %eax
	.endif
	xor	%edx, %edx
	wrmsr
.Lno_ibrs_\@:
.endm

.text

/* bool vmx_enter(u64 *regs, bool launched, u64 *host_rsp) */
SYM_FUNC_START(vmx_enter)
	push_callee_saved
	push	%rdi			/* regs */

	cmp	%rsp, (%rdx)
	je	.Lsame_stack
	mov	%rsp, (%rdx)
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
.Lsame_stack:

	write_spec_ctrl without=SPEC_CTRL_IBRS

	/* launched stays in CF, which VERW leaves alone, until the jump. */
	bt	$0, %esi

	mov	REG_RAX(%rdi), %rax
	load_guest_registers

	/* The exit continues at vmx_exit with the stack as it is now. */
	UNWIND_HINT_SAVE
	CLEAR_CPU_BUFFERS
	jc	1f
	vmlaunch
	jmp	2f
1:	vmresume
2:	/* Refused: nothing was switched. */
	clear_guest_registers
	write_spec_ctrl
	mov	$1, %eax
	jmp	.Lreturn

SYM_INNER_LABEL(vmx_exit, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	/* rsp is the host's again, all other registers the guest's. */
	save_guest_registers
	mov	%rax, REG_RAX(%rdi)
	xor	%eax, %eax
	clear_guest_registers

	/* Before the first RET, whose prediction the guest may have chosen. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
	write_spec_ctrl
	CLEAR_BRANCH_HISTORY_VMEXIT
	xor	%eax, %eax

.Lreturn:
	add	$8, %rsp		/* regs */
	pop_callee_saved
	RET
SYM_FUNC_END(vmx_enter)

/*
 * void vmx_do_nmi(void): an NMI has caused the exit, and NMIs are still blocked. The
 * handler gets the frame it would have got and ends with IRET, which unblocks them.
 */
SYM_FUNC_START(vmx_do_nmi)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	call	asm_exc_nmi_after_guest
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(vmx_do_nmi)
