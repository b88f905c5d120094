// SPDX-License-Identifier: GPL-2.0-only
/*
 * fetch.c - memory for VMs that have to wait for it, away from the workers.
 *
 * Each pool has one work item, which serves one VM and queues itself again. So a
 * cgroup's reclaim delays only the work item of its own pool, and no cgroup takes up
 * more than one kernel thread, however many of its VMs want memory.
 */
#include <linux/sched.h>

#include "mem/memory.h"
#include "mem/room.h"
#include "sched/fetch.h"
#include "sched/reclaim.h"
#include "trace.h"
#include "vm/cold.h"
#include "vm/pool.h"
#include "vm/vm.h"

static int fetch_once(struct vm *vm)
{
	int ret;

	if (cold_is(vm))
		return cold_warm(vm, MEMORY_WAIT);
	ret = memory_fault(&vm->memory, &vm->fault, MEMORY_SLEEP);
	trace_fault(vm->id, vm->fault.gpa, vm->fault.write, vm->fault.execute, ret);
	return ret;
}

/**
 * fetch_memory - after VERDICT_FAULT: get the missing memory, and wait if necessary
 * @vm: claimed by the caller
 *
 * Context: may sleep.
 * Return: VERDICT_LEAVE to go on, or VERDICT_END.
 */
enum verdict fetch_memory(struct vm *vm)
{
	int ret;

	if (room_is_above_high(vm->memory.memcg))
		reclaim_from_sleepers(vm->pool);
	do
		ret = fetch_once(vm);
	while (ret == -ENOMEM && reclaim_from_sleepers(vm->pool));
	if (ret)
		vm->end.reason = ret == -EHWPOISON ? MAYFLY_END_BROKEN_MEMORY :
						     MAYFLY_END_NO_MEMORY;
	else if (vm_account(vm))
		vm->end.reason = MAYFLY_END_LIMIT;
	else
		return VERDICT_LEAVE;
	return VERDICT_END;
}

static void serve_starved(struct vm *vm)
{
	enum verdict verdict = VERDICT_LEAVE;

	/* Nothing is reclaimed for a VM that is being killed. */
	if (!test_bit(VM_REQUEST_KILL, &vm->requests))
		verdict = fetch_memory(vm);
	life_release(vm, verdict);
	pool_wake(vm->pool);
	vm_put(vm);	/* The line's reference. */
}

/**
 * fetch_serve - a pool's work item: serve the VM that has waited longest
 * @pool: the pool; it exists until its work item has been cancelled
 *
 * The kernel counts the pages a thread takes above memory.high, and makes the thread
 * wait after some dozens of them. A workqueue's thread serves many pools, so the
 * count is kept with the pool.
 *
 * Context: workqueue.
 */
void fetch_serve(struct pool *pool)
{
	struct vm *vm = life_take_starved(pool);

	if (!vm)
		return;
	current->memcg_nr_pages_over_high = pool->over_high;
	serve_starved(vm);
	pool->over_high = current->memcg_nr_pages_over_high;
	current->memcg_nr_pages_over_high = 0;
	/* One at a time: there may be more pools than threads. */
	pool_call_fetcher(pool);
}
