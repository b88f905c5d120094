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

/* Nobody cuts an attached VM's slice; the scheduler asks for the CPU instead. */
static const bool never_over;

/*
 * Returns 0 with the VM claimed, or -ESRCH, -EBUSY, or -EAGAIN when it is
 * paused, parked or just being killed and the caller should wait.
 */
static int try_claim(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		ret = -ESRCH;
	else if (vm->started || vm->runner)
		ret = -EBUSY;
	else if (vm->run_state == MAYFLY_PARKED)
		pool_settle(vm);	/* Its deadline may have passed. */
	if (!ret && vm->run_state != MAYFLY_READY)
		ret = -EAGAIN;
	if (!ret) {
		WRITE_ONCE(vm->run_state, MAYFLY_RUNNING);
		vm->runner = current;
	}
	spin_unlock_irq(&vm->pool->lock);
	return ret;
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

static int claim(struct vm *vm, u32 flags)
{
	int ret;

	while ((ret = try_claim(vm)) == -EAGAIN) {
		if (flags & MAYFLY_RUN_UNTIL_PARK &&
		    READ_ONCE(vm->run_state) == MAYFLY_PARKED)
			return -EAGAIN;
		if (wait_for_change(vm))
			return -EINTR;
	}
	return ret;
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
	bool ran = false;
	enum verdict verdict;
	int ret;

	for (;;) {
		ret = claim(vm, flags);
		if (ret)
			break;
		ran = true;
		verdict = run_slice(vm, &never_over,
				    flags & MAYFLY_RUN_UNTIL_OUTPUT);
		if (verdict == VERDICT_FAULT)
			verdict = run_fetch_memory(vm);
		pool_release(vm, verdict);
		if (verdict == VERDICT_OUTPUT) {
			*outcome = MAYFLY_RAN_OUTPUT;
			return 0;
		}
		if (signal_pending(current) && !vm_has_ended(vm))
			return -EINTR;
		if (verdict == VERDICT_MOVE)
			schedule_timeout_interruptible(1);
		cond_resched();
	}
	if (ret == -EAGAIN) {
		*outcome = MAYFLY_RAN_PARKED;
		return 0;
	}
	if (ret == -ESRCH && ran) {
		*outcome = MAYFLY_RAN_ENDED;
		return 0;
	}
	return ret;
}
