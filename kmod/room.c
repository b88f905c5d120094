// SPDX-License-Identifier: GPL-2.0-only
/*
 * room.c - may a VM have more memory? Asked before it is taken, of the host and of
 * the VM's cgroups.
 */
#include <linux/memcontrol.h>

#include "memory.h"
#include "pages.h"
#include "room.h"

/**
 * room_is_above_high - is the cgroup above its memory.high, or one it is in?
 * @memory: the VM's
 *
 * Return: true when who takes memory has to wait for it.
 */
bool room_is_above_high(const struct vm_memory *memory)
{
	struct mem_cgroup *memcg;

	for (memcg = memory->memcg; memcg; memcg = parent_mem_cgroup(memcg))
		if (page_counter_read(&memcg->memory) > READ_ONCE(memcg->memory.high))
			return true;
	return false;
}

/**
 * room_for_more - may a VM have more memory just now?
 * @memory: the VM's
 * @gfp: MEMORY_ATOMIC, MEMORY_SLEEP or MEMORY_WAIT
 *
 * The kernel makes a task wait for what it takes above memory.high when it can
 * sleep. A worker cannot, so there it is as if there were no memory.
 *
 * Return: false when it must be got by who can wait, or is not there.
 */
bool room_for_more(const struct vm_memory *memory, gfp_t gfp)
{
	if (pages_host_is_short())
		return false;
	return gfp & __GFP_DIRECT_RECLAIM || !room_is_above_high(memory);
}
