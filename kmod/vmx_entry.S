/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmx_entry.S - into a VMX guest and back.
 *
 * The VMCS switches rsp, rip, rflags, control and segment registers and some
 * MSRs (SDM 3C 27.3, 28.5); the general registers are ours. Interrupts are off on
 * both sides.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

/* Offsets in mayfly_vcpu_state.regs, whose order is that of the encoding. */
#define RAX	0
#define RCX	8
#define RDX	16
#define RBX	24
#define RBP	40
#define RSI	48
#define RDI	56
#define R8	64
#define R9	72
#define R10	80
#define R11	88
#define R12	96
#define R13	104
#define R14	112
#define R15	120

#define HOST_RSP	0x6c14

.text

/* bool vmx_enter(u64 *regs, bool launched) */
SYM_FUNC_START(vmx_enter)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi			/* regs */

	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax

	/* In CF, which VERW leaves alone, until the jump. */
	bt	$0, %esi

	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	R8(%rdi), %r8
	mov	R9(%rdi), %r9
	mov	R10(%rdi), %r10
	mov	R11(%rdi), %r11
	mov	R12(%rdi), %r12
	mov	R13(%rdi), %r13
	mov	R14(%rdi), %r14
	mov	R15(%rdi), %r15
	mov	RDI(%rdi), %rdi

	/* What follows comes back at vmx_exit with the stack as it is now. */
	UNWIND_HINT_SAVE
	CLEAR_CPU_BUFFERS
	jc	1f
	vmlaunch
	jmp	2f
1:	vmresume
2:	/* Refused: nothing was switched. */
	mov	$1, %eax
	jmp	.Lreturn

SYM_INNER_LABEL(vmx_exit, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	/* rsp is the host's again, all else is the guest's. */
	push	%rdi
	mov	8(%rsp), %rdi		/* regs */
	mov	%rax, RAX(%rdi)
	mov	%rcx, RCX(%rdi)
	mov	%rdx, RDX(%rdi)
	mov	%rbx, RBX(%rdi)
	mov	%rbp, RBP(%rdi)
	mov	%rsi, RSI(%rdi)
	pop	RDI(%rdi)
	mov	%r8, R8(%rdi)
	mov	%r9, R9(%rdi)
	mov	%r10, R10(%rdi)
	mov	%r11, R11(%rdi)
	mov	%r12, R12(%rdi)
	mov	%r13, R13(%rdi)
	mov	%r14, R14(%rdi)
	mov	%r15, R15(%rdi)

	/* Before the first RET: the guest chose what it would predict. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE
	CLEAR_BRANCH_HISTORY_VMEXIT
	xor	%eax, %eax

.Lreturn:
	/*
	 * Nothing the guest chose may steer the host, not even speculatively; the
	 * others are popped before anything uses them.
	 */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	add	$8, %rsp		/* regs */
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(vmx_enter)

/*
 * void vmx_do_nmi(void): an NMI has ended the guest and is still blocked. The
 * handler gets the frame it would have got and ends with IRET, which unblocks.
 */
SYM_FUNC_START(vmx_do_nmi)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	call	asm_exc_nmi_noist
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(vmx_do_nmi)
