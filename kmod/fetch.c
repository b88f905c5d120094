// SPDX-License-Identifier: GPL-2.0-only
/*
 * fetch.c - VMs that wait for memory, away from the workers.
 *
 * Each pool has one work item that serves one VM and gets into line again. Whoever has
 * to wait for a cgroup's reclaim is of that cgroup, and no cgroup, however many of
 * its VMs want memory, has more than one of the kernel's threads.
 */
#include <linux/sched.h>

#include "fetch.h"
#include "pool.h"
#include "run.h"
#include "vm.h"

static struct workqueue_struct *workqueue;

static struct vm *take_first(struct pool *pool)
{
	struct vm *vm;

	spin_lock_irq(&pool->lock);
	vm = list_first_entry_or_null(&pool->fetcher.waiting, struct vm, queue);
	if (vm)
		list_del_init(&vm->queue);
	spin_unlock_irq(&pool->lock);
	return vm;
}

static void serve(struct vm *vm)
{
	enum verdict verdict = VERDICT_LEAVE;

	/* Nothing is reclaimed for one that will not have it. */
	if (!test_bit(VM_REQUEST_KILL, &vm->requests))
		verdict = run_fetch_memory(vm);
	pool_release(vm, verdict);
	vm_put(vm);
}

/*
 * What is taken above memory.high the kernel notes down in the thread that takes it,
 * which has to wait from some dozens of pages on. A workqueue's thread serves many:
 * the debt is the pool's. The pool outlives its last VM until fetch_stop().
 */
static void on_work(struct work_struct *work)
{
	struct pool *pool = container_of(work, struct pool, fetcher.work);
	struct vm *vm = take_first(pool);

	if (!vm)
		return;
	current->memcg_nr_pages_over_high = pool->fetcher.over_high;
	serve(vm);
	pool->fetcher.over_high = current->memcg_nr_pages_over_high;
	current->memcg_nr_pages_over_high = 0;
	/* One at a time: there may be more pools than threads. */
	queue_work(workqueue, work);
}

/**
 * fetch_init - at the birth of a pool
 * @fetcher: the pool's
 */
void fetch_init(struct fetcher *fetcher)
{
	INIT_WORK(&fetcher->work, on_work);
	INIT_LIST_HEAD(&fetcher->waiting);
}

/**
 * fetch_stop - at the end of a pool; it has no VMs and no workers
 * @fetcher: the pool's
 *
 * Context: may sleep; not the work item itself.
 */
void fetch_stop(struct fetcher *fetcher)
{
	cancel_work_sync(&fetcher->work);
}

/**
 * fetch_queue - let a VM wait for memory
 * @vm: claimed by the caller, who gives the claim away with this
 *
 * Context: pool->lock held.
 */
void fetch_queue(struct vm *vm)
{
	struct fetcher *fetcher = &vm->pool->fetcher;

	lockdep_assert_held(&vm->pool->lock);
	vm_get(vm);
	list_add_tail(&vm->queue, &fetcher->waiting);
	queue_work(workqueue, &fetcher->work);
}

/**
 * fetch_withdraw - let a VM wait for memory no longer
 * @vm: the VM
 *
 * Return: true when it did and its turn had not come; its claim and the line's
 * reference are the caller's now.
 */
bool fetch_withdraw(struct vm *vm)
{
	bool waits;

	spin_lock_irq(&vm->pool->lock);
	/* Who is claimed is in no other queue. */
	waits = vm->run_state == MAYFLY_RUNNING && !list_empty(&vm->queue);
	if (waits)
		list_del_init(&vm->queue);
	spin_unlock_irq(&vm->pool->lock);
	return waits;
}

/**
 * fetch_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int fetch_setup(void)
{
	workqueue = alloc_workqueue("mayfly-fetch", WQ_UNBOUND, WQ_UNBOUND_MAX_ACTIVE);
	return workqueue ? 0 : -ENOMEM;
}

/**
 * fetch_teardown - at unload; there are no pools
 */
void fetch_teardown(void)
{
	destroy_workqueue(workqueue);
}
