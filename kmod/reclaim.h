/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reclaim.h - when sleeping VMs go cold.
 */
#ifndef MAYFLY_RECLAIM_H
#define MAYFLY_RECLAIM_H

void reclaim_begin(void);
int reclaim_setup(void);
void reclaim_teardown(void);

#endif
