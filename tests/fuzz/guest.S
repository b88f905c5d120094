// SPDX-License-Identifier: Apache-2.0
//
// What the guests of fuzz-guests have in common: the way into a case's code, and
// handlers that go on behind an exception. And the canary.

#include "guest.inc"
#include "layout.h"

// Of the page at FUZZ_PRIVATE.
#define FAULTS		0
#define CASE_GPA	4
#define NEXT		8	/* where the code goes on after an exception */
#define CODE_SELECTOR	16
#define DATA_SELECTOR	24
#define STACK_POINTER	32

	.section .rodata.guests, "a"
	.globl	fuzz_guest, fuzz_guest_end, fuzz_canary, fuzz_canary_end

	.balign	16
fuzz_guest:
	mov	$FUZZ_WINDOW + FUZZ_HANDLER_STACK, %rsp
	mov	$FUZZ_WINDOW + FUZZ_DESCRIPTORS, %rax
	lgdt	FUZZ_GDTR(%rax)
	mov	$FUZZ_TASK, %ebx
	ltr	%bx
	mov	$FUZZ_WINDOW + FUZZ_PRIVATE, %rbx
	call	remember_case
	test	$FUZZ_MODE_IDT, %dl
	jz	1f
	mov	$FUZZ_WINDOW + FUZZ_DESCRIPTORS, %rax
	lidt	FUZZ_IDTR(%rax)
1:	push	DATA_SELECTOR(%rbx)
	push	STACK_POINTER(%rbx)
	push	$2
	push	CODE_SELECTOR(%rbx)
	push	NEXT(%rbx)
	iretq

// What the arguments say: fills the page at rbx, returns the mode in edx. Changes
// rax, rcx, rsi and rdi.
remember_case:
	mov	$FUZZ_WINDOW + MAYFLY_GPA_ARGS, %rax
	movzbl	(%rax), %ecx
	movzbl	1(%rax), %edx
	dec	%ecx
	shl	$12, %ecx
	add	$FUZZ_CASES, %ecx
	mov	%ecx, CASE_GPA(%rbx)
	mov	$FUZZ_STACK, %eax
	mov	$FUZZ_CODE, %esi
	mov	$FUZZ_DATA, %edi
	test	$FUZZ_MODE_USER, %dl
	jz	2f
	mov	$FUZZ_USER_CODE, %esi
	mov	$FUZZ_USER_DATA, %edi
2:	test	$FUZZ_MODE_32, %dl
	jz	4f
	// Code of 32 bits does not see the window.
	mov	$FUZZ_CODE32, %esi
	test	$FUZZ_MODE_USER, %dl
	jz	5f
	mov	$FUZZ_USER_CODE32, %esi
	jmp	5f
4:	or	$FUZZ_WINDOW, %rax
	or	$FUZZ_WINDOW, %rcx
5:	mov	%rcx, NEXT(%rbx)
	mov	%rsi, CODE_SELECTOR(%rbx)
	mov	%rdi, DATA_SELECTOR(%rbx)
	mov	%rax, STACK_POINTER(%rbx)
	ret

// On the stack: rbx, rax, vector, error code, rip, cs, rflags, rsp, ss.
handle:
	push	%rax
	push	%rbx
	mov	$FUZZ_WINDOW + FUZZ_PRIVATE, %rbx
	// Who was put into its code by SET_STATE has not come by fuzz_guest.
	cmpq	$0, NEXT(%rbx)
	jne	3f
	.irp	register, rcx, rdx, rsi, rdi
	push	%\register
	.endr
	call	remember_case
	.irp	register, rdi, rsi, rdx, rcx
	pop	%\register
	.endr
3:	incl	FAULTS(%rbx)
	cmpl	$FUZZ_MAX_FAULTS, FAULTS(%rbx)
	ja	2f
	// In the case's own page, wherever that is seen: the next slot there.
	mov	32(%rsp), %eax
	and	$0x3ffff000, %eax
	cmp	CASE_GPA(%rbx), %eax
	mov	NEXT(%rbx), %rax
	jne	1f
	mov	32(%rsp), %ax
	and	$0xfff, %ax
	push	%rcx
	movzwl	%ax, %ecx
	mov	NEXT(%rbx), %rax
	and	$~0xfff, %rax
	add	%rcx, %rax
	pop	%rcx
