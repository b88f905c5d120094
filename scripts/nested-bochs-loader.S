/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the place of Linux's own decompressor in the kernel image for Bochs,
 * where unpacking xz takes longer than everything else at boot. Entered as the
 * 32-bit boot protocol says, with boot_params in %esi; unpacks kernel.lz4 (the
 * legacy format of lz4 -l, of vmlinux as a flat binary) to the address that it
 * is linked at and enters it as the 64-bit protocol says.
 */
#define KERNEL		0x1000000
#define PAGE_TABLES	0x7000000
#define STACK		0x7100000

	.code32
	.globl _start
_start:
	cli
	cld
	movl	$STACK, %esp
	pushl	%esi

	movl	$(packed + 4), %esi		/* skips the magic number */
	movl	$KERNEL, %edi
next_block:
	cmpl	$packed_end, %esi
	jae	unpacked
	lodsl
	leal	(%esi, %eax), %ebp
next_sequence:
	cmpl	%ebp, %esi
	jae	next_block
	movzbl	(%esi), %edx
	incl	%esi
	movl	%edx, %ecx
	shrl	$4, %ecx
	call	complete_length
	rep movsb				/* literals */
	cmpl	%ebp, %esi			/* the last sequence has no match */
	jae	next_block
	movzwl	(%esi), %ebx
	addl	$2, %esi
	movl	%edx, %ecx
	andl	$15, %ecx
	call	complete_length
	addl	$4, %ecx
	movl	%esi, %edx
	movl	%edi, %esi
	subl	%ebx, %esi
	rep movsb				/* the match, which may overlap itself */
	movl	%edx, %esi
	jmp	next_sequence

complete_length:
	cmpl	$15, %ecx
	jne	2f
1:	movzbl	(%esi), %eax
	incl	%esi
	addl	%eax, %ecx
	cmpl	$255, %eax
	je	1b
2:	ret

unpacked:
	/* The first 4 GiB, mapped one to one in pages of 2 MiB. */
	movl	$PAGE_TABLES, %edi
	xorl	%eax, %eax
	movl	$(6 * 1024), %ecx
	rep stosl
	movl	$(PAGE_TABLES + 0x1003), PAGE_TABLES
	movl	$(PAGE_TABLES + 0x2003), PAGE_TABLES + 0x1000
	movl	$(PAGE_TABLES + 0x3003), PAGE_TABLES + 0x1008
	movl	$(PAGE_TABLES + 0x4003), PAGE_TABLES + 0x1010
	movl	$(PAGE_TABLES + 0x5003), PAGE_TABLES + 0x1018
	movl	$(PAGE_TABLES + 0x2000), %edi
	movl	$0x83, %eax
	movl	$2048, %ecx
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	loop	1b

	popl	%esi
	movl	$0x20, %eax			/* CR4.PAE */
	movl	%eax, %cr4
	movl	$PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	btsl	$8, %eax
	wrmsr
	lgdt	gdt_pointer
	movl	$0x80000001, %eax		/* CR0.PG and PE */
	movl	%eax, %cr0
	ljmp	$0x10, $long_mode

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%esi, %esi
	movl	$KERNEL, %eax
	jmp	*%rax

	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00af9a000000ffff		/* the selectors that the protocol wants */
	.quad	0x00cf92000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.balign	16
packed:
	.incbin	"kernel.lz4"
packed_end:
