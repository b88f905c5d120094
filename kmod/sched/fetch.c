// SPDX-License-Identifier: GPL-2.0-only
/*
 * fetch.c - memory for VMs that have to wait for it, away from the workers.
 *
 * Each pool has one work item that serves one VM and gets into line again. So the
 * thread that waits for a cgroup's reclaim is of that cgroup's pool, and no cgroup,
 * however many of its VMs want memory, has more than one of the kernel's threads.
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
 * fetch_memory - after VERDICT_FAULT: get what is missing, and wait if need be
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
		vm->end.reason = MAYFLY_END_NO_MEMORY;
	else if (vm_account(vm))
		vm->end.reason = MAYFLY_END_LIMIT;
	else
		return VERDICT_LEAVE;
	return VERDICT_END;
}

static void serve_starved(struct vm *vm)
{
	enum verdict verdict = VERDICT_LEAVE;

	/* Nothing is reclaimed for one that will not have it. */
	if (!test_bit(VM_REQUEST_KILL, &vm->requests))
		verdict = fetch_memory(vm);
	life_release(vm, verdict);
	vm_put(vm);	/* The line's reference. */
}

/**
 * fetch_serve - a pool's work item: serve the VM that waits longest
 * @pool: the pool, which outlives its last VM until this is cancelled
 *
 * The kernel notes what a thread takes above memory.high, and makes the thread wait
 * from some dozens of pages on. A workqueue's thread serves many pools: the debt is
 * the pool's.
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
