// SPDX-License-Identifier: GPL-2.0-only
/*
 * room.c - may a VM have more memory? Asked before it is taken, of the host and of
 * the VM's cgroups.
 */
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

#include "mem/pages.h"
#include "mem/room.h"

/*
 * Left to the processes of a cgroup that has a limit: a VM can be told that there is
 * no more memory, of processes the kernel kills one. Twice what it charges at once.
 */
#define RESERVE		(SZ_512K >> PAGE_SHIFT)
/* Reclaimed beyond that, so that not each fault has to. */
#define AHEAD		32

/**
 * room_is_above_high - is the cgroup above its memory.high, or one it is in?
 * @memcg: charged for it, or NULL
 *
 * Return: true when who takes memory has to wait for it.
 */
bool room_is_above_high(struct mem_cgroup *memcg)
{
	for (; memcg; memcg = parent_mem_cgroup(memcg))
		if (page_counter_read(&memcg->memory) > READ_ONCE(memcg->memory.high))
			return true;
	return false;
}

/* Below the limits of all the cgroups that it is in? */
static bool cgroups_have(struct mem_cgroup *memcg, unsigned long pages)
{
	for (; memcg; memcg = parent_mem_cgroup(memcg))
		if (page_counter_read(&memcg->memory) + pages > READ_ONCE(memcg->memory.max))
			return false;
	return true;
}

/* Modules cannot ask for reclaim, but who takes more than there is brings it about. */
static void make_cgroup_reclaim(struct mem_cgroup *memcg, unsigned long pages, gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memcg);
	struct page *page, *next;
	LIST_HEAD(taken);

	while (pages-- && (page = pages_alloc(gfp)))
		list_add(&page->lru, &taken);
	list_for_each_entry_safe(page, next, &taken, lru)
		pages_free(page);
	set_active_memcg(old);
}

/**
 * room_for - may a VM have more memory just now?
 * @memcg: charged for it, or NULL
 * @pages: how much
 * @gfp: MEMORY_ATOMIC, MEMORY_SLEEP or MEMORY_WAIT
 *
 * The kernel makes a task wait for what it takes above memory.high when it can
 * sleep. A worker cannot, so there it is as if there were no memory.
 *
 * Context: as @gfp.
 * Return: false when it must be got by who can wait, or is not there.
 */
bool room_for(struct mem_cgroup *memcg, unsigned long pages, gfp_t gfp)
{
	pages += RESERVE;
	if (pages_host_is_short())
		return false;
	if (!(gfp & __GFP_DIRECT_RECLAIM))
		return !room_is_above_high(memcg) && cgroups_have(memcg, pages);
	if (cgroups_have(memcg, pages))
		return true;
	make_cgroup_reclaim(memcg, pages + AHEAD, gfp);
	return cgroups_have(memcg, pages);
}
