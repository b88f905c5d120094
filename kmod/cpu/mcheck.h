/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mcheck.h - whom a machine check concerns.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_MCHECK_H
#define MAYFLY_MCHECK_H

#include <linux/types.h>

/* MCG_STATUS: may go on where it was; the error belongs to that place. SDM 3B 16.3.1.2 */
#define MCHECK_RIPV	(1ull << 0)
#define MCHECK_EIPV	(1ull << 1)

/* All CPUs may be told of one's error. The others can go on. SDM 3B 16.10.4.1 */
static inline bool mcheck_is_anothers(u64 mcg_status)
{
	return (mcg_status & (MCHECK_RIPV | MCHECK_EIPV)) == MCHECK_RIPV;
}

#endif
