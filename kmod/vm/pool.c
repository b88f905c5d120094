// SPDX-License-Identifier: GPL-2.0-only
/*
 * pool.c - pools: one per creator's cgroup, made, found and disposed of.
 *
 * A VM's CPU time and memory are charged to its creator's cgroup, so all VMs of a
 * cgroup share a pool: its lock, its queues, its workers. life.c moves VMs between
 * the queues, worker.c runs them.
 *
 * Where cgroup v1 has the memory controller, creators in one cgroup of v2, often its
 * root, can be in several of v1: VMs share a pool if both are the same.
 */
#include <linux/cgroup.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "mem/pages.h"
#include "vm/pool.h"

static DEFINE_MUTEX(pools_lock);
static LIST_HEAD(pools);
static atomic_long_t nr_pools = ATOMIC_LONG_INIT(0);
static struct workqueue_struct *fetch_workqueue, *dispose_workqueue;

/* In jiffies: how soon after a pool had its last chance of a new worker it gets another. */
#define HELP_AGAIN	HZ
static const struct pool_events *events __ro_after_init;

/**
 * pool_count - pools that exist
 *
 * Return: how many.
 */
u64 pool_count(void)
{
	return atomic_long_read(&nr_pools);
}

static void on_fetch_work(struct work_struct *work)
{
	events->fetch(container_of(work, struct pool, fetch_work));
}

static void on_help_work(struct work_struct *work)
{
	events->help(container_of(work, struct pool, help_work));
}

static enum hrtimer_restart on_deadline(struct hrtimer *timer)
{
	events->deadline(container_of(timer, struct pool, timer));
	return HRTIMER_NORESTART;
}

/* The pool has no VMs, so nobody else uses it. */
static void dispose_of_pool(struct pool *pool)
{
	cancel_work_sync(&pool->help_work);
	events->stop_workers(pool);
	cancel_work_sync(&pool->fetch_work);
	hrtimer_cancel(&pool->timer);
	cgroup_put(pool->cgroup);
	mem_cgroup_put(pool->memcg);
	kfree(pool);
	atomic_long_dec(&nr_pools);
}

static void on_dispose_work(struct work_struct *work)
{
	dispose_of_pool(container_of(work, struct pool, dispose_work));
}

static struct cgroup *current_cgroup(void)
{
	struct cgroup *cgroup;

	rcu_read_lock();
	do {
		cgroup = task_dfl_cgroup(current);
	} while (!css_tryget(&cgroup->self));
	rcu_read_unlock();
	return cgroup;
}

/* The task's, not the mm's: that one's first user may be in another cgroup. */
static struct mem_cgroup *current_memcg(void)
{
	struct mem_cgroup *memcg;

	if (mem_cgroup_disabled())
		return NULL;
	rcu_read_lock();
	do {
		memcg = mem_cgroup_from_task(current);
	} while (!css_tryget(&memcg->css));
	rcu_read_unlock();
	return memcg;
}

static struct pool *make_pool(struct cgroup *cgroup, struct mem_cgroup *memcg)
{
	struct pool *pool = kzalloc(sizeof(*pool), MEMORY_SLEEP);

	if (!pool)
		return NULL;
	kref_init(&pool->ref);
	pool->cgroup = cgroup;
	pool->memcg = memcg;
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->ready);
	INIT_LIST_HEAD(&pool->warm);
	INIT_LIST_HEAD(&pool->starved);
	timerqueue_init_head(&pool->sleepers);
	hrtimer_setup(&pool->timer, on_deadline, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	INIT_LIST_HEAD(&pool->idle);
	mutex_init(&pool->workers_lock);
	INIT_LIST_HEAD(&pool->workers);
	INIT_WORK(&pool->fetch_work, on_fetch_work);
	INIT_WORK(&pool->help_work, on_help_work);
	pool->help_due = jiffies;
	INIT_WORK(&pool->dispose_work, on_dispose_work);
	atomic_long_inc(&nr_pools);
	return pool;
}

static struct pool *find_pool(const struct cgroup *cgroup, const struct mem_cgroup *memcg)
{
	struct pool *pool;

	lockdep_assert_held(&pools_lock);
	list_for_each_entry(pool, &pools, node) {
		if (pool->cgroup == cgroup && pool->memcg == memcg) {
			kref_get(&pool->ref);
			return pool;
		}
	}
	return NULL;
}

/**
 * pool_get_current - the pool of the caller's cgroup
 *
 * Context: may sleep.
 * Return: the pool with a reference, or NULL without memory.
 */
struct pool *pool_get_current(void)
{
	struct cgroup *cgroup = current_cgroup();
	struct mem_cgroup *memcg = current_memcg();
	struct pool *made, *pool;

	mutex_lock(&pools_lock);
	pool = find_pool(cgroup, memcg);
	mutex_unlock(&pools_lock);
	if (pool)
		goto out_cgroups;

	/* Not under the lock: this cgroup may be short of memory, others are not. */
	made = make_pool(cgroup, memcg);
	if (!made)
		goto out_cgroups;
	mutex_lock(&pools_lock);
	pool = find_pool(cgroup, memcg);
	if (!pool)
		list_add(&made->node, &pools);
	mutex_unlock(&pools_lock);
	if (!pool)
		return made;	/* It keeps the references to the cgroups. */
	dispose_of_pool(made);
	return pool;
out_cgroups:
	cgroup_put(cgroup);
	mem_cgroup_put(memcg);
	return pool;
}

/* In v2 a cgroup has another memory cgroup when its controller is turned on or off. */
static bool memory_is_v1(const struct pool *pool)
{
	return pool->memcg && !cgroup_subsys_on_dfl(memory_cgrp_subsys);
}

