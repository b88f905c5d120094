// SPDX-License-Identifier: BSD-2-Clause
//
// The first instructions. Mayfly starts us in 64-bit mode at CPL 0 with the
// loader's page tables, but with no stack, no GDT and no IDT. All three tables
// below are constants: a VM that never faults writes not one byte for them.

	.section .text.start, "ax"
	.globl	_start
	.type	_start, @function
_start:
	lea	stack_top(%rip), %rsp
	lgdt	gdt_register(%rip)
	lidt	idt_register(%rip)

	// The descriptors are loaded by hand: SS directly, CS by a far return.
	mov	$0x10, %eax
	mov	%eax, %ss
	push	$0x08
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:
	fninit
	ldmxcsr	default_mxcsr(%rip)

	xor	%ebp, %ebp		// the end of every backtrace
	call	run_application		// never returns; rdi is the device page
	ud2

	.section .rodata.tables, "a"
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	// 0x08: code, 64-bit, accessed
	.quad	0x00cf93000000ffff	// 0x10: data, accessed
gdt_end:

gdt_register:
	.word	gdt_end - gdt - 1
	.quad	gdt
idt_register:
	.word	idt_end - idt - 1
	.quad	idt
	.balign	4
default_mxcsr:
	.long	0x1f80			// all exceptions masked

// A gate holds its address in three pieces, which no relocation can cut. So the
// linker script cuts the address of trap_stubs, and the stubs are 16 bytes each.
	.balign	16
idt:
	.set	vector, 0
	.rept	32
	.word	trap_stubs_bits_0_15 + 16 * vector
	.word	0x08			// code segment
	.word	0x8e00			// present, DPL 0, interrupt gate
	.word	trap_stubs_bits_16_31
	.long	trap_stubs_bits_32_63
	.long	0
	.set	vector, vector + 1
	.endr
idt_end:

	.section .note.GNU-stack, "", @progbits
