// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker.c - the threads that run VMs, and whose turn it is.
 *
 * A pool's workers are in its cgroup, one per CPU. They share one queue; a turn is
 * one millisecond.
 */
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <uapi/linux/sched/types.h>

#include "compat.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "sched/run.h"
#include "sched/worker.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/vm.h"

#define SLICE_NS	NSEC_PER_MSEC
#define MIN_SLICE_NS	(SLICE_NS / 8)
#define MAX_CREDIT_NS	(2 * SLICE_NS)
#define MAX_DEBT_NS	(16 * SLICE_NS)
/* VMs passed over in a row before the next one runs regardless of its credit. */
#define MAX_SKIPS	32
/* In jiffies: how often the workers of a frozen cgroup check for the thaw. */
#define THAW_CHECK	(HZ / 20)

/*
 * A kernel thread that runs VMs. Who protects a field:
 *   I  immutable while the thread lives
 *   t  the thread's own; its timer reads it, and writes @over
 */
struct worker {
	struct task_struct *task;	/* [I] */
	struct pool *pool;		/* [I] the pool it serves */
	struct hrtimer timer;		/* [t] ends the slice */
	struct slice slice;		/* [t] of the VM that runs, or ran last */
};

/*
 * Deficit round robin: every turn is worth a slice. If a VM takes more or less of it,
 * because an interrupt was late or the scheduler early, its next turns make up for
 * the difference. So all VMs get the same CPU time, not the same number of turns.
 */
static bool take_turn(struct vm *vm)
{
	vm->credit = min_t(s64, vm->credit + SLICE_NS, MAX_CREDIT_NS);
	return vm->credit >= MIN_SLICE_NS;
}

static void pay_for_turn(struct vm *vm, u64 ns)
{
	vm->credit = max_t(s64, vm->credit - ns, -MAX_DEBT_NS);
}

static struct vm *choose_next(struct pool *pool)
{
	struct vm *vm;
	int skips;

	lockdep_assert_held(&pool->lock);
	for (skips = 0; skips < MAX_SKIPS; skips++) {
		vm = list_first_entry_or_null(&pool->ready, struct vm, queue);
		if (!vm || take_turn(vm))
			return vm;
		list_rotate_left(&pool->ready);
	}
	vm->credit = MIN_SLICE_NS;
	return vm;
}

static struct vm *claim_next(struct pool *pool)
{
	struct vm *vm;

	spin_lock_irq(&pool->lock);
	vm = choose_next(pool);
	if (vm)
		life_claim(vm, current);
	spin_unlock_irq(&pool->lock);
	return vm;
}

static enum hrtimer_restart on_slice_end(struct hrtimer *timer)
{
	struct worker *worker = container_of(timer, struct worker, timer);
	s64 left;

	/* Pairs with slice_begin(): a turn that found this timer armed is seen here. */
	smp_mb();
	left = READ_ONCE(worker->slice.length) -
	       (s64)(local_clock() - READ_ONCE(worker->slice.began));
	if (left > 0) {
		hrtimer_start(timer, ns_to_ktime(left), HRTIMER_MODE_REL_PINNED_HARD);
		return HRTIMER_NORESTART;
	}
	WRITE_ONCE(worker->slice.over, true);
	/* The worker may have moved away from this timer's CPU: make its guest exit. */
	kick_process(worker->task);
	return HRTIMER_NORESTART;
}

/*
 * The timer is left running when a VM parks early; when it fires during the next
 * VM's slice, it is armed again for the rest of that slice. So a timer is armed at
 * most once per millisecond, however short the turns, and no VM's slice is cut short
 * by the VM before it.
 */
static enum verdict run_timed_slice(struct worker *worker, struct vm *vm)
{
	slice_begin(&worker->slice, vm->credit);
	if (!hrtimer_is_queued(&worker->timer))
		hrtimer_start(&worker->timer, ns_to_ktime(vm->credit),
			      HRTIMER_MODE_REL_PINNED_HARD);
	return run_slice(vm, &worker->slice, false);
}

static void run_turn(struct worker *worker, struct vm *vm)
{
	u64 before = vm->cpu_ns;
	enum verdict verdict;

	verdict = run_timed_slice(worker, vm);
	/* On this CPU, and soon, or it comes no further. */
	if (verdict == VERDICT_SPLIT_LOCK)
		verdict = run_timed_slice(worker, vm);
	pay_for_turn(vm, vm->cpu_ns - before);
	life_release(vm, verdict);
	if (verdict == VERDICT_MOVE)	/* This CPU is going offline. */
		schedule_timeout_uninterruptible(1);
}

