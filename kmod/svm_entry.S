/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * svm_entry.S - into an SVM guest and back.
 *
 * VMRUN and #VMEXIT switch rax, rsp, rip, rflags, the control registers and
 * CS SS DS ES (APM 2 15.5.1); VMLOAD and VMSAVE do FS GS TR LDTR and the system
 * call MSRs (15.5.2); the other general registers are ours to switch.
 *
 * From CLGI to STGI nothing interrupts, not even an NMI. IF is set before VMRUN
 * so that a host interrupt ends the guest (V_INTR_MASKING makes host IF decide,
 * 15.21.1); at least one instruction lies between STI and VMRUN so that STI's
 * shadow is not carried into the guest.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

/* Offsets in mayfly_vcpu_state.regs, whose order is that of the encoding. */
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

.text

/* void svm_enter(phys_addr_t vmcb, u64 *regs, phys_addr_t host) */
SYM_FUNC_START(svm_enter)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdx			/* host */
	push	%rsi			/* regs */

	mov	%rdi, %rax		/* VMRUN and friends take it in rax */
	mov	%rsi, %rdi

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

	clgi
	sti
	vmload	%rax
	VM_CLEAR_CPU_BUFFERS		/* after the last NMI that could refill them */
	vmrun	%rax
	vmsave	%rax
	cli

	/* rax and rsp are the host's again, all else is the guest's. */
	push	%rdi
	mov	8(%rsp), %rdi		/* regs */
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

	mov	8(%rsp), %rax
	vmload	%rax			/* GS before anything can interrupt */

	/* Before the first RET: the guest chose what it would predict. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
	CLEAR_BRANCH_HISTORY_VMEXIT

	/*
	 * Nothing the guest chose may steer the host, not even speculatively; the
	 * others are popped before anything uses them.
	 */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	stgi

	add	$16, %rsp		/* regs, host */
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_enter)
