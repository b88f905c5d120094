// SPDX-License-Identifier: GPL-2.0-only
/*
 * reclaim.c - when sleeping VMs go cold: by age, when the host needs memory, and
 * when a VM of the same cgroup does.
 *
 * The VM of a pool that has slept longest goes first. A VM that goes cold leaves
 * pool->warm, so nothing is looked at twice.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "mem/pages.h"
#include "sched/reclaim.h"
#include "vm/cold.h"
#include "vm/pool.h"

/* VMs made cold between two calls of cond_resched(). */
#define BATCH		64
/* What a small VM gives back: four tables, device page, entry table. */
#define PAGES_PER_VM	6
/* In jiffies: VMs that only nap stay warm even when memory is short. */
#define MIN_SLEEP	(HZ / 10)

static unsigned int cold_after_ms = 10000;
module_param(cold_after_ms, uint, 0644);
MODULE_PARM_DESC(cold_after_ms, "a VM that has slept so long goes cold (0: only when memory is short)");

static void on_age_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(age_work, on_age_work);

static void look_again_after(unsigned int ms)
{
	queue_delayed_work(system_dfl_wq, &age_work, msecs_to_jiffies(ms));
}

/**
 * struct goal - how much should go cold
 * @before: only VMs that parked at or before this time, in jiffies
 * @vms: how many at most
 * @pages: how many pages have been given back
 */
struct goal {
	unsigned long before;
	unsigned long vms;
	unsigned int pages;
};

/* Makes the VMs of a pool that have slept longest cold. */
static void chill_pool(struct pool *pool, void *context)
{
	struct goal *goal = context;
	unsigned int got;

	while (goal->vms && (got = cold_chill_first(pool, goal->before))) {
		goal->pages += got;
		goal->vms--;
	}
}

/* The same for all pools. Returns true when there may be more. */
static bool chill_all(struct goal *goal)
{
	return pool_visit_in_turn(chill_pool, goal) && !goal->vms;
}

/* Those that are old enough now, not those that become so meanwhile. */
static void chill_older_than(unsigned int ms)
{
	struct goal goal = { .before = jiffies - msecs_to_jiffies(ms) };

	do {
		goal.vms = BATCH;
		cond_resched();
	} while (chill_all(&goal));
}

static void on_age_work(struct work_struct *work)
{
	unsigned int age = READ_ONCE(cold_after_ms);

	if (age)
		chill_older_than(age);
	if (pool_count())
		look_again_after(age ? clamp(age / 4, 50u, 1000u) : 1000);
}

/**
 * reclaim_begin - start making VMs cold by age
 *
 * This goes on as long as there are pools. Cheap when it is going on already.
 */
void reclaim_begin(void)
{
	if (!delayed_work_pending(&age_work))
		look_again_after(0);
}

/**
 * reclaim_from_sleepers - find memory for a VM that would otherwise die or wait
 * @pool: its pool
 *
 * The sleepers of its own pool go cold first, since their cgroup may be at a limit:
 * for that the kernel does not call shrinkers without a list per cgroup. The
 * sleepers of all pools go cold when the host is short.
 *
 * Context: task; does not sleep.
 * Return: true when something was given back.
 */
bool reclaim_from_sleepers(struct pool *pool)
{
	struct goal goal = { .before = jiffies - MIN_SLEEP, .vms = BATCH };

	chill_pool(pool, &goal);
	if (!goal.pages && pages_host_is_short())
		chill_all(&goal);
	return goal.pages;
}

static void count_pool(struct pool *pool, void *context)
{
	unsigned long *sum = context;

	*sum += READ_ONCE(pool->nr_warm);
}

static unsigned long count_objects(struct shrinker *shrinker,
				   struct shrink_control *control)
{
	unsigned long warm = 0;

	pool_visit(count_pool, &warm);
	return warm * PAGES_PER_VM;
}

static unsigned long scan_objects(struct shrinker *shrinker,
				  struct shrink_control *control)
{
	struct goal goal = {
		.before = jiffies - MIN_SLEEP,
		.vms = DIV_ROUND_UP(control->nr_to_scan, PAGES_PER_VM),
	};

	chill_all(&goal);
	return goal.pages ?: SHRINK_STOP;
}

static struct shrinker *shrinker;

/**
 * reclaim_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int reclaim_setup(void)
{
	shrinker = compat_shrinker_register(count_objects, scan_objects);
	return shrinker ? 0 : -ENOMEM;
}

/**
 * reclaim_teardown - at unload; there are no VMs
 */
void reclaim_teardown(void)
{
	compat_shrinker_unregister(shrinker);
	cancel_delayed_work_sync(&age_work);
}
