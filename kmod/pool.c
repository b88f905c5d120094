// SPDX-License-Identifier: GPL-2.0-only
/*
 * pool.c - workers, the run queue, and parked VMs with a deadline.
 *
 * A pool belongs to a cgroup, and so do its workers: CPU time and memory of the
 * VMs are the creator's. One queue serves all workers of a pool, a millisecond a
 * turn; a parked VM is in no queue and costs nothing. pool->lock protects who
 * runs, waits or sleeps.
 */
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <uapi/linux/sched/types.h>

#include "channel.h"
#include "cold.h"
#include "owner.h"
#include "pool.h"
#include "run.h"
#include "vm.h"

#define SLICE_NS	NSEC_PER_MSEC
#define MIN_SLICE_NS	(SLICE_NS / 8)
#define MAX_CREDIT_NS	(2 * SLICE_NS)
#define MAX_DEBT_NS	(16 * SLICE_NS)
/* Turns passed over in a row, before the next VM runs whatever it has had. */
#define MAX_SKIPS	32
/* No guest gets more timer interrupts out of a host CPU than these allow. */
#define WAKES_PER_PASS	64
#define MIN_TIMER_NS	(50 * NSEC_PER_USEC)
/* In jiffies: how often a frozen cgroup's workers look whether it still is. */
#define THAW_CHECK	(HZ / 20)

/**
 * struct worker - a kernel thread that runs VMs
 * @task: the thread
 * @pool: whose VMs
 * @timer: ends the slice
 * @slice: the turn of the VM that runs, or ran last
 */
struct worker {
	struct task_struct *task;
	struct pool *pool;
	struct hrtimer timer;
	struct slice slice;
};

static DEFINE_MUTEX(pools_lock);
static LIST_HEAD(pools);
static atomic_long_t nr_pools = ATOMIC_LONG_INIT(0);
static atomic64_t nr_parked = ATOMIC64_INIT(0);
static struct workqueue_struct *workqueue;

/**
 * pool_count - pools that exist
 *
 * Return: how many.
 */
u64 pool_count(void)
{
	return atomic_long_read(&nr_pools);
}

/**
 * pool_parked - times a VM has parked
 *
 * Return: how many since the module was loaded.
 */
u64 pool_parked(void)
{
	return atomic64_read(&nr_parked);
}

static struct vm *vm_of_sleeper(struct timerqueue_node *node)
{
	return container_of(node, struct vm, sleeper);
}

static void set_timer(struct pool *pool, ktime_t expires)
{
	ktime_t soonest = ktime_add_ns(ktime_get(), MIN_TIMER_NS);

	hrtimer_start(&pool->timer, max(expires, soonest), HRTIMER_MODE_ABS_HARD);
}

static void make_ready(struct vm *vm)
{
	struct pool *pool = vm->pool;

	vm_set_run_state(vm, MAYFLY_READY);
	if (!vm->started)
		return;	/* The thread in RUN will see it. */
	list_add_tail(&vm->queue, &pool->ready);
	if (wq_has_sleeper(&pool->idle))
		wake_up(&pool->idle);
}

static void make_parked(struct vm *vm, u64 now)
{
	struct pool *pool = vm->pool;

	if (vm->run_state == MAYFLY_RUNNING) {
		vm->parked++;
		atomic64_inc(&nr_parked);
	}
	vm->credit = min_t(s64, vm->credit, 0);	/* Turns not used are not saved. */
	vm_set_run_state(vm, MAYFLY_PARKED);
	vm->parked_at = jiffies;
	if (cold_is_worth_it(vm)) {
		list_add_tail(&vm->queue, &pool->warm);
		pool->nr_warm++;
	}
	if (!vm->started || vm->deadline == MAYFLY_FOREVER)
		return;
	vm->sleeper.expires = ktime_add_ns(ktime_get(),
					   min_t(u64, vm->deadline - now,
						 KTIME_MAX / 2));
	if (timerqueue_add(&pool->sleepers, &vm->sleeper))
		set_timer(pool, vm->sleeper.expires);
}

