/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * entry_asm.h - what both vendors' world switches do with general registers.
 *
 * For assembly only. Offsets are those in mayfly_vcpu_state.regs, whose order is
 * that of the instruction encoding.
 */
#ifndef MAYFLY_ENTRY_ASM_H
#define MAYFLY_ENTRY_ASM_H

#define REG_RAX	0
#define REG_RCX	8
#define REG_RDX	16
#define REG_RBX	24
#define REG_RBP	40
#define REG_RSI	48
#define REG_RDI	56
#define REG_R8	64
#define REG_R9	72
#define REG_R10	80
#define REG_R11	88
#define REG_R12	96
#define REG_R13	104
#define REG_R14	112
#define REG_R15	120

/* Registers that the C caller needs back. */
.macro push_callee_saved
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
.endm

.macro pop_callee_saved
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
.endm

/* Loads the guest's registers except rax and rsp, from the array at rdi. */
.macro load_guest_registers
	mov	REG_RCX(%rdi), %rcx
	mov	REG_RDX(%rdi), %rdx
	mov	REG_RBX(%rdi), %rbx
	mov	REG_RBP(%rdi), %rbp
	mov	REG_RSI(%rdi), %rsi
	mov	REG_R8(%rdi), %r8
	mov	REG_R9(%rdi), %r9
	mov	REG_R10(%rdi), %r10
	mov	REG_R11(%rdi), %r11
	mov	REG_R12(%rdi), %r12
	mov	REG_R13(%rdi), %r13
	mov	REG_R14(%rdi), %r14
	mov	REG_R15(%rdi), %r15
	mov	REG_RDI(%rdi), %rdi
.endm

/* Saves them to the array whose address is on top of the stack; rdi then holds it. */
.macro save_guest_registers
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rcx, REG_RCX(%rdi)
	mov	%rdx, REG_RDX(%rdi)
	mov	%rbx, REG_RBX(%rdi)
	mov	%rbp, REG_RBP(%rdi)
	mov	%rsi, REG_RSI(%rdi)
	pop	REG_RDI(%rdi)
	mov	%r8, REG_R8(%rdi)
	mov	%r9, REG_R9(%rdi)
	mov	%r10, REG_R10(%rdi)
	mov	%r11, REG_R11(%rdi)
	mov	%r12, REG_R12(%rdi)
	mov	%r13, REG_R13(%rdi)
	mov	%r14, REG_R14(%rdi)
	mov	%r15, REG_R15(%rdi)
.endm

/*
 * No value that the guest chose may steer the host, not even speculatively: neither in
 * code that is called before the C caller's registers are popped, nor when a pop has
 * to wait for memory. rax belongs to the world switch.
 */
.macro clear_guest_registers
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
.endm

#endif