/**
 * pool_is_of - does a task belong to a pool's cgroups?
 * @pool: the pool
 * @task: the task
 *
 * Return: true if its threads may run the pool's VMs.
 */
bool pool_is_of(const struct pool *pool, struct task_struct *task)
{
	bool same;

	rcu_read_lock();
	same = task_dfl_cgroup(task) == pool->cgroup &&
	       (!memory_is_v1(pool) || mem_cgroup_from_task(task) == pool->memcg);
	rcu_read_unlock();
	return same;
}

static void free_pool(struct kref *ref)
{
	struct pool *pool = container_of(ref, struct pool, ref);

	list_del(&pool->node);
	mutex_unlock(&pools_lock);
	/* A worker may be the one that drops the last reference. */
	queue_work(dispose_workqueue, &pool->dispose_work);
}

/**
 * pool_put - drop a reference
 * @pool: the pool
 *
 * Context: may sleep.
 */
void pool_put(struct pool *pool)
{
	kref_put_mutex(&pool->ref, free_pool, &pools_lock);
}

/* VMs are ready, and all workers are busy. */
static void call_for_help(struct pool *pool)
{
	if (time_before(jiffies, READ_ONCE(pool->help_due)))
		return;
	WRITE_ONCE(pool->help_due, jiffies + HELP_AGAIN);
	queue_work(fetch_workqueue, &pool->help_work);
}

/* Takes a worker for the VMs that are ready, with a reference. NULL if none is idle. */
static struct task_struct *take_idle_worker(struct pool *pool)
{
	struct idle_worker *idle;

	lockdep_assert_held(&pool->lock);
	if (list_empty(&pool->ready))
		return NULL;
	idle = list_first_entry_or_null(&pool->idle, struct idle_worker, node);
	if (!idle) {
		call_for_help(pool);
		return NULL;
	}
	list_del_init(&idle->node);
	return get_task_struct(idle->task);
}

static void wake_worker(struct task_struct *worker)
{
	if (!worker)
		return;
	wake_up_process(worker);
	put_task_struct(worker);
}

/**
 * pool_unlock_irq - let go of pool->lock, and wake a worker if VMs are ready
 * @pool: the pool, which may be gone afterwards
 *
 * One worker each time: it does the same when it has taken a VM. The one that slept
 * last has the warmest caches. It is woken after the lock, for which it would wait.
 */
void pool_unlock_irq(struct pool *pool) __releases(&pool->lock)
{
	struct task_struct *worker = take_idle_worker(pool);

	spin_unlock_irq(&pool->lock);
	wake_worker(worker);
}

/**
 * pool_wake - wake a worker if VMs are ready
 * @pool: the pool
 */
void pool_wake(struct pool *pool)
{
	spin_lock_irq(&pool->lock);
	pool_unlock_irq(pool);
}

/**
 * pool_unlock_irqrestore - the same where interrupts may have been off
 * @pool: the pool, which may be gone afterwards
 * @flags: from spin_lock_irqsave()
 *
 * Context: any.
 */
void pool_unlock_irqrestore(struct pool *pool, unsigned long flags)
	__releases(&pool->lock)
{
	struct task_struct *worker = take_idle_worker(pool);

	spin_unlock_irqrestore(&pool->lock, flags);
	wake_worker(worker);
}

/**
 * pool_call_fetcher - serve the VMs that wait for memory
 * @pool: the pool; some may be in @starved
 *
 * Context: any.
 */
void pool_call_fetcher(struct pool *pool)
{
	queue_work(fetch_workqueue, &pool->fetch_work);
}

static void visit_all(pool_visit_fn *visit, void *context)
{
	struct pool *pool;

	lockdep_assert_held(&pools_lock);
	list_for_each_entry(pool, &pools, node)
		visit(pool, context);
}

/**
 * pool_visit - look at every pool
 * @visit: called for each; must neither sleep nor drop a reference
 * @context: for @visit
 *
 * Context: task; does not sleep. It is called when memory is short: reclaim must
 * not wait for a lock whose holder has been throttled by its cgroup.
 * Return: false when nothing was visited because somebody else has the lock.
 */
bool pool_visit(pool_visit_fn *visit, void *context)
{
	if (!mutex_trylock(&pools_lock))
		return false;
	visit_all(visit, context);
	mutex_unlock(&pools_lock);
	return true;
}

/**
 * pool_visit_in_turn - like pool_visit(), but each call begins with another pool
 * @visit: as for pool_visit()
 * @context: for @visit
 *
 * Context: as pool_visit().
 * Return: as pool_visit().
 */
bool pool_visit_in_turn(pool_visit_fn *visit, void *context)
{
	if (!mutex_trylock(&pools_lock))
		return false;
	list_rotate_left(&pools);
	visit_all(visit, context);
	mutex_unlock(&pools_lock);
	return true;
}

/**
 * pool_setup - at load
 * @what_happens: what the pools' timers and work items call
 *
 * Return: 0 or -ENOMEM.
 */
int pool_setup(const struct pool_events *what_happens)
{
	events = what_happens;
	fetch_workqueue = alloc_workqueue("mayfly-fetch", WQ_UNBOUND,
					  WQ_UNBOUND_MAX_ACTIVE);
	if (!fetch_workqueue)
		return -ENOMEM;
	dispose_workqueue = alloc_workqueue("mayfly", WQ_UNBOUND, 0);
	if (dispose_workqueue)
		return 0;
	destroy_workqueue(fetch_workqueue);
	return -ENOMEM;
}

/**
 * pool_teardown - at unload; waits for pools that are being disposed of
 */
void pool_teardown(void)
{
	destroy_workqueue(dispose_workqueue);
	destroy_workqueue(fetch_workqueue);
	WARN_ON_ONCE(pool_count());
}
