// SPDX-License-Identifier: BSD-2-Clause
//
// Guests of a few instructions for the live tests: each shows one thing, and its
// exit status or end reason tells how it went. guests.hpp says how to load them.

#include "guest.inc"

	.section .rodata.guests, "a"

// --- ends, calls, waits -----------------------------------------------------

	guest exit42
	prepare
	exit	42
	end_guest

// Ends with r8: a test sets it.
	guest exit_argument
	prepare
	mov	%r8d, %edi
	exit_rdi
	end_guest

	guest exit_id
	prepare
	mov	%r13d, %edi
	exit_rdi
	end_guest

// Prints "hello\n".
	guest hello
	prepare
	lea	1f(%rip), %rdi
	sub	$WINDOW, %rdi
	mov	$2f - 1f, %esi
	hypercall MAYFLY_HC_CONSOLE
	exit	0
1:	.ascii	"hello\n"
2:
	end_guest

// Prints 1,000 lines of 80 bytes, `aaa…`, `bbb…` to `zzz…` and again; then waits.
	guest console_flood
	prepare
	sub	$80, %rsp
	movb	$'\n', 79(%rsp)
	xor	%ebx, %ebx
1:	mov	%ebx, %eax
	xor	%edx, %edx
	mov	$26, %ecx
	div	%ecx
	lea	'a'(%rdx), %eax
	mov	%rsp, %rdi
	mov	$79, %ecx
	rep stosb
	mov	%rsp, %rdi
	sub	$WINDOW, %rdi
	mov	$80, %esi
	hypercall MAYFLY_HC_CONSOLE
	inc	%ebx
	cmp	$1000, %ebx
	jb	1b
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	exit	0
	end_guest

// Ends with what console answers to a range behind the memory: -14.
	guest console_bad
	prepare
	mov	MEMORY_BYTES(%r14), %rdi
	dec	%rdi
	mov	$2, %esi
	hypercall MAYFLY_HC_CONSOLE
	mov	%eax, %edi
	exit_rdi
	end_guest

// Ends with the answer: -38.
	guest unknown_hypercall
	prepare
	hypercall 0x1000
	mov	%eax, %edi
	exit_rdi
	end_guest

// Ends with the answer to hypercall r8 with r9 and r10.
	guest call_argument
	prepare
	mov	%r9, %rdi
	mov	%r10, %rsi
	mov	%r8d, %eax
	call	*%r15
	mov	%eax, %edi
	exit_rdi
	end_guest

// Ends with what notify answers for a port without a channel: -2.
	guest notify
	prepare
	mov	$5, %edi
	hypercall MAYFLY_HC_NOTIFY
	mov	%eax, %edi
	exit_rdi
	end_guest

// Ends with the events that have woken it.
	guest wait_forever
	prepare
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	mov	%eax, %edi
	exit_rdi
	end_guest

// Waits 10 ms. Ends with 0 if they have passed, 1 if not, 2 if an event came.
	guest wait_deadline
	prepare
	now
	lea	10000000(%rax), %rbx
	mov	%rbx, %rdi
	hypercall MAYFLY_HC_WAIT
	mov	$2, %edi
	test	%rax, %rax
	jnz	1f
	now
	xor	%edi, %edi
	cmp	%rbx, %rax
	setb	%dil
1:	exit_rdi
	end_guest

// Parks for 1 ms at a time and counts the times, until it is asked to stop.
	guest wait_loop
	prepare
1:	incq	COUNTER
	wait_ns	1000000
	test	%rax, %rax
	jz	1b
	exit	0
	end_guest

// The same, but counts time: ends with the longest that a park for 1 ms has taken,
// in us.
	guest wait_worst
	prepare
	xor	%ebx, %ebx
	now
	mov	%rax, %rbp
1:	lea	1000000(%rbp), %rdi
	hypercall MAYFLY_HC_WAIT
	mov	%rax, %r12
	now
	mov	%rax, %rdx
	sub	%rbp, %rdx
	mov	%rax, %rbp
	cmp	%rbx, %rdx
	cmova	%rdx, %rbx
	test	%r12, %r12
	jz	1b
	mov	%rbx, %rax
	xor	%edx, %edx
	mov	$1000, %ecx
	div	%rcx
	mov	%eax, %edi
	exit_rdi
	end_guest

// HLT is wait without a deadline, whatever IF is. Ends with 7 once woken.
	guest hlt
	prepare
	hlt
	exit	7
	end_guest

	guest cli_hlt
	prepare
	cli
	hlt
	exit	7
	end_guest