/**
 * pool_settle - put a VM where it belongs: it waits, or wants to run
 * @vm: ready, parked or paused, or claimed by the caller, who gives the claim
 *	back by this
 *
 * Parks it when its guest waits for something that has not come yet; otherwise
 * it is ready, and queued if it belongs to the workers.
 *
 * Context: pool->lock held.
 */
void pool_settle(struct vm *vm)
{
	pool_withdraw(vm);
	if (vm->waiting && !atomic64_read(&vm->pending)) {
		u64 now = channel_guest_now(vm);

		if (now < vm->deadline) {
			make_parked(vm, now);
			return;
		}
	}
	make_ready(vm);
}

/**
 * pool_withdraw - take a VM out of the queue or out of its sleep
 * @vm: ready, parked or paused
 *
 * Context: pool->lock held.
 */
void pool_withdraw(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	if (vm->run_state == MAYFLY_PARKED && !list_empty(&vm->queue))
		vm->pool->nr_warm--;
	list_del_init(&vm->queue);
	if (!RB_EMPTY_NODE(&vm->sleeper.node))
		timerqueue_del(&vm->pool->sleepers, &vm->sleeper);
}

/**
 * pool_init_vm - a new VM is in no queue
 * @vm: the VM
 */
void pool_init_vm(struct vm *vm)
{
	INIT_LIST_HEAD(&vm->queue);
	timerqueue_init(&vm->sleeper);
	vm->run_state = MAYFLY_READY;
}

/* Wakes the sleepers that are due; returns when to come back, or KTIME_MAX. */
static ktime_t wake_sleepers(struct pool *pool)
{
	ktime_t now = ktime_get();
	struct timerqueue_node *node;
	int n;

	for (n = 0; n < WAKES_PER_PASS; n++) {
		node = timerqueue_getnext(&pool->sleepers);
		if (!node)
			return KTIME_MAX;
		if (node->expires > now)
			return node->expires;
		pool_settle(vm_of_sleeper(node));
	}
	return now;
}

static enum hrtimer_restart on_deadline(struct hrtimer *timer)
{
	struct pool *pool = container_of(timer, struct pool, timer);
	ktime_t next;

	spin_lock(&pool->lock);
	next = wake_sleepers(pool);
	if (next != KTIME_MAX)
		set_timer(pool, next);
	spin_unlock(&pool->lock);
	return HRTIMER_NORESTART;
}

/**
 * pool_cancel_fetch - do not let a VM wait in line for memory to be killed
 * @vm: with VM_REQUEST_KILL set, if it is claimed at all
 *
 * Context: may sleep.
 */
void pool_cancel_fetch(struct vm *vm)
{
	if (fetch_withdraw(vm)) {
		pool_release(vm, VERDICT_LEAVE);
		vm_put(vm);
	}
}

/**
 * pool_release - give a claimed VM back
 * @vm: claimed by the caller, who must not use it afterwards without a
 *	reference of its own
 * @verdict: what its last slice ended with
 *
 * Context: may sleep.
 */
void pool_release(struct vm *vm, enum verdict verdict)
{
	struct pool *pool = vm->pool;
	unsigned long flags;
	bool awaited;

	if (verdict == VERDICT_END) {
		vm_end(vm, &vm->end);
		return;
	}
	spin_lock_irqsave(&pool->lock, flags);
	vm->runner = NULL;
	if (test_bit(VM_REQUEST_KILL, &vm->requests)) {
		spin_unlock_irqrestore(&pool->lock, flags);
		vm_end(vm, &vm_killed);
		return;
	}
	if (verdict == VERDICT_FAULT) {
		fetch_queue(vm);
		spin_unlock_irqrestore(&pool->lock, flags);
		return;
	}
	if (test_and_clear_bit(VM_REQUEST_PAUSE, &vm->requests))
		vm_set_run_state(vm, MAYFLY_PAUSED);
	else
		pool_settle(vm);
	/* They may be many, so not under the lock; after it the VM may be gone. */
	awaited = wq_has_sleeper(&vm->wait);
	if (unlikely(awaited))
		vm_get(vm);
	spin_unlock_irqrestore(&pool->lock, flags);
	if (unlikely(awaited)) {
		wake_up_all(&vm->wait);
		vm_put(vm);
	}
}