/*
 * cgroup.freeze stops processes but not kernel threads, and does not notify them. A
 * running VM stops at the end of its slice, a millisecond later.
 */
static bool is_frozen(const struct pool *pool)
{
	return test_bit(CGRP_FREEZE, &pool->cgroup->flags);
}

static void wait_for_thaw(const struct pool *pool)
{
	while (unlikely(is_frozen(pool)) && !kthread_should_stop())
		schedule_timeout_idle(THAW_CHECK);
}

static int worker_main(void *data)
{
	struct worker *worker = data;
	struct pool *pool = worker->pool;

	while (!kthread_should_stop()) {
		struct vm *vm;

		wait_for_thaw(pool);
		vm = claim_next(pool);
		if (vm)
			run_turn(worker, vm);
		else
			wait_event_idle_exclusive(pool->idle,
						  kthread_should_stop() ||
						  !list_empty(&pool->ready));
		compat_cond_resched();
	}
	return 0;
}

/*
 * Workers do not preempt the thread that wakes them: a thousand VMs started or
 * notified in one call are queued first and then run, without a switch for each.
 */
static const struct sched_attr worker_policy = {
	.size = sizeof(worker_policy),
	.sched_policy = SCHED_BATCH,
};

static int make_worker(struct pool *pool, struct worker *worker)
{
	struct task_struct *task;
	int ret = owner_add_thread(pool->owner);

	if (ret)
		return ret;
	task = kthread_create(worker_main, worker, "mayfly/%u", pool->nr_workers);
	if (IS_ERR(task)) {
		owner_remove_thread(pool->owner);
		return PTR_ERR(task);
	}
	ret = cgroup_attach_task_all(current, task);
	if (!ret)
		ret = sched_setattr_nocheck(task, &worker_policy);
	/* The caller may have been moved meanwhile. */
	if (ret || !pool_is_of(pool, task)) {
		kthread_stop(task);
		owner_remove_thread(pool->owner);
		return -EXDEV;
	}
	worker->pool = pool;
	worker->task = get_task_struct(task);
	hrtimer_setup(&worker->timer, on_slice_end, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	pool->nr_workers++;
	return 0;
}

/**
 * worker_stop_all - end a pool's workers
 * @pool: the pool; it has no VMs, or its workers have not been woken yet
 *
 * Context: may sleep; not in one of these workers.
 */
void worker_stop_all(struct pool *pool)
{
	unsigned int i;

	for (i = 0; i < pool->nr_workers; i++) {
		struct worker *worker = &pool->workers[i];

		/*
		 * A worker needs CPU time to end, and its cgroup may have none for
		 * hours. The caller's cgroup has some; if the move fails, this takes
		 * longer.
		 */
		cgroup_attach_task_all(current, worker->task);
		kthread_stop(worker->task);
		hrtimer_cancel(&worker->timer);
		put_task_struct(worker->task);
		owner_remove_thread(pool->owner);
	}
	pool->nr_workers = 0;
	if (pool->workers)
		owner_put(pool->owner);
	kfree(pool->workers);
	pool->workers = NULL;
}

static int make_workers(struct pool *pool, struct owner *owner)
{
	unsigned int i, n = num_online_cpus();
	int ret = 0;

	lockdep_assert_held(&pool->workers_lock);
	pool->workers = kcalloc(n, sizeof(*pool->workers), MEMORY_SLEEP);
	if (!pool->workers)
		return -ENOMEM;
	owner_get(owner);
	pool->owner = owner;
	for (i = 0; i < n && !ret; i++)
		ret = make_worker(pool, &pool->workers[i]);
	if (ret) {
		worker_stop_all(pool);
		return ret;
	}
	for (i = 0; i < n; i++)
		wake_up_process(pool->workers[i].task);
	return 0;
}

/**
 * worker_make_all - make a pool's workers if it has none
 * @pool: the pool
 * @owner: the user they count for if they are made now
 *
 * Context: may sleep.
 * Return: 0; -EXDEV when there are none and the caller is in another cgroup than
 * the pool, or the cgroup takes no kernel threads; -EAGAIN when @owner may have no
 * more threads; -ENOMEM, -EINTR.
 */
int worker_make_all(struct pool *pool, struct owner *owner)
{
	int ret = 0;

	if (smp_load_acquire(&pool->workers_ready))
		return 0;
	mutex_lock(&pool->workers_lock);
	if (!pool->workers)
		ret = pool_is_of(pool, current) ? make_workers(pool, owner) : -EXDEV;
	if (!ret)
		smp_store_release(&pool->workers_ready, true);
	mutex_unlock(&pool->workers_lock);
	return ret;
}
