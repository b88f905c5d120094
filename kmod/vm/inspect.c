// SPDX-License-Identifier: GPL-2.0-only
/*
 * inspect.c - the rows of VMs and images.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "mem/image.h"
#include "mem/owner.h"
#include "net/port.h"
#include "vm/catalog.h"
#include "vm/cold.h"
#include "vm/inspect.h"
#include "vm/pool.h"
#include "vm/vm.h"

static_assert(offsetof(struct mayfly_vm_info, exits_by) == MAYFLY_VM_INFO_GLANCE);

/**
 * inspect_uid - how the caller's user namespace sees a user
 * @uid: of the initial one
 *
 * Return: the user there, or the one that stands for all others.
 */
uid_t inspect_uid(uid_t uid)
{
	return from_kuid_munged(current_user_ns(), make_kuid(&init_user_ns, uid));
}

/* By the clock as it is set now: who computes an age from it is right. */
static u64 unix_ns(u64 boot_ns)
{
	return boot_ns + ktime_mono_to_any(0, TK_OFFS_REAL) - ktime_mono_to_any(0, TK_OFFS_BOOT);
}

static u64 total_exits(const struct vm *vm)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < MAYFLY_EXIT_REASONS; i++)
		sum += READ_ONCE(vm->vcpu.exits[i]);
	return sum;
}

/* Where the VM stands for everybody but the one who has borrowed it. */
static u32 shown_state(const struct vm *vm)
{
	switch (vm->borrowed) {
	case BORROWED_NOT:
		return vm->run_state;
	case BORROWED_PAUSED:
		return MAYFLY_PAUSED;
	default:
		return vm->vcpu.state.waiting ? MAYFLY_PARKED : MAYFLY_READY;
	}
}

static void describe_life(struct vm *vm, struct mayfly_vm_info *info)
{
	spin_lock_irq(&vm->pool->lock);
	info->state = shown_state(vm);
	info->cpu_ns = READ_ONCE(vm->cpu_ns);
	info->flags = (vm->detached ? MAYFLY_VM_DETACHED : 0) |
		      (vm->started ? MAYFLY_VM_STARTED : 0) |
		      (vm->run_state == MAYFLY_PARKED && cold_is(vm) ?
			       MAYFLY_VM_COLD : 0) |
		      (vm->wish ? MAYFLY_VM_AWAITED : 0);
	if (vm->run_state == MAYFLY_ENDED) {
		info->reason = vm->end.reason;
		info->status = vm->end.status;
		info->address = vm->end.address;
		info->detail = vm->end.detail;
		info->rip = vm->vcpu.state.rip;
		info->ended_ns = unix_ns(vm->ended_ns);
	}
	spin_unlock_irq(&vm->pool->lock);
}

/* A snapshot gives the VM another image, and the old one may go. */
static void describe_image(struct vm *vm, struct mayfly_vm_info *info)
{
	const struct image *image;

	rcu_read_lock();
	image = smp_load_acquire(&vm->memory.image);
	info->image_id = image->id;
	memcpy(info->image, image->label, sizeof(info->image));
	rcu_read_unlock();
}

static void describe_nets(const struct vm *vm, struct mayfly_vm_info *info)
{
	const struct port *port = info->state == MAYFLY_ENDED ? NULL : vm->ports;
	struct mayfly_vm_net *row = info->nets;

	for (; port; port = port->next, row++) {
		row->ip4 = (__force u32)port->ip4;
		row->ifindex = switch_index(port->net);
		memcpy(row->ip6, &port->ip6, sizeof(row->ip6));
	}
}

/* What a glance does not show. */
static void describe_rest(struct vm *vm, struct mayfly_vm_info *info)
{
	int i;

	for (i = 0; i < MAYFLY_EXIT_REASONS; i++)
		info->exits_by[i] = READ_ONCE(vm->vcpu.exits[i]);
	info->guest_pages = READ_ONCE(vm->memory.guest_pages);
	info->table_pages = READ_ONCE(vm->memory.table_pages);
	info->device_pages = READ_ONCE(vm->memory.device_pages);
	info->struct_bytes = sizeof(*vm);
	info->console_bytes = READ_ONCE(vm->console.head);
	info->console_lost = console_lost(&vm->console);
	info->parked = READ_ONCE(vm->parked);
	info->ready = READ_ONCE(vm->ready);
	describe_nets(vm, info);
}

/**
 * inspect_vm - fill a VM's row
 * @vm: the VM
 * @info: to fill; all zero
 * @size: bytes of the row that somebody will read
 */
void inspect_vm(struct vm *vm, struct mayfly_vm_info *info, size_t size)
{
	info->id = vm->id;
	info->uid = inspect_uid(vm->key.uid);
	info->created_ns = unix_ns(vm->created_ns);
	memcpy(info->name, vm->key.name, sizeof(info->name));
	describe_image(vm, info);
	info->exits = total_exits(vm);
	info->memory = vm->memory.size;
	info->private_bytes = vm_private_bytes(vm);
	describe_life(vm, info);
	if (size > MAYFLY_VM_INFO_GLANCE)
		describe_rest(vm, info);
}

/* Neither a lookup's reference nor the name's is a user. */
static u64 users_of(const struct image *image, unsigned int lookups, bool named)
{
	return max_t(int, kref_read(&image->ref) - lookups - named, 0);
}

/**
 * inspect_image - fill an image's row
 * @image: the image
 * @lookups: references that the caller has only for this
 * @info: to fill; all zero
 *
 * Context: may sleep.
 */
void inspect_image(const struct image *image, unsigned int lookups,
		   struct mayfly_image_info *info)
{
	info->id = image->id;
	info->parent = image_parent_id(image);
	info->bytes = image_bytes(image);
	info->users = users_of(image, lookups, catalog_name(image, info->name));
	info->memory_min = image->memory_min;
	info->memory_default = image->memory_default;
	info->created_ns = unix_ns(image->created_ns);
	info->uid = inspect_uid(image->owner->uid);
	info->profile = image->profile;
	info->cpu_vendor = image->cpu_vendor;
	info->cpu_level = image->cpu_level;
	info->flags = (image->snapshot ? MAYFLY_IMAGE_SNAPSHOT : 0) |
		      (image->same_tsc ? MAYFLY_IMAGE_SAME_TSC : 0);
	memcpy(info->label, image->label, sizeof(info->label));
}
