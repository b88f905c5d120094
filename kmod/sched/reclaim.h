/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reclaim.h - when sleeping VMs go cold.
 */
#ifndef MAYFLY_RECLAIM_H
#define MAYFLY_RECLAIM_H

struct pool;

void reclaim_begin(void);
bool reclaim_from_sleepers(struct pool *pool);
int reclaim_setup(void);
void reclaim_teardown(void);

#endif