// Ends with the cycles of one hypercall, the mean of 1,000.
	guest hypercall_bench
	prepare
	hypercall 0x1000
	lfence
	rdtsc
	shl	$32, %rdx
	lea	(%rax, %rdx), %rbx
	mov	$1000, %ebp
1:	hypercall 0x1000
	dec	%ebp
	jnz	1b
	lfence
	rdtsc
	shl	$32, %rdx
	add	%rdx, %rax
	sub	%rbx, %rax
	xor	%edx, %edx
	mov	$1000, %ecx
	div	%rcx
	mov	%eax, %edi
	exit_rdi
	end_guest

// Unknown hypercalls, as many as r8 says (0: without end); then ends with 0.
	guest hypercall_loop
	prepare
1:	hypercall 0x1000
	dec	%r8
	jnz	1b
	exit	0
	end_guest

// --- without end ------------------------------------------------------------

	guest spin
1:	jmp	1b
	end_guest

	guest spin_cli
	cli
1:	jmp	1b
	end_guest

// Counts in rcx and in memory, which is at most one behind.
	guest count_forever
1:	inc	%rcx
	mov	%rcx, COUNTER
	jmp	1b
	end_guest

// Its TSC in memory, again and again.
	guest tsc_loop
1:	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, COUNTER
	jmp	1b
	end_guest

	guest cpuid_loop
1:	xor	%eax, %eax
	cpuid
	jmp	1b
	end_guest

// Faults for ever: the handler of #UD is the instruction that raises it. That
// never leaves the VM by itself.
	guest fault_loop
	prepare
	begin_idt
	lea	1f(%rip), %rax
	gate	6
	end_idt	7
1:	mov	$STACK_TOP, %rsp
	ud2
	flat_gdt fault_loop
	end_guest

// --- ended by what they do --------------------------------------------------

	guest triple_fault
	lidt	1f(%rip)
	ud2
1:	.word	0
	.quad	0
	end_guest

// Reads the first byte behind the memory.
	guest bad_access
	mov	$DIRECT_MAP, %rax
	add	MEMORY_BYTES(%rdi), %rax
	mov	(%rax), %al
1:	jmp	1b
	end_guest

// Writes the last page of the 64 GiB that the entry table maps.
	guest bad_access_far
	mov	$DIRECT_MAP + (64 << 30) - PAGE, %rax
	mov	%rax, (%rax)
1:	jmp	1b
	end_guest

// #PF, so a triple fault.
	guest null_read
	mov	0, %al
1:	jmp	1b
	end_guest

	guest write_text
1:	mov	%eax, 1b(%rip)
	jmp	1b
	end_guest

	guest poke_device
	mov	%eax, (%rdi)
1:	jmp	1b
	end_guest

	guest poke_stub
	mov	%eax, WINDOW + MAYFLY_GPA_STUB
1:	jmp	1b
	end_guest

// Executes the device page.
	guest run_device
	jmp	*%rdi
	end_guest

// The answer to each of these is an exception, so a triple fault.
	guest out_port
	out	%al, $0x80
1:	jmp	1b
	end_guest

	guest in_port
	mov	$0x3fd, %edx
	in	%dx, %al
1:	jmp	1b
	end_guest

	guest rdmsr_unknown
	mov	$0xdead, %ecx
	rdmsr
1:	jmp	1b
	end_guest

	guest wrmsr_unknown
	mov	$0xdead, %ecx
	wrmsr
1:	jmp	1b
	end_guest

	guest cr4_write
	mov	%cr4, %rax
	xor	$4, %al		// TSD: VT-x lets a write pass that changes nothing
	mov	%rax, %cr4
1:	jmp	1b
	end_guest

	guest dr_read
	mov	%dr7, %rax
1:	jmp	1b
	end_guest

	guest vmrun_ud
	xor	%eax, %eax
	vmrun	%rax
1:	jmp	1b
	end_guest

// Page tables behind the memory: the CPU's own walk goes astray.
	guest bad_cr3
	mov	MEMORY_BYTES(%rdi), %rax
	mov	%rax, %cr3
1:	jmp	1b
	end_guest

// Goes to CPL 3, at the label, with the same stack. SYSRET needs no descriptors:
// it makes flat segments. The entry table's two upper entries get the user bit;
// until then the TLB may hold them without.
	.macro	enter_user label, selectors=0x00130008
	mov	$WINDOW + ENTRY_TABLE, %rax
	orb	$4, 510 * 8(%rax)
	orb	$4, 511 * 8(%rax)
	mov	%cr3, %rax
	mov	%rax, %cr3
	mov	$0xc0000081, %ecx	// STAR: selectors, user ones in the upper half
	xor	%eax, %eax
	mov	$\selectors, %edx
	wrmsr
	lea	\label(%rip), %rcx
	mov	$0x202, %r11d
	sysretq
	.endm

