/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * room.h - may a VM have more memory?
 */
#ifndef MAYFLY_ROOM_H
#define MAYFLY_ROOM_H

#include <linux/types.h>

struct vm_memory;

bool room_is_above_high(const struct vm_memory *memory);
bool room_for(const struct vm_memory *memory, unsigned long pages, gfp_t gfp);

#endif
