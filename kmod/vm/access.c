// SPDX-License-Identifier: GPL-2.0-only
/*
 * access.c - a VM's registers and memory, for its owner.
 *
 * Registers and memory only while the VM stands still, see life_stands_still(). Callers
 * come one at a time; so a VM is borrowed by one of them at most.
 */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/wait_bit.h>

#include "cpu/clock.h"
#include "cpu/state.h"
#include "mem/memory.h"
#include "mem/pages.h"
#include "vm/access.h"
#include "vm/cold.h"
#include "vm/devpage.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/vm.h"

/* Returns 0 or -EINTR. A bit needs no memory in each VM. */
static int lock_outside(struct vm *vm)
{
	return wait_on_bit_lock(&vm->outside, 0, TASK_KILLABLE) ? -EINTR : 0;
}

static void unlock_outside(struct vm *vm)
{
	clear_and_wake_up_bit(0, &vm->outside);
}

static void copy_state(struct vm *vm, struct access_state *state)
{
	lockdep_assert_held(&vm->pool->lock);
	vm_copy_state(vm, &state->registers, state->fpu);
}

/**
 * access_get_state - read the registers
 * @vm: the VM
 * @state: to fill
 *
 * Context: may sleep.
 * Return: as life_stands_still(), or -EINTR.
 */
int access_get_state(struct vm *vm, struct access_state *state)
{
	int ret = lock_outside(vm);

	if (ret)
		return ret;
	spin_lock_irq(&vm->pool->lock);
	ret = life_stands_still(vm);
	if (!ret)
		copy_state(vm, state);
	spin_unlock_irq(&vm->pool->lock);
	unlock_outside(vm);
	return ret;
}

/* What the caller's registers are too short for stays as it is. */
static void complete_state(const struct vm *vm, struct access_state *state,
			   size_t registers, bool fpu)
{
	struct mayfly_vcpu_state now = vm->vcpu.state;

	now.events = atomic64_read(&vm->pending);
	memcpy((u8 *)&state->registers + registers, (u8 *)&now + registers,
	       sizeof(now) - registers);
	if (!fpu)
		memcpy(state->fpu, vm->vcpu.fpu, sizeof(state->fpu));
}

static bool changes_device_page(const struct mayfly_vcpu_state *now,
				const struct mayfly_vcpu_state *next)
{
	return now->tsc_offset != next->tsc_offset || now->tsc_khz != next->tsc_khz ||
	       now->generation != next->generation || now->clock_seq != next->clock_seq;
}

/* Returns 0, or -EOPNOTSUPP for a frequency that the processor cannot make. */
static int judge_tsc(struct mayfly_vcpu_state *state)
{
	if (!clock_may_be(state->tsc_khz))
		return -EOPNOTSUPP;
	if (state->flags & MAYFLY_STATE_TSC)
		clock_set_tsc(state, state->tsc_offset);
	state->flags &= ~MAYFLY_STATE_TSC;
	return 0;
}

static int judge_state(struct access_state *state)
{
	int ret = judge_tsc(&state->registers);

	if (!ret && !(state_is_valid(&state->registers) && state_fpu_is_valid(state->fpu)))
		ret = -EINVAL;
	return ret;
}

static void put_state(struct vm *vm, const struct access_state *state)
{
	bool renew = changes_device_page(&vm->vcpu.state, &state->registers);

	lockdep_assert_held(&vm->pool->lock);
	cold_wait(vm);
	vm->vcpu.state = state->registers;
	if (renew)
		devpage_renew(vm);
	memcpy(vm->vcpu.fpu, state->fpu, sizeof(vm->vcpu.fpu));
	vm->vcpu.state_changed = true;
	WRITE_ONCE(vm->times_set, vm->times_set + 1);
	atomic64_set(&vm->pending, state->registers.events);
	if (vm->run_state != MAYFLY_PAUSED)
		life_settle(vm);
}

