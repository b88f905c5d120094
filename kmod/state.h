/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * state.h - what a vCPU's registers may hold.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_STATE_H
#define MAYFLY_STATE_H

#include <linux/types.h>
#include "uapi/mayfly.h"

void state_init(struct mayfly_vcpu_state *state, u64 rip, u64 rsp, u64 cr3,
		u64 rdi);
bool state_is_valid(const struct mayfly_vcpu_state *state);

/* Are bits 47 to 63 of an address all alike? */
static inline bool state_canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

#endif