/*
 * Deficit round robin: every turn is worth a slice, and what a VM takes more or
 * less of it, because an interrupt was late or the scheduler early, is made up
 * for in its next turns. So all get the same CPU time, not the same turns.
 */
static bool take_turn(struct vm *vm)
{
	vm->credit = min_t(s64, vm->credit + SLICE_NS, MAX_CREDIT_NS);
	return vm->credit >= MIN_SLICE_NS;
}

static void pay(struct vm *vm, u64 ns)
{
	vm->credit = max_t(s64, vm->credit - ns, -MAX_DEBT_NS);
}

static struct vm *choose_next(struct pool *pool)
{
	struct vm *vm;
	int skips;

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
	if (vm) {
		list_del_init(&vm->queue);
		vm_set_run_state(vm, MAYFLY_RUNNING);
		vm->runner = current;
	}
	spin_unlock_irq(&pool->lock);
	return vm;
}

static enum hrtimer_restart on_slice_end(struct hrtimer *timer)
{
	struct worker *worker = container_of(timer, struct worker, timer);
	s64 left;

	/* Pairs with slice_begin(): who found this timer armed is seen here. */
	smp_mb();
	left = READ_ONCE(worker->slice.length) -
	       (s64)(local_clock() - READ_ONCE(worker->slice.began));
	if (left > 0) {
		hrtimer_start(timer, ns_to_ktime(left), HRTIMER_MODE_REL_PINNED_HARD);
		return HRTIMER_NORESTART;
	}
	WRITE_ONCE(worker->slice.over, true);
	/* The worker may have moved; the interrupt that ends guest mode not. */
	kick_process(worker->task);
	return HRTIMER_NORESTART;
}

/*
 * The timer is left running when a VM parks early, and gives the next one the
 * rest of its slice when it fires: at most one timer is armed per millisecond,
 * however short the visits, and nobody's slice is cut by who was there before.
 */
static void run_one(struct worker *worker, struct vm *vm)
{
	u64 before = vm->cpu_ns;
	enum verdict verdict;

	slice_begin(&worker->slice, vm->credit);
	if (!hrtimer_is_queued(&worker->timer))
		hrtimer_start(&worker->timer, ns_to_ktime(vm->credit),
			      HRTIMER_MODE_REL_PINNED_HARD);
	verdict = run_slice(vm, &worker->slice, false);
	pay(vm, vm->cpu_ns - before);
	pool_release(vm, verdict);
	if (verdict == VERDICT_MOVE)	/* This CPU is on its way out. */
		schedule_timeout_uninterruptible(1);
}

/*
 * cgroup.freeze stops processes, but no kernel threads, and does not tell them. A
 * VM that runs is put down at the end of its slice, a millisecond later.
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

static int work(void *data)
{
	struct worker *worker = data;
	struct pool *pool = worker->pool;

	while (!kthread_should_stop()) {
		struct vm *vm;

		wait_for_thaw(pool);
		vm = claim_next(pool);
		if (vm)
			run_one(worker, vm);
		else
			wait_event_idle_exclusive(pool->idle,
						  kthread_should_stop() ||
						  !list_empty(&pool->ready));
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}

/*
 * Workers do not preempt who wakes them: a thousand VMs that are started or
 * notified in one call are queued first and then run, without a switch for each.
 */
static const struct sched_attr worker_policy = {
	.size = sizeof(worker_policy),
	.sched_policy = SCHED_BATCH,
};

static bool is_of(struct task_struct *task, const struct pool *pool)
{
	bool same;

	rcu_read_lock();
	same = task_dfl_cgroup(task) == pool->cgroup;
	rcu_read_unlock();
	return same;
}

