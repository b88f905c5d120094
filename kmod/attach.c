// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach.c - the RUN call: the caller's thread is the VM's only worker.
 *
 * Signals, cpusets, the freezer, KCOV and fault injection then work on a VM as
 * they do on a process.
 */
#include <linux/sched/signal.h>

#include "attach.h"
#include "channel.h"
#include "pool.h"
#include "run.h"
#include "vm.h"

/* Makes the VM the caller's until detach(). */
static int attach(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		ret = -ESRCH;
	else if (vm->started || vm->attached)
		ret = -EBUSY;
	else
		vm->attached = true;
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

static void detach(struct vm *vm)
{
	spin_lock_irq(&vm->pool->lock);
	vm->attached = false;
	spin_unlock_irq(&vm->pool->lock);
}

/* True with the VM claimed; else it is parked, paused, being killed or ended. */
static bool try_claim(struct vm *vm)
{
	bool ready;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_PARKED)
		pool_settle(vm);	/* Its deadline may have passed. */
	ready = vm->run_state == MAYFLY_READY;
	if (ready) {
		vm_set_run_state(vm, MAYFLY_RUNNING);
		vm->runner = current;
	}
	spin_unlock_irq(&vm->pool->lock);
	return ready;
}

static ktime_t time_to_sleep(struct vm *vm)
{
	u64 deadline = READ_ONCE(vm->deadline), now = channel_guest_now(vm);

	if (READ_ONCE(vm->run_state) != MAYFLY_PARKED ||
	    deadline == MAYFLY_FOREVER)
		return KTIME_MAX;
	return deadline > now ? min_t(u64, deadline - now, KTIME_MAX / 2) : 0;
}

/* Waits until try_claim() may say something else. 0 or -ERESTARTSYS. */
static int wait_for_change(struct vm *vm)
{
	u32 before = READ_ONCE(vm->run_state);
	int ret;

	if (before == MAYFLY_READY || before == MAYFLY_ENDED)
		return 0;
	ret = wait_event_interruptible_hrtimeout(vm->wait,
						 READ_ONCE(vm->run_state) != before,
						 time_to_sleep(vm));
	return ret == -ETIME ? 0 : ret;
}

/* 0 with the VM claimed, the outcome if there is one already, or -EINTR. */
static int claim(struct vm *vm, u32 flags)
{
	while (!try_claim(vm)) {
		if (vm_has_ended(vm))
			return MAYFLY_RAN_ENDED;
		if (flags & MAYFLY_RUN_UNTIL_PARK &&
		    READ_ONCE(vm->run_state) == MAYFLY_PARKED)
			return MAYFLY_RAN_PARKED;
		if (wait_for_change(vm))
			return -EINTR;
	}
	return 0;
}

/* 0 to go on, or an outcome, or -EINTR. */
static int run_once(struct vm *vm, u32 flags)
{
	struct slice slice;
	enum verdict verdict;

	/* Nobody cuts it; the scheduler asks for the CPU. */
	slice_begin(&slice, 0);
	verdict = run_slice(vm, &slice, flags & MAYFLY_RUN_UNTIL_OUTPUT);

	if (verdict == VERDICT_FAULT)
		verdict = run_fetch_memory(vm);
	pool_release(vm, verdict);
	if (verdict == VERDICT_OUTPUT)
		return MAYFLY_RAN_OUTPUT;
	if (verdict == VERDICT_MOVE)
		schedule_timeout_interruptible(1);
	cond_resched_tasks_rcu_qs();
	if (run_is_wanted_outside())
		return vm_has_ended(vm) ? MAYFLY_RAN_ENDED : -EINTR;
	return 0;
}

/**
 * attach_run - run until the VM ends, a signal comes or @flags are met
 * @vm: the VM
 * @flags: MAYFLY_RUN_*
 * @outcome: out: MAYFLY_RAN_*
 *
 * Context: may sleep.
 * Return: 0, -EINTR, -EBUSY when somebody else runs it, -ESRCH when it had ended
 * before.
 */
int attach_run(struct vm *vm, u32 flags, u32 *outcome)
{
	int ret = attach(vm);

	if (ret)
		return ret;
	do {
		ret = claim(vm, flags);
		if (!ret)
			ret = run_once(vm, flags);
	} while (!ret);
	detach(vm);
	if (ret < 0)
		return ret;
	*outcome = ret;
	return 0;
}
