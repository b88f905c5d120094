// SPDX-License-Identifier: GPL-2.0-only
/*
 * room.c - may a VM have more memory? Checks the host and the VM's cgroups before
 * the memory is taken.
 */
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

#include "mem/pages.h"
#include "mem/room.h"

/*
 * Memory left to the processes of a cgroup that has a limit. A VM can be refused
 * memory; a process would be OOM-killed. Twice what the kernel charges at once.
 */
#define RESERVE		(SZ_512K >> PAGE_SHIFT)
/* More than a VM asks for and that, so that not every fault has to reclaim. */
#define BLOCK_ORDER	8

/**
 * room_is_above_high - is a cgroup, or one of its ancestors, above its memory.high?
 * @memcg: the cgroup, or NULL
 *
 * Return: true when a task that takes memory has to wait for it.
 */
bool room_is_above_high(struct mem_cgroup *memcg)
{
	for (; memcg; memcg = parent_mem_cgroup(memcg))
		if (page_counter_read(&memcg->memory) > READ_ONCE(memcg->memory.high))
			return true;
	return false;
}

/* Would it stay within its own limit and those of its ancestors? */
static bool cgroups_have(struct mem_cgroup *memcg, unsigned long pages)
{
	for (; memcg; memcg = parent_mem_cgroup(memcg))
		if (page_counter_read(&memcg->memory) + pages > READ_ONCE(memcg->memory.max))
			return false;
	return true;
}

static bool alloc_and_free(gfp_t gfp)
{
	struct page *block = alloc_pages(gfp, BLOCK_ORDER);

	if (block)
		__free_pages(block, BLOCK_ORDER);
	return block;
}

/* Charges more than there is. Returns false when the host has no such block. */
static bool charge_block(void)
{
	/* Not to make the host look for one. */
	if (!alloc_and_free(MEMORY_ATOMIC & ~__GFP_ACCOUNT))
		return false;
	alloc_and_free(MEMORY_SLEEP);
	return true;
}

static void charge_pages(gfp_t gfp)
{
	unsigned int pages = 1 << BLOCK_ORDER;
	struct page *page, *next;
	LIST_HEAD(taken);

	while (pages-- && (page = pages_alloc(gfp)))
		list_add(&page->lru, &taken);
	list_for_each_entry_safe(page, next, &taken, lru)
		pages_free(page);
}

/*
 * Modules cannot ask for reclaim, but to charge more than there is triggers it. A block
 * is refused as a whole. Single pages take what is left to the processes, and one that
 * needs memory meanwhile may be OOM-killed: only where there is no block.
 */
static void make_cgroup_reclaim(struct mem_cgroup *memcg, gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memcg);

	if (!charge_block())
		charge_pages(gfp);
	set_active_memcg(old);
}

/**
 * room_for - may a VM have more memory just now?
 * @memcg: charged for it, or NULL
 * @pages: how much
 * @gfp: MEMORY_ATOMIC, MEMORY_SLEEP or MEMORY_WAIT
 *
 * Above memory.high the kernel makes a task that can sleep wait for what it takes.
 * A worker cannot sleep, so there it counts as out of memory.
 *
 * Context: as for @gfp.
 * Return: false when only a caller that can wait may get it, or when there is none.
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
	make_cgroup_reclaim(memcg, gfp);
	return cgroups_have(memcg, pages);
}
