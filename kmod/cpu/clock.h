/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * clock.h - how fast the TSC is, the host's and a guest's.
 */
#ifndef MAYFLY_CLOCK_H
#define MAYFLY_CLOCK_H

#include <linux/math64.h>
#include <linux/types.h>
#include <asm/msr.h>

#include "uapi/mayfly.h"

/*
 * What guests' TSC may be faster than the host's by: SVM has eight bits before the point, and
 * the host's frequency may be found to be a little less later.
 */
#define CLOCK_RATIO_MAX	250

/**
 * struct clock_scale - ns = (tsc * mult) >> shift
 * @mult: factor
 * @shift: bits
 * @khz: the frequency that they are for; 0 before there has been a VM
 *
 * On device pages; the same for all VMs whose TSC is the host's.
 */
struct clock_scale {
	u32 mult, shift, khz;
};

/* The host's. Written when there are no VMs. */
extern struct clock_scale clock_scale;
/* Bits after the point of a ratio of two TSCs; 0 where the processor has none. */
extern unsigned int clock_ratio_bits;

int clock_setup(void);
void clock_measure(void);
u32 clock_khz(void);
bool clock_may_be(u32 khz);
struct clock_scale clock_scale_for(u32 khz);
u64 clock_ratio_for(u32 khz);

static inline u64 clock_ns(const struct clock_scale *scale, u64 tsc)
{
	return mul_u64_u32_shr(tsc, scale->mult, scale->shift);
}

/* A guest's scale. @khz is its TSC's frequency, as it is in its state; 0: the host's. */
static inline struct clock_scale clock_scale_of(u32 khz)
{
	return likely(!khz) ? clock_scale : clock_scale_for(khz);
}

/* The ratio of a guest's TSC, as the processor takes it. @khz is as above. */
static inline u64 clock_ratio(u32 khz)
{
	return likely(!khz) ? 1ull << clock_ratio_bits : clock_ratio_for(khz);
}

/* As RDTSC, but for the offset. */
static inline u64 clock_ticks(u32 khz, u64 tsc)
{
	return likely(!khz) ? tsc : mul_u64_u64_shr(tsc, clock_ratio_for(khz), clock_ratio_bits);
}

/* What a guest's RDTSC shows when the host's is @tsc. */
static inline u64 clock_guest_tsc(const struct mayfly_vcpu_state *state, u64 tsc)
{
	return clock_ticks(state->tsc_khz, tsc) + state->tsc_offset;
}

/* Let it show @tsc now. */
static inline void clock_set_tsc(struct mayfly_vcpu_state *state, u64 tsc)
{
	state->tsc_offset = tsc - clock_ticks(state->tsc_khz, rdtsc());
}

#endif