static int make_worker(struct pool *pool, struct worker *worker)
{
	struct task_struct *task;
	int ret = owner_add_thread(pool->owner);

	if (ret)
		return ret;
	task = kthread_create(work, worker, "mayfly/%u", pool->nr_workers);
	if (IS_ERR(task)) {
		owner_remove_thread(pool->owner);
		return PTR_ERR(task);
	}
	ret = cgroup_attach_task_all(current, task);
	if (!ret)
		ret = sched_setattr_nocheck(task, &worker_policy);
	/* The caller may have been moved meanwhile. */
	if (ret || !is_of(task, pool)) {
		kthread_stop(task);
		owner_remove_thread(pool->owner);
		return -EXDEV;
	}
	worker->pool = pool;
	worker->task = get_task_struct(task);
	hrtimer_init(&worker->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	worker->timer.function = on_slice_end;
	pool->nr_workers++;
	return 0;
}

static void stop_workers(struct pool *pool)
{
	unsigned int i;

	for (i = 0; i < pool->nr_workers; i++) {
		struct worker *worker = &pool->workers[i];

		/*
		 * To end it needs CPU time, which its cgroup may not have for hours.
		 * The caller's has some; if that fails it takes longer.
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

static int make_all_workers(struct pool *pool, struct owner *owner)
{
	unsigned int i, n = num_online_cpus();
	int ret = 0;

	pool->workers = kcalloc(n, sizeof(*pool->workers), MEMORY_SLEEP);
	if (!pool->workers)
		return -ENOMEM;
	owner_get(owner);
	pool->owner = owner;
	for (i = 0; i < n && !ret; i++)
		ret = make_worker(pool, &pool->workers[i]);
	if (ret) {
		stop_workers(pool);
		return ret;
	}
	for (i = 0; i < n; i++)
		wake_up_process(pool->workers[i].task);
	return 0;
}

/**
 * pool_make_workers - have workers
 * @pool: the pool
 * @owner: whose threads they count as, if there are none yet
 *
 * Context: may sleep.
 * Return: 0; -EXDEV when there are none and the caller is in another cgroup than
 * the pool, or the cgroup takes no kernel threads; -EAGAIN when @owner may have no
 * more threads; -ENOMEM, -EINTR.
 */
int pool_make_workers(struct pool *pool, struct owner *owner)
{
	int ret = 0;

	if (smp_load_acquire(&pool->workers_ready))
		return 0;
	mutex_lock(&pool->workers_lock);
	if (!pool->workers)
		ret = is_of(current, pool) ? make_all_workers(pool, owner) : -EXDEV;
	if (!ret)
		smp_store_release(&pool->workers_ready, true);
	mutex_unlock(&pool->workers_lock);
	return ret;
}

static void dispose(struct pool *pool)
{
	stop_workers(pool);
	fetch_stop(&pool->fetcher);
	hrtimer_cancel(&pool->timer);
	cgroup_put(pool->cgroup);
	mem_cgroup_put(pool->memcg);
	kfree(pool);
	atomic_long_dec(&nr_pools);
}

static void on_free_work(struct work_struct *work)
{
	dispose(container_of(work, struct pool, free_work));
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

/* Not that of the address space, whose first user may be in another cgroup. */
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

static struct pool *make_pool(struct cgroup *cgroup)
{
	struct pool *pool = kzalloc(sizeof(*pool), MEMORY_SLEEP);

	if (!pool)
		return NULL;
	kref_init(&pool->ref);
	pool->cgroup = cgroup;
	pool->memcg = current_memcg();
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->ready);
	INIT_LIST_HEAD(&pool->warm);
	timerqueue_init_head(&pool->sleepers);
	hrtimer_init(&pool->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	pool->timer.function = on_deadline;
	init_waitqueue_head(&pool->idle);
	mutex_init(&pool->workers_lock);
	fetch_init(&pool->fetcher);
	INIT_WORK(&pool->free_work, on_free_work);
	atomic_long_inc(&nr_pools);
	return pool;
}

static struct pool *find_pool(const struct cgroup *cgroup)
{
	struct pool *pool;

	lockdep_assert_held(&pools_lock);
	list_for_each_entry(pool, &pools, node) {
		if (pool->cgroup == cgroup) {
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
 * Return: it with a reference, or NULL without memory.
 */
struct pool *pool_get_current(void)
{
	struct cgroup *cgroup = current_cgroup();
	struct pool *made, *pool;

	mutex_lock(&pools_lock);
	pool = find_pool(cgroup);
	mutex_unlock(&pools_lock);
	if (pool)
		goto out_cgroup;

	/* Not under the lock: this cgroup may be short of memory, others are not. */
	made = make_pool(cgroup);
	if (!made)
		goto out_cgroup;
	mutex_lock(&pools_lock);
	pool = find_pool(cgroup);
	if (!pool)
		list_add(&made->node, &pools);
	mutex_unlock(&pools_lock);
	if (!pool)
		return made;	/* It keeps the reference to the cgroup. */
	dispose(made);
	return pool;
out_cgroup:
	cgroup_put(cgroup);
	return pool;
}

/* The VM that has slept longest goes cold. 0 when it has not slept that long. */
static unsigned int chill_one(struct pool *pool, unsigned long before)
{
	unsigned int pages = 0;
	unsigned long flags;
	struct vm *vm;

	spin_lock_irqsave(&pool->lock, flags);
	vm = list_first_entry_or_null(&pool->warm, struct vm, queue);
	if (vm && time_before_eq(vm->parked_at, before)) {
		list_del_init(&vm->queue);
		pool->nr_warm--;
		pages = cold_chill(vm);
	}
	spin_unlock_irqrestore(&pool->lock, flags);
	return pages;
}

/**
 * pool_chill_own - let VMs of one pool that sleep go cold
 * @pool: the pool
 * @before: only those that have slept since then, in jiffies
 * @vms: so many at most
 *
 * Context: task; does not sleep.
 * Return: pages given back.
 */
unsigned int pool_chill_own(struct pool *pool, unsigned long before, unsigned int vms)
{
	unsigned int got, pages = 0;

	while (vms-- && (got = chill_one(pool, before)))
		pages += got;
	return pages;
}

/**
 * pool_chill - let VMs that sleep go cold
 * @before: only those that have slept since then, in jiffies
 * @vms: so many at most
 * @pages: out: pages given back
 *
 * Those of each pool that have slept longest; the pools take turns.
 *
 * Context: task; does not sleep, as it is called when memory is short.
 * Return: true when there may be more of them.
 */
bool pool_chill(unsigned long before, unsigned int vms, unsigned int *pages)
{
	struct pool *pool;

	*pages = 0;
	/* Reclaim may not wait for a holder that its cgroup has put to sleep. */
	if (!mutex_trylock(&pools_lock))
		return false;
	list_rotate_left(&pools);
	list_for_each_entry(pool, &pools, node) {
		unsigned int got;

		while (vms && (got = chill_one(pool, before))) {
			*pages += got;
			vms--;
		}
	}
	mutex_unlock(&pools_lock);
	return !vms;
}

/**
 * pool_warm_sleepers - VMs that pool_chill() could take
 *
 * Context: as pool_chill().
 * Return: how many, about.
 */
unsigned long pool_warm_sleepers(void)
{
	unsigned long sum = 0;
	struct pool *pool;

	if (!mutex_trylock(&pools_lock))
		return 0;
	list_for_each_entry(pool, &pools, node)
		sum += READ_ONCE(pool->nr_warm);
	mutex_unlock(&pools_lock);
	return sum;
}

static void pool_free(struct kref *ref)
{
	struct pool *pool = container_of(ref, struct pool, ref);

	list_del(&pool->node);
	mutex_unlock(&pools_lock);
	/* A worker may be the one that drops the last reference. */
	queue_work(workqueue, &pool->free_work);
}

/**
 * pool_put - drop a reference
 * @pool: the pool
 *
 * Context: may sleep.
 */
void pool_put(struct pool *pool)
{
	kref_put_mutex(&pool->ref, pool_free, &pools_lock);
}

/**
 * pool_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int pool_setup(void)
{
	workqueue = alloc_workqueue("mayfly", WQ_UNBOUND, 0);
	return workqueue ? 0 : -ENOMEM;
}

/**
 * pool_teardown - at unload; waits for pools on their way out
 */
void pool_teardown(void)
{
	destroy_workqueue(workqueue);
	WARN_ON_ONCE(pool_count());
}
