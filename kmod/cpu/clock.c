// SPDX-License-Identifier: GPL-2.0-only
/*
 * clock.c - how fast the TSC is.
 */
#include <linux/clocksource.h>
#include <linux/time64.h>
#include <asm/tsc.h>

#include "cpu/clock.h"
#include "debug/mutation.h"

struct clock_scale clock_scale;

/**
 * clock_setup - at load
 *
 * Return: 0, or -EOPNOTSUPP when the kernel does not know.
 */
int clock_setup(void)
{
	return tsc_khz ? 0 : -EOPNOTSUPP;
}

/**
 * clock_measure - take over what the kernel knows now
 *
 * Early in a boot it has an estimate, which it makes better within seconds. So this is
 * done for each first VM, not at load: a clock that is wrong by 100 ppm is wrong by 9 s
 * a day.
 *
 * Context: there are no VMs, nor does any other thread make the first one.
 */
void clock_measure(void)
{
	unsigned int khz = mutation_is(MUTATION_TSC_KHZ) ? 2 * tsc_khz : tsc_khz;

	clock_scale.khz = khz;
	clocks_calc_mult_shift(&clock_scale.mult, &clock_scale.shift, khz, NSEC_PER_MSEC, 0);
}

/**
 * clock_khz - how fast guests' TSC is
 *
 * Return: kHz, as their clocks have it.
 */
u32 clock_khz(void)
{
	return clock_scale.khz ?: tsc_khz;
}
