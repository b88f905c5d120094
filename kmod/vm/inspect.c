// SPDX-License-Identifier: GPL-2.0-only
/*
 * inspect.c - read and set a VM's state from outside: its row in lists, its counters,
 * its registers.
 */
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <linux/cred.h>

#include "cpu/state.h"
#include "mem/image.h"
#include "vm/cold.h"
#include "vm/inspect.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/vm.h"

/**
 * inspect_get_state - read the registers
 * @vm: the VM
 * @state: to fill
 *
 * Return: as life_stands_still().
 */
int inspect_get_state(struct vm *vm, struct mayfly_vcpu_state *state)
{
	int ret;

	spin_lock_irq(&vm->pool->lock);
	ret = life_stands_still(vm);
	if (!ret)
		*state = vm->vcpu.state;
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

/**
 * inspect_set_state - write the registers
 * @vm: the VM
 * @state: in kernel memory, not yet checked
 *
 * A waiting guest stops waiting.
 *
 * Return: -EINVAL for a state that some CPU would refuse, else as
 * life_stands_still().
 */
int inspect_set_state(struct vm *vm, const struct mayfly_vcpu_state *state)
{
	int ret;

	if (!state_is_valid(state))
		return -EINVAL;
	spin_lock_irq(&vm->pool->lock);
	ret = life_stands_still(vm);
	if (!ret) {
		vm->vcpu.state = *state;
		vm->vcpu.state_changed = true;
		vm->waiting = VM_WAITING_NOT;
		if (vm->run_state == MAYFLY_PARKED)
			life_settle(vm);
	}
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

static u64 total_exits(const struct vm *vm)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < MAYFLY_EXIT_REASONS; i++)
		sum += READ_ONCE(vm->vcpu.exits[i]);
	return sum;
}

/**
 * inspect_describe - fill a VM's row in a list
 * @vm: the VM
 * @info: to fill; all zero
 */
void inspect_describe(struct vm *vm, struct mayfly_vm_info *info)
{
	kuid_t uid = make_kuid(&init_user_ns, vm->key.uid);

	info->id = vm->id;
	info->uid = from_kuid_munged(current_user_ns(), uid);
	info->memory = vm->memory.size;
	info->private_bytes = vm_private_bytes(vm);
	info->exits = total_exits(vm);
	info->created_ns = vm->created_ns;
	memcpy(info->name, vm->key.name, sizeof(info->name));
	memcpy(info->image, vm->image->name, sizeof(info->image));
	spin_lock_irq(&vm->pool->lock);
	info->state = vm->run_state;
	info->cpu_ns = vm->cpu_ns;
	info->flags = (vm->detached ? MAYFLY_VM_DETACHED : 0) |
		      (vm->started ? MAYFLY_VM_STARTED : 0) |
		      (vm->run_state == MAYFLY_PARKED && cold_is(vm) ?
			       MAYFLY_VM_COLD : 0);
	if (vm->run_state == MAYFLY_ENDED) {
		info->reason = vm->end.reason;
		info->status = vm->end.status;
		info->address = vm->end.address;
		info->detail = vm->end.detail;
		info->rip = vm->vcpu.state.rip;
		info->ended_ns = vm->ended_ns;
	}
	spin_unlock_irq(&vm->pool->lock);
}

/**
 * inspect_stat - fill in all of a VM's counters
 * @vm: the VM
 * @stat: to fill; all zero
 */
void inspect_stat(struct vm *vm, struct mayfly_vm_stat *stat)
{
	int i;

	inspect_describe(vm, &stat->info);
	for (i = 0; i < MAYFLY_EXIT_REASONS; i++)
		stat->exits[i] = READ_ONCE(vm->vcpu.exits[i]);
	stat->guest_pages = READ_ONCE(vm->memory.guest_pages);
	stat->table_pages = READ_ONCE(vm->memory.table_pages);
	stat->device_pages = READ_ONCE(vm->memory.device_pages);
	stat->struct_bytes = sizeof(*vm);
	stat->console_bytes = READ_ONCE(vm->console.head);
	stat->console_lost = console_lost(&vm->console);
	stat->parked = READ_ONCE(vm->parked);
}
