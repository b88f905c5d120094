// SPDX-License-Identifier: GPL-2.0-only
/*
 * worker.c - the threads that run VMs, and whose turn it is.
 *
 * A pool's workers are in its cgroup. There is one at first; while VMs wait and all
 * workers are busy, the pool's work item makes one more, until there are as many as the
 * cgroup has CPUs. They share one queue; a turn is one millisecond.
 */
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/freezer.h>
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
#include "vm/snapshot.h"
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
 *   P  pool->lock
 *   W  workers_lock
 *   t  the thread's own; its timer reads it, and writes @over
 */
struct worker {
	struct idle_worker idle;	/* [P]; its @task is [I] this thread */
	struct list_head node;		/* [W] in pool->workers */
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

/* Without a VM the worker is idle: it may be woken from now on, and has to sleep. */
static struct vm *claim_next(struct worker *worker)
{
	struct pool *pool = worker->pool;
	struct vm *vm;

	spin_lock_irq(&pool->lock);
	list_del_init(&worker->idle.node);	/* It may have woken for another reason. */
	vm = choose_next(pool);
	if (vm) {
		life_claim(vm, current);
	} else {
		list_add(&worker->idle.node, &pool->idle);
		set_current_state(TASK_IDLE | TASK_FREEZABLE);
	}
	pool_unlock_irq(pool);
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
	kick_process(worker->idle.task);
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
	return run_slice(vm, &worker->slice, 0);
}

static enum verdict run_despite_split_lock(struct worker *worker, struct vm *vm)
{
	enum verdict verdict = run_timed_slice(worker, vm);

