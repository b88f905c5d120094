// SPDX-License-Identifier: BSD-2-Clause

#include <mayfly_guest.h>

// unsigned long registers_changed(number, argument): calls the stub with the
// argument in rdi and a value of its own in every other register. Returns a bit
// for each register that has another one afterwards; rsp would crash.
	.text
	.globl	registers_changed
	.type	registers_changed, @function
registers_changed:
	.irp	register, rbx, rbp, r12, r13, r14, r15
	push	%\register
	.endr
	mov	%rdi, %rax
	mov	%rsi, %rdi
	push	%rdi
	.set	value, 0x1234567
	.irp	register, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	mov	$value, %\register
	.set	value, value + 0x1111111
	.endr

	call	0xffffffff80000000 + MAYFLY_GPA_STUB

	mov	$0, %eax
	cmp	%rdi, (%rsp)
	setne	%al
	.set	value, 0x1234567
	.set	bit, 1
	.irp	register, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	cmp	$value, %\register
	je	1f
	or	$(1 << bit), %eax
1:
	.set	value, value + 0x1111111
	.set	bit, bit + 1
	.endr
	pop	%rdi
	.irp	register, r15, r14, r13, r12, rbp, rbx
	pop	%\register
	.endr
	ret

	.section .note.GNU-stack, "", @progbits
