/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rate.h - a limit of bytes, or anything else, a second, with bursts.
 *
 * Pure logic. A bucket is the time at which all that has gone through will have taken as long as
 * the rate says. It may be so far ahead of the clock as a burst is long.
 */
#ifndef MAYFLY_RATE_H
#define MAYFLY_RATE_H

#include <linux/types.h>

#define RATE_SECOND	1000000000ull	/* nanoseconds */
#define RATE_BURST	(RATE_SECOND / 10)	/* of bytes */

/**
 * rate_wait - when may more go through?
 * @bucket: of its direction
 * @now: nanoseconds
 * @burst: likewise
 *
 * Return: nanoseconds until something may pass; 0: as much as there is may pass now.
 */
static inline u64 rate_wait(u64 bucket, u64 now, u64 burst)
{
	return bucket > now + burst ? bucket - now - burst : 0;
}

/**
 * rate_take - something goes through
 * @bucket: to fill
 * @now: nanoseconds
 * @amount: as much of it
 * @rate: so much a second, not 0
 */
static inline void rate_take(u64 *bucket, u64 now, u32 amount, u64 rate)
{
	*bucket = (*bucket > now ? *bucket : now) + amount * RATE_SECOND / rate;
}

#endif
