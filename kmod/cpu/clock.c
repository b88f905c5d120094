// SPDX-License-Identifier: GPL-2.0-only
/*
 * clock.c - how fast the TSC is, the host's and a guest's.
 */
#include <linux/clocksource.h>
#include <linux/time64.h>
#include <asm/tsc.h>

#include "cpu/clock.h"
#include "debug/mutation.h"

struct clock_scale clock_scale;
unsigned int clock_ratio_bits __ro_after_init;

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
 * clock_scale_for - how ticks become ns
 * @khz: the TSC's frequency, not 0
 *
 * Return: the scale.
 */
struct clock_scale clock_scale_for(u32 khz)
{
	struct clock_scale scale = { .khz = khz };

	clocks_calc_mult_shift(&scale.mult, &scale.shift, khz, NSEC_PER_MSEC, 0);
	return scale;
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
	clock_scale = clock_scale_for(mutation_is(MUTATION_TSC_KHZ) ? 2 * tsc_khz : tsc_khz);
}

/**
 * clock_khz - how fast the host's TSC is
 *
 * Return: kHz, as their clocks have it.
 */
u32 clock_khz(void)
{
	return clock_scale.khz ?: tsc_khz;
}

/**
 * clock_may_be - can a guest's TSC be so fast?
 * @khz: its frequency; 0: the host's
 *
 * Return: true if the processor can do it, or need not.
 */
bool clock_may_be(u32 khz)
{
	return !khz || (clock_ratio_bits && khz / CLOCK_RATIO_MAX <= clock_khz());
}

/**
 * clock_ratio_for - how fast a guest's TSC is beside the host's
 * @khz: frequency of its TSC, not 0
 *
 * Return: the ratio, with clock_ratio_bits after the point.
 */
u64 clock_ratio_for(u32 khz)
{
	return mul_u64_u64_div_u64(khz, 1ull << clock_ratio_bits, clock_khz());
}