// Where SYSCALL goes.
	.macro	set_lstar label
	mov	$0xc0000082, %ecx
	lea	\label(%rip), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
	.endm

// A hypercall from CPL 3 is #UD, so a triple fault; not an exit with 42.
	guest user_hypercall
	prepare
	enter_user 1f
1:	exit	42
	end_guest

// The proof that enter_user works: SYSCALL is the way back, ends with 43.
	guest user_syscall
	prepare
	set_lstar 2f
	enter_user 1f
1:	mov	%cs, %edi
	and	$3, %edi
	syscall
2:	add	$40, %edi
	exit_rdi
	end_guest

// SYSCALL with an RPL in STAR leaves one in SS that is not CS's; each CPUID is an
// entry with it. Ends with 44 if it was so, else with 41.
	guest user_syscall_rpl
	prepare
	set_lstar 2f
	enter_user 1f, 0x0013000b
1:	syscall
2:	xor	%eax, %eax
	cpuid
	mov	%ss, %edi
	mov	%cs, %eax
	xor	%eax, %edi
	and	$3, %edi
	add	$41, %edi
	exit_rdi
	end_guest

// --- memory and registers ---------------------------------------------------

// Fills the range with this VM's id and ends with 0.
	guest stamp
	prepare
	range
	fill_range
	exit	0
	end_guest

// Fills the range with this VM's id and waits; an event makes it look whether it
// is still there: ends with 0, or with 1 if not.
	guest stamp_wait
	prepare
	range
	fill_range
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	compare_range
	setne	%al
	movzx	%al, %edi
	exit_rdi
	end_guest

// Ends with 0 if the range is all zero, else with 1.
	guest check_zero
	prepare
	range
	mov	%r8, %rdi
	mov	%r9, %rcx
	shl	$9, %rcx
	xor	%eax, %eax
	repe scasq
	setne	%al
	mov	%eax, %edi
	exit_rdi
	end_guest

// Fills the range with this VM's id, parks 20 times for 1 ms and looks after each
// whether it is still there: ends with 0, or with 1 if not.
	guest park_stamped
	prepare
	range
	fill_range
	mov	$20, %ebx
1:	wait_ns	1000000
	compare_range
	jne	2f
	dec	%ebx
	jnz	1b
	exit	0
2:	exit	1
	end_guest

// Fills the range with this VM's id and waits for events. At each it looks whether
// the range and the device page are as they were, but for its clock, which follows the
// host's, and ends with 1 or 2 if not; at the one that asks it to stop it ends with 0.
#define CLOCK		80	/* in struct mayfly_device_page */
#define CLOCK_END	120
	guest remember
	prepare
	range
	fill_range
	call	3f
	mov	%rax, %rbp
1:	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	mov	%rax, %r12
	incq	COUNTER
	compare_range
	jne	4f
	call	3f
	cmp	%rax, %rbp
	jne	5f
	bt	$MAYFLY_EVENT_STOP, %r12
	jnc	1b
	exit	0
3:	mov	%r14, %rsi		# a sum of the device page in which order counts
	mov	$CLOCK / 8, %ecx
	xor	%eax, %eax
	call	6f
	add	$CLOCK_END - CLOCK, %rsi
	mov	$(PAGE - CLOCK_END) / 8, %ecx
6:	rol	$7, %rax
	add	(%rsi), %rax
	add	$8, %rsi
	dec	%ecx
	jnz	6b
	ret
4:	exit	1
5:	exit	2
	end_guest

// Fills the range with this VM's id and waits for events. At each it looks whether the
// range is as it was, and ends with 1 if not. If it finds itself another VM it fills the
// range with the new id, or ends with 2 if the generation is not higher. At event 7 it
// discards the range; what it finds then must be the same in all of it. At the one that
// asks it to stop it ends with 0.
	guest twin
	prepare
	range
	mov	%r13, %rbp
	mov	GENERATION(%r14), %rbx
	fill_range
1:	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	mov	%rax, %r12
	incq	COUNTER
	compare_range
	jne	6f
	cmp	%rbp, VM_ID(%r14)
	je	2f
	cmp	%rbx, GENERATION(%r14)
	jbe	7f
	mov	VM_ID(%r14), %rbp
	mov	GENERATION(%r14), %rbx
	mov	%rbp, %r13
	fill_range
