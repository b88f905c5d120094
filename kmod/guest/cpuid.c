// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpuid.c - the CPU a guest sees: one fixed table, the same on every host.
 *
 * Denied by default: a leaf that is not listed is all zero. Guests have SSE2 and
 * nothing newer, so that an image or a snapshot runs wherever Mayfly runs.
 */
#include <linux/kernel.h>

#include "guest/cpuid.h"

/* "MayflyMayfly", in the order of leaf 0: ebx, edx, ecx. */
#define MAYF	0x6679614d
#define LYMA	0x614d796c
#define YFLY	0x796c6679

/* FPU DE PSE TSC MSR PAE CX8 SEP PGE CMOV CLFSH MMX FXSR SSE SSE2 */
#define LEAF1_EDX	0x0788a97d
/* CX16, hypervisor present */
#define LEAF1_ECX	(1u << 13 | 1u << 31)
/* SYSCALL, NX, 1 GiB pages, long mode */
#define EXT1_EDX	(1u << 11 | 1u << 20 | 1u << 26 | 1u << 29)
/* LAHF in 64-bit mode */
#define EXT1_ECX	(1u << 0)
/* Family 6, model 1; CLFLUSH line of 64 bytes, one logical CPU */
#define SIGNATURE	0x00000610
#define LEAF1_EBX	(8u << 8 | 1u << 16)
/* 48 virtual, 40 physical address bits */
#define ADDRESS_SIZES	0x3028

static const struct {
	u32 leaf;
	struct cpuid_result result;
} table[] = {
	{ 0x00000000, { 0x00000001, MAYF, YFLY, LYMA } },
	{ 0x00000001, { SIGNATURE, LEAF1_EBX, LEAF1_ECX, LEAF1_EDX } },
	{ 0x40000000, { 0x40000000, MAYF, LYMA, YFLY } },
	{ 0x80000000, { 0x80000008, MAYF, YFLY, LYMA } },
	{ 0x80000001, { SIGNATURE, 0, EXT1_ECX, EXT1_EDX } },
	{ 0x80000008, { ADDRESS_SIZES, 0, 0, 0 } },
};

/**
 * cpuid_answer - what CPUID returns to a guest
 * @leaf: eax; subleaves are ignored
 *
 * Return: the four registers.
 */
struct cpuid_result cpuid_answer(u32 leaf)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].leaf == leaf)
			return table[i].result;
	return (struct cpuid_result){};
}
