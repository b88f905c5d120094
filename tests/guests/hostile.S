// SPDX-License-Identifier: BSD-2-Clause
//
// Guests that try what broke other hypervisors, in all its varieties, and say what
// came of it.

#include "guest.inc"

	.section .rodata.guests, "a"

// From here on #UD and #GP lead to where r11 says, with 1 in ebp and an empty
// stack. The IDT is in the counter's page.
	.macro	catch guest
	begin_idt
	.irp	vector, 6, 13
	lea	97f(%rip), %rax
	gate	\vector
	.endr
	end_idt	14
	jmp	96f
97:	mov	$STACK_TOP, %rsp
	mov	$1, %ebp
	jmp	*%r11
	flat_gdt \guest
96:
	.endm

// Prints the words first and second, as eight bytes.
	.macro	report first, second
	mov	\first, COUNTER + 0x800
	movl	\second, COUNTER + 0x804
	mov	$COUNTER - WINDOW + 0x800, %rdi
	mov	$8, %esi
	hypercall MAYFLY_HC_CONSOLE
	.endm

// Prints ebx and the word if the instruction is not refused. Changes rbp, r11.
	.macro	attempt word, instruction:vararg
	xor	%ebp, %ebp
	lea	93f(%rip), %r11
	\instruction
93:	test	%ebp, %ebp
	jnz	94f
	report	%ebx, $\word
94:
	.endm

// A guest that has set up no system calls reads its MSRs, and makes one: it is to find
// zeros, and to jump to 0. Ends with 0, or with 1 or 2 if it finds something else.
	guest own_system_calls
	prepare
	xor	%ebx, %ebx
	mov	$0xc0000081, %ecx
1:	rdmsr
	or	%eax, %ebx
	or	%edx, %ebx
	inc	%ecx
	cmp	$0xc0000085, %ecx
	jne	1b
	mov	$1, %edi
	test	%ebx, %ebx
	jnz	3f
	begin_idt
	lea	2f(%rip), %rax
	gate	14
	end_idt	15
	// In its next slice.
	wait_ns	1000000
	syscall
2:	mov	8(%rsp), %rax			// RIP, behind the error code
	mov	%cr2, %rdx
	xor	%edi, %edi
	or	%rdx, %rax
	jz	3f
	mov	$2, %edi
3:	exit_rdi
	flat_gdt own_system_calls
	end_guest

// Reads r9 MSRs from r8 on, and writes r10 to each. Prints the number of each that
// can be read, with a 0, and that can be written, with a 1; parks, and ends with 0.
	guest msr_walk
	prepare
	catch msr_walk
	mov	%r8d, %ebx
1:	mov	%ebx, %ecx
	attempt	0, rdmsr
	mov	%ebx, %ecx
	mov	%r10d, %eax
	mov	%r10, %rdx
	shr	$32, %rdx
	attempt	1, wrmsr
	inc	%ebx
	dec	%r9
	jnz	1b
	wait_ns	1000000
	exit	0
	end_guest

// Reads r9 ports from r8 on, and writes to each. Prints as msr_walk does.
	guest port_walk
	prepare
	catch port_walk
	mov	%r8d, %ebx
1:	mov	%ebx, %edx
	attempt	0, in	%dx, %al
	mov	%ebx, %edx
	attempt	1, out	%al, %dx
	inc	%ebx
	dec	%r9
	jnz	1b
	exit	0
	end_guest

// Asks for r9 leaves of CPUID from r8 on. Prints each that is not all zero: leaf,
// eax, ebx, ecx, edx.
	guest cpuid_walk
	prepare
	mov	%r8d, %ebp
1:	mov	%ebp, %eax
	xor	%ecx, %ecx
	cpuid
	mov	%ebp, COUNTER
	mov	%eax, COUNTER + 4
	mov	%ebx, COUNTER + 8
	mov	%ecx, COUNTER + 12
	mov	%edx, COUNTER + 16
	or	%ebx, %eax
	or	%ecx, %eax
	or	%edx, %eax
	jz	2f
	mov	$COUNTER - WINDOW, %rdi
	mov	$20, %esi
	hypercall MAYFLY_HC_CONSOLE
2:	inc	%ebp
	dec	%r9
	jnz	1b
	exit	0
	end_guest

