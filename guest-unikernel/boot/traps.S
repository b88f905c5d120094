// SPDX-License-Identifier: BSD-2-Clause
//
// From an exception into handle_trap() and back. `struct trap_frame` in
// core/traps.hpp describes what is on the stack then.

	.section .text.traps, "ax"

// One stub a vector, each 16 bytes: start.S computes their addresses. Where the
// CPU pushes no error code a zero takes its place.
	.balign	16
	.globl	trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	32
	.balign	16
	.set	has_error_code, (0x60227d00 >> vector) & 1	// 8 10-14 17 21 29 30
	.if	!has_error_code
	push	$0
	.endif
	push	$vector
	jmp	common_trap
	.set	vector, vector + 1
	.endr
	.balign	16

common_trap:
	.irp	register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	push	%\register
	.endr
	cld
	mov	%rsp, %rdi
	call	handle_trap
	.irp	register, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	pop	%\register
	.endr
	add	$16, %rsp		// vector and error code
	iretq

// bool call_catching(void (*body)(void *), void *argument): calls body(argument)
// and returns false; a fault inside brings it back with true. handle_trap() then
// continues at caught_fault, with the stack pointer that is saved here.
	.globl	call_catching
	.type	call_catching, @function
call_catching:
	.irp	register, rbx, rbp, r12, r13, r14, r15
	push	%\register
	.endr
	push	fault_recovery(%rip)	// an outer call_catching's
	mov	%rsp, fault_recovery(%rip)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
	xor	%eax, %eax
1:	pop	fault_recovery(%rip)
	.irp	register, r15, r14, r13, r12, rbp, rbx
	pop	%\register
	.endr
	ret
	.globl	caught_fault
caught_fault:
	mov	$1, %eax
	jmp	1b

	.section .bss.fault_recovery, "aw", @nobits
	.balign	8
	.globl	fault_recovery
fault_recovery:
	.quad	0

	.section .note.GNU-stack, "", @progbits
