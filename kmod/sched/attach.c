// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach.c - the RUN call: the caller's thread is the VM's only worker.
 *
 * Signals, cpusets, the freezer, KCOV and fault injection then work on a VM as
 * they do on a process.
 */
#include <linux/sched/signal.h>

#include "compat.h"
#include "mem/pages.h"
#include "sched/attach.h"
#include "sched/fetch.h"
#include "sched/run.h"
#include "vm/devpage.h"
#include "vm/life.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

static ktime_t time_to_sleep(struct vm *vm)
{
	u64 deadline = READ_ONCE(vm->vcpu.state.deadline), now = devpage_guest_now(vm);

	if (READ_ONCE(vm->run_state) != MAYFLY_PARKED ||
	    deadline == MAYFLY_FOREVER)
		return KTIME_MAX;
	return deadline > now ? min_t(u64, deadline - now, KTIME_MAX / 2) : 0;
}

/* Waits until life_try_claim() may say something else. 0 or -ERESTARTSYS. */
static int wait_for_change(struct vm *vm)
{
	/* After SET_STATE it may be parked as before, with another deadline. */
	u32 times_set = READ_ONCE(vm->times_set);
	u32 before = READ_ONCE(vm->run_state);
	ktime_t timeout;
	int ret;

	if (before == MAYFLY_READY || before == MAYFLY_ENDED)
		return 0;
	timeout = time_to_sleep(vm);
	ret = wait_event_interruptible_hrtimeout(vm->wait,
						 READ_ONCE(vm->run_state) != before ||
						 READ_ONCE(vm->times_set) != times_set,
						 timeout);
	return ret == -ETIME ? 0 : ret;
}

/*
 * Returns 0 with the VM claimed, an outcome if there is one already, or
 * -ERESTARTNOHAND: only a signal's handler ends RUN, not a stop, a freezer, a debugger.
 */
static int claim_attached(struct vm *vm, u32 flags)
{
	while (!life_try_claim(vm)) {
		if (vm_has_ended(vm))
			return MAYFLY_RAN_ENDED;
		if (flags & MAYFLY_RUN_UNTIL_PARK &&
		    READ_ONCE(vm->run_state) == MAYFLY_PARKED)
			return MAYFLY_RAN_PARKED;
		if (wait_for_change(vm))
			return -ERESTARTNOHAND;
	}
	return 0;
}

/* No timer ends this slice; the scheduler asks for the CPU. */
static enum verdict run_until_wanted(struct vm *vm, u32 flags)
{
	struct slice slice;
	enum verdict verdict;

	preempt_disable();
	slice_begin(&slice, 0);
	verdict = run_slice(vm, &slice, flags);
	preempt_enable();
	return verdict == VERDICT_SPLIT_LOCK ? run_bear_split_lock(vm) : verdict;
}

/* Returns 0 to go on, or an outcome, or -ERESTARTNOHAND. */
static int run_attached(struct vm *vm, u32 flags)
{
	enum verdict verdict = run_until_wanted(vm, flags);

	if (verdict == VERDICT_FAULT)
		verdict = fetch_memory(vm);
	if (verdict == VERDICT_READY)
		snapshot_fulfil(vm, MEMORY_SLEEP);
	life_release(vm, verdict);
	if (verdict == VERDICT_OUTPUT)
		return MAYFLY_RAN_OUTPUT;
	if (verdict == VERDICT_READY && flags & MAYFLY_RUN_UNTIL_READY)
		return MAYFLY_RAN_READY;
	if (verdict == VERDICT_MOVE)
		schedule_timeout_interruptible(1);
	compat_cond_resched();
	if (!run_is_wanted_outside())
		return 0;
	if (vm_has_ended(vm))
		return MAYFLY_RAN_ENDED;
	return signal_pending(current) ? -ERESTARTNOHAND : MAYFLY_RAN_AGAIN;
}

/**
 * attach_run - run until the VM ends, the thread is wanted elsewhere or @flags are met
 * @vm: the VM
 * @flags: MAYFLY_RUN_*
 * @outcome: out: MAYFLY_RAN_*
 *
 * Context: may sleep.
 * Return: 0, -ERESTARTNOHAND, -EBUSY when somebody else runs it, -ESRCH when it had ended
 * before.
 */
int attach_run(struct vm *vm, u32 flags, u32 *outcome)
{
	int ret = life_attach(vm);

	if (ret)
		return ret;
	do {
		ret = claim_attached(vm, flags);
		if (!ret)
			ret = run_attached(vm, flags);
	} while (!ret);
	life_detach(vm);
	if (ret < 0)
		return ret;
	*outcome = ret;
	return 0;
}
