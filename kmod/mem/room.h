/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * room.h - may a VM have more memory?
 */
#ifndef MAYFLY_ROOM_H
#define MAYFLY_ROOM_H

#include <linux/types.h>

struct mem_cgroup;

bool room_is_above_high(struct mem_cgroup *memcg);
bool room_for(struct mem_cgroup *memcg, unsigned long pages, gfp_t gfp);

#endif