2:	bt	$7, %r12
	jnc	5f
	mov	$DIRECT_MAP, %rax
	mov	%r8, %rdi
	sub	%rax, %rdi
	mov	%r9, %rsi
3:	hypercall MAYFLY_HC_DISCARD
	test	%rax, %rax
	jle	6f
	sub	%rax, %rsi
	shl	$12, %rax
	add	%rax, %rdi
	test	%rsi, %rsi
	jnz	3b
	mov	(%r8), %r13
5:	bt	$MAYFLY_EVENT_STOP, %r12
	jnc	1b
	exit	0
6:	exit	1
7:	exit	2
	end_guest

// Waits, adds one to the counter and says that it is ready, again and again. A wait that
// ends with the event to stop ends it with 0; one that is a clone, with the answer plus 40
// as soon as it has said so.
	guest ready
	prepare
	mov	GENERATION(%r14), %rbx
1:	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	bt	$MAYFLY_EVENT_STOP, %rax
	jc	2f
	incq	COUNTER
	hypercall MAYFLY_HC_READY
	cmp	%rbx, GENERATION(%r14)
	je	1b
	lea	40(%rax), %edi
	exit_rdi
2:	exit	0
	end_guest

// Says that it is ready, without end.
	guest ready_forever
	prepare
1:	hypercall MAYFLY_HC_READY
	incq	COUNTER
	jmp	1b
	end_guest

// Writes a word to each r10th page from GPA r8 on, r9 times, runs code in the last
// one and ends with 0.
	guest touch_stride
	prepare
	mov	$DIRECT_MAP, %rax
	add	%rax, %r8
	shl	$12, %r10
1:	mov	%r13, (%r8)
	add	%r10, %r8
	dec	%r9
	jnz	1b
	sub	%r10, %r8
	movb	$0xc3, (%r8)			# ret
	call	*%r8
	exit	0
	end_guest

// Writes a word to each page of r9 from GPA r8 on, and by turns to those 256 MiB above,
// and again 256 MiB above. Ends with 0.
	guest touch_in_turns
	prepare
	mov	$DIRECT_MAP, %rax
	add	%rax, %r8
1:	mov	%r13, (%r8)
	mov	%r13, 0x10000000(%r8)
	mov	%r13, 0x20000000(%r8)
	add	$PAGE, %r8
	dec	%r9
	jnz	1b
	exit	0
	end_guest

// Writes to r9 of the 512 pages from GPA r8 on, by jumps of five, and waits; discards the
// first r10, reads them all, and waits again. Ends with the word at r8, or with -1 if one
// of the first r10 pages in the order of the jumps did not have what was written, or zero.
	guest touch_by_jumps
	prepare
	mov	$DIRECT_MAP, %rax
	add	%rax, %r8
	xor	%ecx, %ecx
1:	imul	$5, %ecx, %edx
	and	$511, %edx
	shl	$12, %edx
	inc	%ecx
	mov	%rcx, (%r8, %rdx)
	cmp	%rcx, %r9
	jne	1b
	xor	%ecx, %ecx
2:	imul	$5, %ecx, %edx
	and	$511, %edx
	shl	$12, %edx
	xor	%eax, %eax
	cmp	%rcx, %r9
	jbe	3f
	lea	1(%rcx), %eax
3:	cmp	%rax, (%r8, %rdx)
	jne	4f
	inc	%ecx
	cmp	%rcx, %r10
	jne	2b
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	mov	$DIRECT_MAP, %rax
	mov	%r8, %rdi
	sub	%rax, %rdi
	mov	%r10, %rsi
	hypercall MAYFLY_HC_DISCARD
	mov	%r10, %rcx
	mov	%r10, %rdx
	shl	$12, %rdx
5:	sub	$PAGE, %rdx			// upwards would be a walk
	mov	(%r8, %rdx), %rax
	dec	%rcx
	jnz	5b
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	mov	(%r8), %edi
	exit_rdi
4:	exit	-1
	end_guest

// Puts code into each page from GPA r8 on, r9 of them, and waits; after an event it
// runs that in the last one and waits again, and ends with 0.
	guest walk_run
	prepare
	mov	$DIRECT_MAP, %rax
	add	%rax, %r8
1:	movb	$0xc3, (%r8)			# ret
	add	$PAGE, %r8
	dec	%r9
	jnz	1b
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	sub	$PAGE, %r8
	call	*%r8
	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	exit	0
	end_guest