	if (likely(verdict != VERDICT_SPLIT_LOCK))
		return verdict;
	preempt_enable();
	verdict = run_bear_split_lock(vm);
	preempt_disable();
	/* On this CPU, and soon, or it comes no further. The next turn bears another. */
	return verdict == VERDICT_SPLIT_LOCK ? run_timed_slice(worker, vm) : verdict;
}

static void stand_for_snapshot(struct vm *vm)
{
	preempt_enable();
	snapshot_fulfil(vm, MEMORY_ATOMIC);
	preempt_disable();
}

static void run_turn(struct worker *worker, struct vm *vm)
{
	u64 before = vm->cpu_ns;
	enum verdict verdict;
	enum life_rest rest;

	/* Preempted, this worker would keep the VM from the others. */
	preempt_disable();
	verdict = run_despite_split_lock(worker, vm);
	pay_for_turn(vm, vm->cpu_ns - before);
	if (unlikely(verdict == VERDICT_READY))
		stand_for_snapshot(vm);
	rest = life_hand_back(vm, verdict);
	/* If this worker cannot go on at once, another may take the VM. */
	if (verdict == VERDICT_MOVE || compat_need_resched())
		pool_wake(worker->pool);
	preempt_enable();
	life_finish(vm, rest);
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
	while (unlikely(is_frozen(pool)) && !kthread_should_stop()) {
		schedule_timeout_idle(THAW_CHECK);
		try_to_freeze();
	}
}

/* Before a suspend all workers come to a stop here or asleep, and their VMs with them. */
static void run_or_sleep(struct worker *worker)
{
	struct vm *vm = claim_next(worker);

	if (vm)
		run_turn(worker, vm);
	else if (!kthread_should_stop())
		schedule();
	__set_current_state(TASK_RUNNING);
	try_to_freeze();
}

static int worker_main(void *data)
{
	struct worker *worker = data;
	struct pool *pool = worker->pool;

	set_freezable();
	while (!kthread_should_stop()) {
		wait_for_thaw(pool);
		run_or_sleep(worker);
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

/* Not yet woken. In the cgroups of @model, which should be the pool's. */
static struct task_struct *make_thread(struct worker *worker, struct task_struct *model)
{
	struct pool *pool = worker->pool;
	struct task_struct *task;
	int ret;

	task = kthread_create(worker_main, worker, "mayfly/%u", pool->nr_workers);
	if (IS_ERR(task))
		return task;
	ret = cgroup_attach_task_all(model, task);
	if (!ret)
		ret = sched_setattr_nocheck(task, &worker_policy);
	/* @model may have been moved meanwhile. */
	if (!ret && pool_is_of(pool, task))
		return get_task_struct(task);
	kthread_stop(task);
	return ERR_PTR(-EXDEV);
}

/* Idle at first: it is there for a VM that is started next. */
static void enlist(struct worker *worker)
{
	struct pool *pool = worker->pool;

	list_add(&worker->node, &pool->workers);
	WRITE_ONCE(pool->nr_workers, pool->nr_workers + 1);
	spin_lock_irq(&pool->lock);
	list_add(&worker->idle.node, &pool->idle);
	pool_unlock_irq(pool);
	wake_up_process(worker->idle.task);
}

static int make_worker(struct pool *pool, struct task_struct *model)
{
	struct worker *worker;
	struct task_struct *task;
	int ret = owner_add_thread(pool->owner, pool->max_threads);

	lockdep_assert_held(&pool->workers_lock);
	if (ret)
		return ret;
	ret = -ENOMEM;
	worker = kzalloc(sizeof(*worker), MEMORY_SLEEP);
	if (!worker)
		goto out_count;
	worker->pool = pool;
	INIT_LIST_HEAD(&worker->idle.node);
	hrtimer_setup(&worker->timer, on_slice_end, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL_PINNED_HARD);
	task = make_thread(worker, model);
	ret = PTR_ERR_OR_ZERO(task);
	if (ret)
		goto out_worker;
	worker->idle.task = task;
	enlist(worker);
	return 0;
out_worker:
	kfree(worker);
out_count:
	owner_remove_thread(pool->owner);
	return ret;
}

/* A worker's CPUs are those of its cpuset. */
static bool has_cpu_for_more(const struct pool *pool, const struct worker *worker)
{
	return pool->nr_workers < min_t(unsigned int, worker->idle.task->nr_cpus_allowed,
					num_online_cpus());
}

static bool has_worker_for_model(const struct pool *pool, const struct worker *worker)
{
	return worker && pool_is_of(pool, worker->idle.task);
}

/**
 * worker_add - a pool's work item: make one more worker
 * @pool: the pool; it exists until its work item has been cancelled
 *
 * Not done by a worker: the first is often the only one, and this waits for locks that
 * all cgroups share. Without more threads or memory, those that there are go on alone.
 *
 * Context: workqueue.
 */
void worker_add(struct pool *pool)
{
	struct worker *first;

	mutex_lock(&pool->workers_lock);
	first = list_first_entry_or_null(&pool->workers, struct worker, node);
	if (has_worker_for_model(pool, first) && has_cpu_for_more(pool, first) &&
	    !make_worker(pool, first->idle.task))
		WRITE_ONCE(pool->help_due, jiffies);	/* There may be more to do. */
	mutex_unlock(&pool->workers_lock);
}

static void stop_worker(struct worker *worker)
{
	/*
	 * A worker needs CPU time to end, and its cgroup may have none for hours. The
	 * caller's cgroup has some; if the move fails, this takes longer.
	 */
	cgroup_attach_task_all(current, worker->idle.task);
	kthread_stop(worker->idle.task);
	hrtimer_cancel(&worker->timer);
	spin_lock_irq(&worker->pool->lock);
	list_del(&worker->idle.node);
	spin_unlock_irq(&worker->pool->lock);
	put_task_struct(worker->idle.task);
	owner_remove_thread(worker->pool->owner);
	list_del(&worker->node);
	kfree(worker);
}

/**
 * worker_stop_all - end a pool's workers
 * @pool: the pool; it has no VMs
 *
 * Context: may sleep; not in one of these workers.
 */
void worker_stop_all(struct pool *pool)
{
	struct worker *worker, *next;

	mutex_lock(&pool->workers_lock);
	list_for_each_entry_safe(worker, next, &pool->workers, node)
		stop_worker(worker);
	mutex_unlock(&pool->workers_lock);
	if (pool->owner)
		owner_put(pool->owner);
}

static int make_first_worker(struct pool *pool, struct owner *owner)
{
	int ret;

	lockdep_assert_held(&pool->workers_lock);
	if (!pool_is_of(pool, current))
		return -EXDEV;
	pool->owner = owner;
	pool->max_threads = owner_max_threads();
	ret = make_worker(pool, current);
	if (ret)
		pool->owner = NULL;
	else
		owner_get(owner);
	return ret;
}

/**
 * worker_make_first - make a pool's first worker if it has none
 * @pool: the pool
 * @owner: the user for whom all of the pool's workers count if it is made now
 *
 * Context: may sleep.
 * Return: 0; -EXDEV when there is none and the caller is in another cgroup than
 * the pool, or the cgroup takes no kernel threads; -EAGAIN when @owner may have no
 * more threads; -ENOMEM, -EINTR.
 */
int worker_make_first(struct pool *pool, struct owner *owner)
{
	int ret = 0;

	if (READ_ONCE(pool->nr_workers))
		return 0;
	mutex_lock(&pool->workers_lock);
	if (!pool->nr_workers)
		ret = make_first_worker(pool, owner);
	mutex_unlock(&pool->workers_lock);
	return ret;
}
