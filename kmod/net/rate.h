/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rate.h - a limit of bytes a second, with bursts.
 *
 * Pure logic. A bucket is the time at which all that has gone through will have taken as long as
 * the rate says. It may be so far ahead of the clock as a burst is long.
 */
#ifndef MAYFLY_RATE_H
#define MAYFLY_RATE_H

#include <linux/types.h>

#define RATE_SECOND	1000000000ull	/* nanoseconds */
#define RATE_BURST	(RATE_SECOND / 10)

/**
 * rate_wait - when may more go through?
 * @bucket: of its direction
 * @now: nanoseconds
 *
 * Return: nanoseconds until a packet may pass; 0: one of any length may pass now.
 */
static inline u64 rate_wait(u64 bucket, u64 now)
{
	return bucket > now + RATE_BURST ? bucket - now - RATE_BURST : 0;
}

/**
 * rate_take - something goes through
 * @bucket: to fill
 * @now: nanoseconds
 * @bytes: of a packet
 * @rate: bytes a second, not 0
 */
static inline void rate_take(u64 *bucket, u64 now, u32 bytes, u64 rate)
{
	*bucket = (*bucket > now ? *bucket : now) + bytes * RATE_SECOND / rate;
}

#endif
