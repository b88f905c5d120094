/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * neighbour.h - KVM on the same machine.
 */
#ifndef MAYFLY_NEIGHBOUR_H
#define MAYFLY_NEIGHBOUR_H

#include <linux/types.h>

bool neighbour_may_hold_idle(void);
bool neighbour_has_vms(void);
void neighbour_take_slot(void);
int neighbour_setup(void);
void neighbour_teardown(void);

#endif