1:	and	$~(FUZZ_SLOT - 1), %rax
	add	$FUZZ_SLOT, %rax
	// Not beyond it: the last slot has been tried.
	test	$0xfff, %eax
	jz	2f
	mov	%rax, NEXT(%rbx)
	mov	%rax, 32(%rsp)
	mov	CODE_SELECTOR(%rbx), %rax
	mov	%rax, 40(%rsp)
	movq	$2, 48(%rsp)
	mov	STACK_POINTER(%rbx), %rax
	mov	%rax, 56(%rsp)
	mov	DATA_SELECTOR(%rbx), %rax
	mov	%rax, 64(%rsp)
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq
2:	mov	$MAYFLY_HC_EXIT, %eax
	mov	$FUZZ_STATUS_FAULTS, %edi
	mov	$FUZZ_WINDOW + MAYFLY_GPA_STUB, %rbx
	call	*%rbx
	ud2

	.org	fuzz_guest + FUZZ_LOAD_CR3
	shl	$24, %rax
	shr	$24, %rax
	mov	%rax, %cr3
	ret

	.org	fuzz_guest + FUZZ_HANDLERS
	.set	vector, 0
	.rept	32
	.org	fuzz_guest + FUZZ_HANDLERS + vector * FUZZ_HANDLER_SIZE
	// Those that push an error code: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX
	.if	!(0x60227d00 >> vector & 1)
	push	$0
	.endif
	push	$vector
	jmp	handle
	.set	vector, vector + 1
	.endr
	.balign	16
fuzz_guest_end:

// Runs beside the others with values in memory and in registers that only it has,
// looks again and again whether they are still there, with exits and without any
// in between, and waits now and then. Ends with 42 when it is asked to stop, with
// 1 to 3 if something has changed. r13 is its value, r15 the stub.
	.balign	16
fuzz_canary:
	mov	$0xffffffff80180000, %rsp
	mov	$0xffffffff80000000 + MAYFLY_GPA_STUB, %r15
	mov	%rdi, %r14
	mov	VM_ID(%r14), %r13
	mov	$0x0123456789abcdef, %rax
	imul	%rax, %r13
	mov	$0xffffffff80200000, %r8
	mov	%r8, %rdi
	mov	$2048, %ecx
	mov	%r13, %rax
	rep stosq
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%r13, %xmm\number
	.endr
	fninit
	push	%r13
	fildll	(%rsp)
1:	.irp	register, rbx, rbp, rsi, r9, r10, r11
	mov	%r13, %\register
	.endr
	mov	$2000, %ecx
2:	loop	2b
	cpuid
	mov	%r13, %rbx
	.irp	register, rbx, rbp, rsi, r9, r10, r11
	cmp	%r13, %\register
	jne	5f
	.endr
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%xmm\number, %rax
	cmp	%r13, %rax
	jne	6f
	.endr
	fistpll	(%rsp)
	cmp	%r13, (%rsp)
	jne	6f
	fildll	(%rsp)
	mov	%r8, %rdi
	mov	$2048, %ecx
	mov	%r13, %rax
	repe scasq
	jne	7f
	inc	%r12d
	// Every 16th time it waits for a stop, at other times it only asks for one.
	xor	%edi, %edi
	test	$15, %r12d
	jnz	3f
	now
	lea	1000000(%rax), %rdi
3:	hypercall MAYFLY_HC_WAIT
	bt	$MAYFLY_EVENT_STOP, %rax
	jnc	1b
	mov	$42, %edi
4:	exit_rdi
5:	mov	$1, %edi
	jmp	4b
6:	mov	$2, %edi
	jmp	4b
7:	mov	$3, %edi
	jmp	4b
fuzz_canary_end:

	.section .note.GNU-stack, "", @progbits
