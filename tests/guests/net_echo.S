// SPDX-License-Identifier: BSD-2-Clause
//
// A guest with a network.

#include "guest.inc"

// Of struct mayfly_net_page.
#define RX_DESC		0x400
#define TX_AVAIL	0x800
#define RX_AVAIL	0x8c0
#define RX_USED		0xbc0

	.section .rodata.guests, "a"

// Answers each UDP datagram, and each ping, until it is asked to stop. r8 is mixed into the
// address that its answers come from; r9 is added to the index of what it sends. 16 buffers
// of 128 KiB, which are the range.
	guest net_echo
	prepare
	mov	$WINDOW + MAYFLY_GPA_RINGS, %r12
	xor	%ecx, %ecx
1:	mov	%ecx, %eax
	shl	$17, %eax
	add	$RANGE_GPA, %eax
	mov	%ecx, %edx
	shl	$4, %edx
	mov	%rax, RX_DESC(%r12, %rdx)
	movl	$0x20000, RX_DESC + 8(%r12, %rdx)
	movl	$2, RX_DESC + 12(%r12, %rdx)
	mov	%cx, RX_AVAIL + 4(%r12, %rcx, 2)
	inc	%ecx
	cmp	$16, %ecx
	jb	1b
	movw	$16, RX_AVAIL + 2(%r12)
	xor	%ebx, %ebx
2:	mov	$MAYFLY_FOREVER, %rdi
	hypercall MAYFLY_HC_WAIT
	test	$1, %al
	jnz	6f
3:	cmp	%bx, RX_USED + 2(%r12)
	je	2b
	movzwl	%bx, %ecx
	and	$63, %ecx
	mov	RX_USED + 4(%r12, %rcx, 8), %esi	// which buffer
	mov	RX_USED + 8(%r12, %rcx, 8), %ebp	// how much of it
	inc	%ebx
	mov	%esi, %eax
	shl	$17, %eax
	add	$RANGE_GPA, %eax
	mov	$WINDOW, %rdi
	add	%rax, %rdi
	andb	$1, (%rdi)	// a sum that it wants, we want too
	movw	$0, 10(%rdi)
	mov	24(%rdi), %ecx	// from, to
	mov	28(%rdi), %edx
	xor	%r8d, %edx
	mov	%edx, 24(%rdi)
	mov	%ecx, 28(%rdi)
	cmpb	$1, 21(%rdi)	// ICMP
	jne	4f
	movb	$0, 32(%rdi)	// no request, but its answer
	addw	$8, 34(%rdi)
	adcw	$0, 34(%rdi)
	jmp	5f
4:	roll	$16, 32(%rdi)	// ports
5:	mov	%esi, %edx
	shl	$4, %edx
	mov	%rax, (%r12, %rdx)
	mov	%ebp, 8(%r12, %rdx)
	movl	$0, 12(%r12, %rdx)
	movzwl	TX_AVAIL + 2(%r12), %ecx
	mov	%ecx, %edx
	and	$63, %edx
	mov	%si, TX_AVAIL + 4(%r12, %rdx, 2)
	lea	1(%rcx, %r9), %ecx
	mov	%cx, TX_AVAIL + 2(%r12)
	// It is sent before the buffer is filled again.
	movzwl	RX_AVAIL + 2(%r12), %ecx
	mov	%ecx, %edx
	and	$63, %edx
	mov	%si, RX_AVAIL + 4(%r12, %rdx, 2)
	inc	%ecx
	mov	%cx, RX_AVAIL + 2(%r12)
	jmp	3b
6:	exit	0
	end_guest

	.section .note.GNU-stack, "", @progbits