/**
 * access_set_state - write the registers
 * @vm: the VM
 * @state: in kernel memory, not yet checked; completed here
 * @registers: bytes of the registers that the caller gave
 * @fpu: the caller gave an FPU image
 *
 * Context: may sleep.
 * Return: -EINVAL for a state that some CPU would refuse, -EOPNOTSUPP for a TSC that this
 * one does not have, else as life_stands_still(), or -EINTR.
 */
int access_set_state(struct vm *vm, struct access_state *state, size_t registers,
		     bool fpu)
{
	int ret = lock_outside(vm);

	if (ret)
		return ret;
	spin_lock_irq(&vm->pool->lock);
	ret = life_stands_still(vm);
	if (!ret) {
		complete_state(vm, state, registers, fpu);
		ret = judge_state(state);
	}
	if (!ret)
		put_state(vm, state);
	pool_unlock_irq(vm->pool);
	unlock_outside(vm);
	return ret;
}

static int warm_up(struct vm *vm)
{
	int ret;

	/* What it could not be charged for when it was taken must be paid first. */
	if (!cold_is(vm))
		return vm_account(vm);
	ret = cold_warm(vm, MEMORY_SLEEP);
	if (ret)
		return ret;
	ret = vm_account(vm);
	if (ret)
		cold_chill(vm);
	return ret;
}

/**
 * access_close - give a VM back
 * @vm: after access_open(); the caller has a reference
 *
 * Context: may sleep.
 */
void access_close(struct vm *vm)
{
	life_give_back(vm);
	unlock_outside(vm);
}

/**
 * access_open - claim a VM, and make its memory reachable
 * @vm: the VM
 * @claim: life_borrow(), or life_hold() for one that may run
 *
 * Context: may sleep.
 * Return: 0 with the VM claimed and warm; or -ENOMEM, -EDQUOT, -EINTR, else as @claim.
 * Then it is as before.
 */
int access_open(struct vm *vm, int (*claim)(struct vm *vm))
{
	int ret = lock_outside(vm);

	if (ret)
		return ret;
	ret = claim(vm);
	if (ret) {
		unlock_outside(vm);
		return ret;
	}
	ret = warm_up(vm);
	if (ret)
		access_close(vm);
	return ret;
}

/**
 * access_read - copy out of guest memory
 * @vm: the VM
 * @gpa: first byte, from user space
 * @buffer: in kernel memory
 * @length: bytes
 *
 * Context: may sleep.
 * Return: 0, -EFAULT when it is not the VM's memory or broken, -ENOMEM, -EDQUOT, -EINTR,
 * else as life_stands_still().
 */
int access_read(struct vm *vm, u64 gpa, void *buffer, size_t length)
{
	int ret = access_open(vm, life_borrow);

	if (ret)
		return ret;
	if (memory_is_readable(&vm->memory, gpa, length))
		memory_read(&vm->memory, gpa, buffer, length);
	else
		ret = -EFAULT;
	access_close(vm);
	return ret;
}

/* A page that is over the limit goes again; tables, three at most, stay. */
static int make_private(struct vm *vm, u64 gpa)
{
	u32 before = vm->memory.guest_pages;
	int ret = memory_make_private(&vm->memory, gpa, MEMORY_SLEEP);
	int over = vm_account(vm);

	if (over && vm->memory.guest_pages != before) {
		WARN_ON_ONCE(memory_discard(&vm->memory, gpa & PAGE_MASK, 1) != 1);
		vm_account(vm);
	}
	return ret ?: over;
}

/**
 * access_write - copy into guest memory
 * @vm: the VM
 * @gpa: first byte, from user space
 * @buffer: in kernel memory
 * @length: bytes, all on one page
 *
 * Context: may sleep.
 * Return: as access_read(); -EHWPOISON when the page is broken.
 */
int access_write(struct vm *vm, u64 gpa, const void *buffer, size_t length)
{
	int ret = access_open(vm, life_borrow);

	if (ret)
		return ret;
	ret = make_private(vm, gpa);
	if (!ret)
		memory_write(&vm->memory, gpa, buffer, length);
	access_close(vm);
	return ret;
}
