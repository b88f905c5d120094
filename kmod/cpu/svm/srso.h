/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * srso.h - what keeps guests of a Zen 5 from steering the host's returns (SRSO).
 *
 * The kernel knows what Zen 1 to 4 need, and does it in its macros for the world switch.
 * From family 1Ah on user space cannot steer the kernel, so it does nothing by itself,
 * but guests still can. AMD, Technical Update Regarding Speculative Return Stack Overflow
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_SRSO_H
#define MAYFLY_SRSO_H

#include <linux/types.h>

/* CPUID 8000_0021, EAX. APM 3 E.4.16 */
#define CPUID_SRSO_NO			(1u << 29)
#define CPUID_SRSO_BP_SPEC_REDUCE	(1u << 31)

enum srso {
	SRSO_NOTHING,
	SRSO_REDUCE,	/* BP_CFG[BpSpecReduce] while guests may run */
	SRSO_BARRIER,	/* an IBPB at each exit */
};

/* @family: of the CPU; @features: CPUID 8000_0021, EAX */
static inline enum srso srso_needs(unsigned int family, u32 features)
{
	if (family < 0x1a || features & CPUID_SRSO_NO)
		return SRSO_NOTHING;
	return features & CPUID_SRSO_BP_SPEC_REDUCE ? SRSO_REDUCE : SRSO_BARRIER;
}

#endif