// Fills the range, discards it in as many calls as that takes, and ends with 0 if
// it is zero then, 1 if not, 2 if a call has handled nothing.
	guest discard_all
	prepare
	range
	fill_range
	mov	$DIRECT_MAP, %rax
	mov	%r8, %rdi
	sub	%rax, %rdi
	mov	%r9, %rsi
2:	hypercall MAYFLY_HC_DISCARD
	mov	$2, %ebx
	test	%rax, %rax
	jle	1f
	sub	%rax, %rsi
	shl	$12, %rax
	add	%rax, %rdi
	test	%rsi, %rsi
	jnz	2b
	mov	%r8, %rdi
	mov	%r9, %rcx
	shl	$9, %rcx
	xor	%eax, %eax
	xor	%ebx, %ebx
	repe scasq
	setne	%bl
1:	mov	%ebx, %edi
	exit_rdi
	end_guest

// Writes a word to each page from the range's first to the end of memory, and
// ends with 0.
	guest touch_all
	prepare
	range
	mov	$DIRECT_MAP, %rax
	add	MEMORY_BYTES(%r14), %rax
1:	mov	%r13, (%r8)
	add	$PAGE, %r8
	cmp	%rax, %r8
	jb	1b
	exit	0
	end_guest

// Runs CPUID as the last two bytes of 32-bit code: the next instruction is at 0, and
// the ones there end with 7. Its tables are at 4 MiB, the low code at 2 MiB.
	guest wrap_around
	prepare
	mov	$WINDOW, %rbx
	movw	$0xa20f, 0x1ffffe(%rbx)		# cpuid
	movb	$0xb8, RANGE_GPA(%rbx)		# mov $…, %eax
	movl	$MAYFLY_HC_EXIT, RANGE_GPA + 1(%rbx)
	movb	$0xbf, RANGE_GPA + 5(%rbx)	# mov $7, %edi
	movl	$7, RANGE_GPA + 6(%rbx)
	mov	(%r15), %eax			# the hypercall
	mov	%eax, RANGE_GPA + 10(%rbx)
	movl	$0x401003, 0x400000(%rbx)	# for the first GiB
	movl	$0x402003, 0x400018(%rbx)	# for the fourth
	movl	$RANGE_GPA + 0x83, 0x401000(%rbx)
	movl	$0x83, 0x402ff8(%rbx)
	movl	$0x400003, ENTRY_TABLE(%rbx)
	movl	$0, ENTRY_TABLE + 4(%rbx)
	mov	%cr3, %rax
	mov	%rax, %cr3
	movabs	$0x00cf9b000000ffff, %rax	# accessed 32-bit code of 4 GiB
	mov	%rax, 0x403008(%rbx)
	lea	0x403000(%rbx), %rax
	mov	%rax, 0x403102(%rbx)
	movw	$15, 0x403100(%rbx)
	lgdt	0x403100(%rbx)
	push	$8
	mov	$0xfffffffe, %eax
	push	%rax
	xor	%eax, %eax
	lretq
	end_guest

// Pushes 256 words and pops them: ends with 0, or with 1 if one was wrong.
	guest push_pop
	prepare
	mov	$256, %ecx
1:	push	%rcx
	loop	1b
	mov	$1, %ecx
2:	pop	%rax
	cmp	%rcx, %rax
	jne	3f
	inc	%ecx
	cmp	$257, %ecx
	jb	2b
	exit	0
3:	exit	1
	end_guest

// Parks 20 times for 1 ms with values that only this VM has in the registers that
// now and hypercall leave alone. Ends with 0, or with 1 if one has changed.
	guest registers_park
	prepare
	mov	$20, %r12d
1:	.irp	register, rbx, rbp, rsi, r8, r9, r10, r11
	imul	$0x1234567, %r13, %\register
	.endr
	wait_ns	1000000
	imul	$0x1234567, %r13, %rax
	.irp	register, rbx, rbp, rsi, r8, r9, r10, r11
	cmp	%rax, %\register
	jne	2f
	.endr
	dec	%r12d
	jnz	1b
	exit	0
2:	exit	1
	end_guest

// The same for the xmm registers, filled before the first time only: both halves
// of all hold this VM's id.
	guest xmm_park
	prepare
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%r13, %xmm\number
	punpcklqdq %xmm\number, %xmm\number
	.endr
	mov	$20, %r12d
1:	wait_ns	1000000
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%xmm\number, %rax
	movdqu	%xmm\number, -64(%rsp)
	cmp	%r13, %rax
	jne	2f
	cmp	%r13, -56(%rsp)
	jne	2f
	.endr
	dec	%r12d
	jnz	1b
	exit	0
2:	exit	1
	end_guest

	.section .note.GNU-stack, "", @progbits
