/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * run.h - the run function: a VM and a thread become a running guest.
 */
#ifndef MAYFLY_RUN_H
#define MAYFLY_RUN_H

#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include "vm/life.h"

struct vm;

/**
 * struct slice - a VM's turn on a CPU
 * @began: local_clock() at its start, in ns
 * @length: ns it should take
 * @counted: until when it is in the VM's CPU time, as @began
 * @over: set from outside when it should end
 */
struct slice {
	u64 began;
	u64 length;
	u64 counted;
	bool over;
};

/*
 * With preemption off. A timer that would end the slice must see that it has begun: see
 * on_slice_end().
 */
static inline void slice_begin(struct slice *slice, u64 length)
{
	slice->counted = local_clock();
	WRITE_ONCE(slice->began, slice->counted);
	WRITE_ONCE(slice->length, length);
	WRITE_ONCE(slice->over, false);
	smp_mb();
}

enum verdict run_slice(struct vm *vm, struct slice *slice, u32 until);
enum verdict run_bear_split_lock(struct vm *vm);

/**
 * run_is_wanted_outside - must this thread go back to user mode?
 *
 * For a signal, for task work, or to be throttled. Restartable sequences, which set
 * TIF_NOTIFY_RESUME at every preemption, can wait.
 *
 * Return: true when it must; never for a worker, which cannot.
 */
static inline bool run_is_wanted_outside(void)
{
	if (current->flags & PF_KTHREAD)
		return false;
	return signal_pending(current) || task_work_pending(current) ||
	       current->memcg_nr_pages_over_high;
}

#endif
