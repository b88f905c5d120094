/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pool.h - the VMs of a cgroup, their queues, and the threads that run them.
 */
#ifndef MAYFLY_POOL_H
#define MAYFLY_POOL_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/timerqueue.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct cgroup;
struct mem_cgroup;
struct owner;
struct task_struct;

/* A worker that has nothing to do. */
struct idle_worker {
	struct list_head node;		/* in pool->idle, or empty */
	struct task_struct *task;
};

/*
 * One per creator's cgroups, from their first VM to their last. Who protects a field:
 *   I  immutable
 *   P  pool->lock, also taken in hard interrupts; it protects [P] of each VM too
 *   L  pools_lock
 *   W  workers_lock
 *   F  the fetch work item's own
 *   r  reference count
 */
struct pool {
	struct kref ref;		/* [r] VMs */
	struct list_head node;		/* [L] in the list of pools */
	struct cgroup *cgroup;		/* [I] the creators', of cgroup v2 */
	struct mem_cgroup *memcg;	/* [I] charged for its VMs; or NULL */

	spinlock_t lock;
	struct list_head ready;		/* [P] VMs that wait for a worker, in order */
	struct list_head warm;		/* [P] parked VMs that could go cold, in order */
	unsigned long nr_warm;		/* [P] length of @warm; read by others */
	struct list_head starved;	/* [P] claimed VMs that wait for memory */
	struct timerqueue_head sleepers; /* [P] parked VMs with a deadline */
	struct hrtimer timer;		/* [P] for the first of @sleepers, or earlier */

	struct list_head idle;		/* [P] idle workers, the one that slept last first */
	struct mutex workers_lock;
	struct list_head workers;	/* [W] none until a VM is started */
	unsigned int nr_workers;	/* [W] how many; read by others */
	struct owner *owner;		/* [W] the user the workers count for */
	unsigned long max_threads;	/* [W] that this user may have */
	struct work_struct help_work;	/* makes one more worker */
	unsigned long help_due;		/* jiffies: it is not called earlier; stale is fine */

	struct work_struct fetch_work;	/* serves the VMs in @starved */
	unsigned int over_high;		/* [F] pages above memory.high, not waited for */
	struct work_struct dispose_work; /* takes the pool apart, outside its workers */
};

/**
 * struct pool_events - what happens when a timer or a work item of a pool fires
 * @deadline: the first sleeper's deadline may have come; in hard interrupts
 * @fetch: serve one VM that waits for memory; may sleep
 * @help: make one more worker, if the pool may have it; may sleep
 * @stop_workers: the last VM has gone; may sleep
 *
 * The pool itself calls nobody above it.
 */
struct pool_events {
	void (*deadline)(struct pool *pool);
	void (*fetch)(struct pool *pool);
	void (*help)(struct pool *pool);
	void (*stop_workers)(struct pool *pool);
};

typedef void pool_visit_fn(struct pool *pool, void *context);

struct pool *pool_get_current(void);
bool pool_is_of(const struct pool *pool, struct task_struct *task);
void pool_put(struct pool *pool);
void pool_call_fetcher(struct pool *pool);
void pool_wake(struct pool *pool);
void pool_unlock_irq(struct pool *pool) __releases(&pool->lock);
void pool_unlock_irqrestore(struct pool *pool, unsigned long flags)
	__releases(&pool->lock);
bool pool_visit(pool_visit_fn *visit, void *context);
bool pool_visit_in_turn(pool_visit_fn *visit, void *context);
u64 pool_count(void);

int pool_setup(const struct pool_events *what_happens);
void pool_teardown(void);

static inline void pool_get(struct pool *pool)
{
	kref_get(&pool->ref);
}

#endif