// Each of these must be refused; RDTSCP only if bit 0 of r8 is set, RDRAND and
// RDSEED only if bit 1 is. Ends with 0, or with
// the number of the first that was not, counted from 1.
	.macro	refused instruction:vararg
	inc	%r12d
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	lea	1f(%rip), %r11
	\instruction
	mov	%r12d, %edi
	exit_rdi
1:
	.endm

	guest refused_instructions
	prepare
	catch refused_instructions
	xor	%r12d, %r12d
	refused	vmload	%rax
	refused	vmsave	%rax
	refused	vmrun	%rax
	refused	stgi
	refused	clgi
	refused	skinit	%eax
	refused	invlpga	%rax, %ecx
	refused	.byte	0x0f, 0x01, 0xfd		// rdpru
	refused	.byte	0x0f, 0x01, 0xfe		// invlpgb
	refused	.byte	0x0f, 0x01, 0xff		// tlbsync
	refused	.byte	0xf3, 0x0f, 0x01, 0xfa		// mcommit
	refused	.byte	0x0f, 0x01, 0xcf		// encls
	refused	vmxoff
	refused	vmlaunch
	refused	vmresume
	refused	vmread	%rax, %rcx
	refused	vmwrite	%rax, %rcx
	refused	vmptrld	COUNTER
	refused	vmclear	COUNTER
	refused	vmxon	COUNTER
	refused	invept	COUNTER, %rax
	refused	invvpid	COUNTER, %rax
	refused	invpcid	COUNTER, %rax
	refused	xgetbv
	refused	xsetbv
	refused	monitor
	refused	mwait
	refused	rdpmc
	refused	rsm
	refused	invd
	refused	wbinvd
	refused	mov	%cr8, %rax
	refused	mov	%rax, %cr8
	refused	mov	%dr0, %rax
	refused	mov	%rax, %dr3
	refused	mov	%dr6, %rax
	refused	mov	%rax, %dr7
	refused	insb
	refused	outsb
	refused	rep insl
	refused	vaddps	%ymm0, %ymm1, %ymm2
	test	$1, %r8
	jz	2f
	refused	rdtscp
2:	test	$2, %r8
	jz	2f
	refused	rdrand	%rax
	refused	rdseed	%rax
2:	exit	0
	end_guest

// Ends with what RDPID says, or with 0 if it is refused.
	guest cpu_number
	prepare
	catch cpu_number
	lea	1f(%rip), %r11
	xor	%edi, %edi
	rdpid	%rdi
1:	exit_rdi
	end_guest

// Ends with 6 if ICEBP is refused, with 1 if it is the #DB that it stands for.
	guest icebp
	prepare
	catch icebp
	lea	1f(%rip), %rax
	mov	$COUNTER, %rdi
	gate	1
	lea	2f(%rip), %r11
	.byte	0xf1
1:	exit	1
2:	exit	6
	end_guest

// Single-steps for ever: the handler of #DB sets TF and is stepped itself.
	guest step_loop
	prepare
	catch step_loop
	lea	1f(%rip), %rax
	mov	$COUNTER, %rdi
	gate	1
1:	mov	$STACK_TOP, %rsp
	pushf
	orl	$0x100, (%rsp)
	popf
2:	jmp	2b
	end_guest

// CPUID with twelve prefixes: all of it must be skipped, or by and by.
	guest prefixed_cpuid
	prepare
	xor	%eax, %eax
	.fill	12, 1, 0x2e
	cpuid
	exit	42
	end_guest

// CPUID as the last two bytes of memory: where it goes on there is nothing.
	guest cpuid_at_the_end
	prepare
	mov	$DIRECT_MAP - 2, %rax
	add	MEMORY_BYTES(%r14), %rax
	movw	$0xa20f, (%rax)
	mov	%rax, %rsi
	xor	%eax, %eax
	jmp	*%rsi
	end_guest

// Returns to a code segment of 64 and of 32 bits at once, and has an exit there. No
// CPU lets it come so far.
	guest two_code_sizes
	prepare
	lea	9f(%rip), %rax
	lgdt	(%rax)
	push	$8
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	xor	%eax, %eax
	cpuid
	exit	0
	.balign	8
8:	.quad	0, 0x00ef9b000000ffff
9:	.word	15
	.quad	WINDOW + 0x100000 + (8b - guest_two_code_sizes)
	end_guest

// Parks with a deadline that is almost over, r8 times; then ends with 0.
	guest wait_hardly
	prepare
1:	wait_ns	1
	dec	%r8
	jnz	1b
	exit	0
	end_guest

	.section .note.GNU-stack, "", @progbits
