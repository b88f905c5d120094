/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cpuid.h - the CPU a guest sees.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_CPUID_H
#define MAYFLY_CPUID_H

#include <linux/types.h>

/**
 * struct cpuid_result - four registers
 * @eax: result
 * @ebx: result
 * @ecx: result
 * @edx: result
 */
struct cpuid_result {
	u32 eax, ebx, ecx, edx;
};

struct cpuid_result cpuid_answer(u32 vendor, u32 level, u32 leaf, u32 subleaf);

#endif
