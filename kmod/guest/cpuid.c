// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpuid.c - the CPU a guest sees: one fixed table for each vendor.
 *
 * The image says which vendor and which level, so that an image or a snapshot sees
 * the same CPU wherever Mayfly runs it. The vendor is a real one because programs
 * want that: glibc refuses to start on a CPU whose maker it does not know. Denied by
 * default: a leaf that is not listed is all zero.
 */
#include <linux/kernel.h>

#include "guest/cpuid.h"
#include "uapi/mayfly.h"

#define LEAF_FEATURES	0x00000001
#define LEAF_CACHES	0x00000004	/* the only leaf with subleaves */

/* FPU DE PSE TSC MSR PAE CX8 SEP PGE CMOV CLFSH MMX FXSR SSE SSE2 */
#define LEAF1_EDX	0x0788a97d
/* CX16, hypervisor present */
#define LEAF1_ECX	(1u << 13 | 1u << 31)
/* SSE3 PCLMULQDQ SSSE3 SSE4.1 SSE4.2 POPCNT AES: they add no state to the CPU. */
#define LEVEL2_ECX	(1u << 0 | 1u << 1 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 23 | 1u << 25)
/* SYSCALL, NX, 1 GiB pages, long mode */
#define EXT1_EDX	(1u << 11 | 1u << 20 | 1u << 26 | 1u << 29)
/* LAHF in 64-bit mode */
#define EXT1_ECX	(1u << 0)
/* CLFLUSH line of 64 bytes, one logical CPU */
#define LEAF1_EBX	(8u << 8 | 1u << 16)
/* 48 virtual, 40 physical address bits */
#define ADDRESS_SIZES	0x3028

/*
 * Caches are there because the C library asks how large they are: without an answer
 * its memcpy bypasses them from 16 KiB on. L1 32 KiB each, L2 512 KiB, both with 8
 * ways; L3 8 MiB with 16; lines of 64 bytes.
 *
 * SDM 2A, CPUID leaf 4: in eax type (1 data, 2 code, 3 both) and level (bits 5-7), in
 * ebx ways - 1 and line - 1, in ecx sets - 1.
 */
#define CACHE_EAX(type, level)	((type) | (level) << 5 | 1u << 8)
#define CACHE_EBX(ways)		(((ways) - 1u) << 22 | 63u)
/* "See leaf 4" (SDM 2A, CPUID leaf 2). */
#define LEAF2_EAX		0x0000ff01
/* APM 3 E.4.4 and E.4.5: KiB, ways, lines per tag, bytes of a line. */
#define AMD_L1			0x20080140
#define AMD_L2			0x02006140	/* ways by number 6: 8 */
#define AMD_L3			0x00408140	/* in 512 KiB; ways by number 8: 16 */

/* ebx, ecx, edx are in the order in which the vendor's name is read: ebx, edx, ecx. */
#define AMD	.ebx = 0x68747541, .edx = 0x69746e65, .ecx = 0x444d4163
#define INTEL	.ebx = 0x756e6547, .edx = 0x49656e69, .ecx = 0x6c65746e
/* "MayflyMayfly": ebx, ecx, edx. */
#define MAYFLY	.ebx = 0x6679614d, .ecx = 0x614d796c, .edx = 0x796c6679

struct answer {
	u32 leaf;
	u32 subleaf;
	struct cpuid_result result;
};

/* Family 15, model 1. */
static const struct answer amd[] = {
	{ 0x00000000, 0, { .eax = 0x00000001, AMD } },
	{ LEAF_FEATURES, 0, { 0x00000f10, LEAF1_EBX, LEAF1_ECX, LEAF1_EDX } },
	{ 0x40000000, 0, { .eax = 0x40000000, MAYFLY } },
	{ 0x80000000, 0, { .eax = 0x80000008, AMD } },
	{ 0x80000001, 0, { 0x00000f10, 0, EXT1_ECX, EXT1_EDX } },
	{ 0x80000005, 0, { 0, 0, AMD_L1, AMD_L1 } },
	{ 0x80000006, 0, { 0, 0, AMD_L2, AMD_L3 } },
	{ 0x80000008, 0, { ADDRESS_SIZES, 0, 0, 0 } },
};

/* Family 6, model 1. */
static const struct answer intel[] = {
	{ 0x00000000, 0, { .eax = 0x00000004, INTEL } },
	{ LEAF_FEATURES, 0, { 0x00000610, LEAF1_EBX, LEAF1_ECX, LEAF1_EDX } },
	{ 0x00000002, 0, { LEAF2_EAX, 0, 0, 0 } },
	{ LEAF_CACHES, 0, { CACHE_EAX(1, 1), CACHE_EBX(8), 63, 0 } },
	{ LEAF_CACHES, 1, { CACHE_EAX(2, 1), CACHE_EBX(8), 63, 0 } },
	{ LEAF_CACHES, 2, { CACHE_EAX(3, 2), CACHE_EBX(8), 1023, 0 } },
	{ LEAF_CACHES, 3, { CACHE_EAX(3, 3), CACHE_EBX(16), 8191, 0 } },
	{ 0x40000000, 0, { .eax = 0x40000000, MAYFLY } },
	{ 0x80000000, 0, { .eax = 0x80000008 } },
	{ 0x80000001, 0, { 0, 0, EXT1_ECX, EXT1_EDX } },
	{ 0x80000008, 0, { ADDRESS_SIZES, 0, 0, 0 } },
};

static const struct answer *find_answer(u32 vendor, u32 leaf, u32 subleaf)
{
	const struct answer *at = vendor == MAYFLY_VENDOR_AMD ? amd : intel;
	const struct answer *end = at + (vendor == MAYFLY_VENDOR_AMD ? ARRAY_SIZE(amd) :
								       ARRAY_SIZE(intel));

	for (; at < end; at++)
		if (at->leaf == leaf && (leaf != LEAF_CACHES || at->subleaf == subleaf))
			return at;
	return NULL;
}

/**
 * cpuid_answer - what CPUID returns to a guest
 * @vendor: MAYFLY_VENDOR_*, its image's
 * @level: MAYFLY_CPU_*, its image's
 * @leaf: eax
 * @subleaf: ecx; only the leaf of caches has subleaves
 *
 * Return: the four registers.
 */
struct cpuid_result cpuid_answer(u32 vendor, u32 level, u32 leaf, u32 subleaf)
{
	const struct answer *found = find_answer(vendor, leaf, subleaf);
	struct cpuid_result result = {};

	if (found)
		result = found->result;
	if (leaf == LEAF_FEATURES && level >= MAYFLY_CPU_SSE42)
		result.ecx |= LEVEL2_ECX;
	return result;
}
