/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * clock.h - how fast the TSC is.
 */
#ifndef MAYFLY_CLOCK_H
#define MAYFLY_CLOCK_H

#include <linux/math64.h>
#include <linux/types.h>

/**
 * struct clock_scale - ns = (tsc * mult) >> shift
 * @mult: factor
 * @shift: bits
 * @khz: the frequency that they are for; 0 before there has been a VM
 *
 * The same for all VMs that there are, and on their device pages. Written when there
 * are none.
 */
struct clock_scale {
	u32 mult, shift, khz;
};

extern struct clock_scale clock_scale;

int clock_setup(void);
void clock_measure(void);
u32 clock_khz(void);

static inline u64 clock_ns(u64 tsc)
{
	return mul_u64_u32_shr(tsc, clock_scale.mult, clock_scale.shift);
}

#endif
