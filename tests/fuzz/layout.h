/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - where things are in a guest of fuzz-guests, for C++ and assembly.
 */
#ifndef FUZZ_LAYOUT_H
#define FUZZ_LAYOUT_H

/* Virtual address of guest-physical 0, 1 GiB, whatever the low tables become. */
#define FUZZ_WINDOW		0xffffffff80000000

/* Guest-physical. */
#define FUZZ_TABLES		0x10000	/* page tables */
#define FUZZ_DESCRIPTORS	0x20000	/* GDT, TSS, IDT, operands of LGDT */
#define FUZZ_SYSTEM		0x21000	/* guest.S */
#define FUZZ_EDGE		0x22000	/* code that ends with its page */
#define FUZZ_READ_ONLY		0x23000	/* a page of the image that is only that */
#define FUZZ_PRIVATE		0x28000	/* what the handlers remember; 0 at first */
#define FUZZ_HANDLER_STACK	0x2a000	/* tops */
#define FUZZ_STACK		0x2c000
#define FUZZ_SCRATCH		0x30000	/* zero, up to FUZZ_CASES */
#define FUZZ_CASES		0x80000	/* a page of code for each case of a batch */

/* In the page of descriptors. */
#define FUZZ_GDT		0x000
#define FUZZ_TSS		0x400
#define FUZZ_GDTR		0x500
#define FUZZ_IDTR		0x510
#define FUZZ_OPERANDS		0x520	/* random operands of LGDT and LIDT, 16 bytes each */
#define FUZZ_IDT		0x800

#define FUZZ_CODE		0x08
#define FUZZ_DATA		0x10
#define FUZZ_CODE32		0x18
#define FUZZ_USER_DATA		0x23
#define FUZZ_USER_CODE		0x2b
#define FUZZ_USER_CODE32	0x33
#define FUZZ_TASK		0x38
#define FUZZ_RANDOM		0x48	/* random descriptors from here on */
#define FUZZ_GDT_END		0x100

/* guest.S: loads the low 40 bits of rax into CR3 and returns. */
#define FUZZ_LOAD_CR3		0x300
/* guest.S: the handlers of 32 vectors, so far from its start, so many bytes each. */
#define FUZZ_HANDLERS		0x400
#define FUZZ_HANDLER_SIZE	16

/* Code pages are made of slots; an exception goes on with the next one. */
#define FUZZ_SLOT		32

/* The second byte of the arguments; the first is the case's number in the batch + 1. */
#define FUZZ_MODE		0x40
#define FUZZ_MODE_IDT		1
#define FUZZ_MODE_USER		2
#define FUZZ_MODE_32		4

/* Exit status of a guest whose code ran to its end, and of one that faulted too often. */
#define FUZZ_STATUS_DONE	0x600d
#define FUZZ_STATUS_FAULTS	0xfa17
#define FUZZ_MAX_FAULTS		200

#endif
