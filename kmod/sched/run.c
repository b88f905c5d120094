// SPDX-License-Identifier: GPL-2.0-only
/*
 * run.c - the run function. Workers (worker.c) and RUN (attach.c) both end here.
 *
 *   load -> [ enter -> exit -> host interrupt -> trap_handle ] ... -> save
 *
 * The bracket repeats until trap_handle() says otherwise, or somebody wants the CPU
 * or the VM. Everything that is not needed per exit happens once per slice: control
 * block, accounting. The guest has the FPU, but for an interrupt of the host's.
 *
 * Interrupts are off but where the host takes its own and in trap_handle(): in between
 * the machine may go down and take this CPU's virtualization away.
 */
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <asm/fpu/api.h>

#include "compat.h"
#include "cpu/backend.h"
#include "cpu/fpu_asm.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "guest/nic.h"
#include "guest/trap.h"
#include "guest/verdict.h"
#include "sched/run.h"
#include "trace.h"
#include "vm/cold.h"
#include "vm/devpage.h"
#include "vm/vm.h"

/* Right before entry: a later kick is a pending interrupt and causes an exit at once. */
static bool must_leave(const struct vm *vm, const struct slice *slice)
{
	return READ_ONCE(vm->requests) || READ_ONCE(slice->over) || compat_need_resched() ||
	       run_is_wanted_outside();
}

static void count_time(struct vm *vm, struct slice *slice)
{
	u64 now = local_clock();

	WRITE_ONCE(vm->cpu_ns, vm->cpu_ns + now - slice->counted);
	slice->counted = now;
}

/* A function of its own, in which scripts/check-speculation can look. */
static noinline void run_load_fpu(struct vm *vm)
{
	kernel_fpu_begin_mask(0);
	fpu_load_guest(vm->vcpu.fpu, &vm->vcpu.tag.cpu);
}

static void save_fpu(struct vm *vm)
{
	fpu_save_guest(vm->vcpu.fpu);
	kernel_fpu_end();
}

/* For an interrupt's handler, or the softirqs behind it. */
static bool host_needs_fpu(const struct vm_exit *exit)
{
	return exit->reason == MAYFLY_EXIT_INTERRUPT || !SOFTIRQS_ASK_FOR_FPU;
}

static enum verdict handle_exit(struct vm *vm, struct slice *slice, const struct vm_exit *exit)
{
	if (exit->reason != MAYFLY_EXIT_INTERRUPT)
		return trap_handle(vm, exit);
	/* Nothing may end the slice of an attached VM for long, and others look at it. */
	count_time(vm, slice);
	devpage_follow_host(vm);
	return VERDICT_ENTER;
}

static enum verdict enter_once(struct vm *vm, struct slice *slice)
{
	enum verdict verdict;
	struct vm_exit exit;
	bool give_back;

	if (must_leave(vm, slice))
		return VERDICT_LEAVE;
	trace_vm_entry(vm->id, vm->vcpu.state.rip);
	static_call(backend_run)(&vm->vcpu, &exit);
	vm->vcpu.exits[exit.reason]++;
	trace_vm_exit(vm->id, vm->vcpu.state.rip, exit.reason,
		      vm->vcpu.state.regs[MAYFLY_RAX], exit.detail);
	give_back = host_needs_fpu(&exit) && !mutation_is(MUTATION_KEEP_FPU);
	if (give_back)
		save_fpu(vm);
	if (host_needs_fpu(&exit))
		shadow_interrupt();
	local_irq_enable();
	verdict = handle_exit(vm, slice, &exit);
	local_irq_disable();
	if (give_back)
		run_load_fpu(vm);
	return verdict;
}

/* Does anybody want to know of it before the slice is over? */
static bool is_awaited(const struct vm *vm, enum verdict verdict, u32 until)
{
	switch (verdict) {
	case VERDICT_OUTPUT:
		return until & MAYFLY_RUN_UNTIL_OUTPUT;
	case VERDICT_READY:
		return until & MAYFLY_RUN_UNTIL_READY || READ_ONCE(vm->wish);
	default:
		return true;
	}
}

static enum verdict enter_until(struct vm *vm, struct slice *slice, u32 until)
{
	enum verdict verdict;

	if (vm->vcpu.state.waiting)
		trap_finish_wait(vm);
	do
		verdict = enter_once(vm, slice);
	while (verdict == VERDICT_ENTER || !is_awaited(vm, verdict, until));
	return verdict;
}

static void mutate_guest(struct vm *vm)
{
	if (mutation_is(MUTATION_GUEST_CS)) {
		vm->vcpu.state.cs.attributes = 0x0e9b;	/* L and D/B */
		vm->vcpu.state_changed = true;
	}
}

/* Returns VERDICT_ENTER when the VM is warm. */
static enum verdict warm_up(struct vm *vm)
{
	if (cold_warm(vm, MEMORY_ATOMIC))
		return VERDICT_FAULT;
	return vm_account(vm) ? end_guest(vm, MAYFLY_END_LIMIT, 0, 0) : VERDICT_ENTER;
}

/**
 * run_bear_split_lock - after VERDICT_SPLIT_LOCK
 * @vm: claimed by the caller
 *
 * The host treats it as its own processes' (split_lock_detect=): it waits here and lets
 * such locks pass on this CPU for some ms, or sends the thread SIGBUS.
 *
 * Context: may sleep.
 * Return: VERDICT_SPLIT_LOCK when it may go on, or VERDICT_END.
 */
enum verdict run_bear_split_lock(struct vm *vm)
{
	if (compat_guest_split_lock(vm->vcpu.state.rip))
		return VERDICT_SPLIT_LOCK;
	if (current->flags & PF_KTHREAD)
		flush_signals(current);
	return end_guest(vm, MAYFLY_END_SPLIT_LOCK, 0, 0);
}

/**
 * run_slice - run a VM on this CPU for a while
 * @vm: claimed by the caller
 * @slice: this turn, begun; its @over ends it from outside
 * @until: MAYFLY_RUN_UNTIL_OUTPUT, _READY: what else it comes back for
 *
 * Context: preemption is off since slice_begin(): other threads' time is not the VM's.
 * Return: why it stopped; never VERDICT_ENTER.
 */
enum verdict run_slice(struct vm *vm, struct slice *slice, u32 until)
{
	enum verdict verdict = VERDICT_MOVE;

	if (unlikely(cold_is(vm))) {
		verdict = warm_up(vm);
		if (verdict != VERDICT_ENTER)
			return verdict;
		verdict = VERDICT_MOVE;
	}
	if (unlikely(vm->ports) && vm->vcpu.state.waiting) {
		verdict = nic_receive(vm);
		if (verdict != VERDICT_ENTER)
			return verdict;
		verdict = VERDICT_MOVE;
	}
	mutate_guest(vm);
	local_irq_disable();
	devpage_follow_host(vm);
	shadow_host_before(SHADOW_SLICE);
	if (!backend->load(&vm->vcpu)) {
		run_load_fpu(vm);
		verdict = enter_until(vm, slice, until);
		save_fpu(vm);
		backend->save(&vm->vcpu);
		shadow_host_after(SHADOW_SLICE);
		count_time(vm, slice);
	}
	local_irq_enable();
	return verdict;
}
