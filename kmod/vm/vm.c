// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - a VM as an object: built, counted, freed.
 *
 * References: one for the table of ids until the VM is removed, one per
 * descriptor, one per lookup. Only struct vm itself waits for RCU; everything it
 * holds is freed at once.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "debug/mutation.h"
#include "mem/image.h"
#include "mem/owner.h"
#include "net/port.h"
#include "vm/names.h"
#include "vm/pool.h"
#include "vm/vm.h"

static struct kmem_cache *vm_cache;
static atomic64_t last_id = ATOMIC64_INIT(0);

/**
 * vm_spawned - VMs made so far
 *
 * Return: how many.
 */
u64 vm_spawned(void)
{
	return atomic64_read(&last_id);
}

/**
 * vm_may_use - may the caller use a VM, or an image?
 * @uid: of its owner
 *
 * Return: true for the owner and for CAP_SYS_ADMIN.
 */
bool vm_may_use(uid_t uid)
{
	return vm_is_callers(uid) || vm_may_all();
}

/**
 * vm_is_callers - is it the caller's?
 * @uid: of its owner
 *
 * Return: true for the owner.
 */
bool vm_is_callers(uid_t uid)
{
	return uid == from_kuid(&init_user_ns, current_euid());
}

/**
 * vm_may_all - may the caller use everybody's VMs?
 *
 * Return: true for CAP_SYS_ADMIN. The check is not audited: most callers lack it.
 */
bool vm_may_all(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

static void free_vm_struct(struct rcu_head *rcu)
{
	kmem_cache_free(vm_cache, container_of(rcu, struct vm, rcu));
}

static void free_vm(struct kref *ref)
{
	struct vm *vm = container_of(ref, struct vm, ref);

	port_close_all(vm->ports);
	port_free_all(vm->ports);
	memory_free(&vm->memory);
	console_free(&vm->console);
	if (vm->args)
		put_page(vm->args);
	image_put(vm->memory.image);
	owner_charge(vm->owner, -(s64)vm->charged);
	owner_put(vm->owner);
	pool_put(vm->pool);
	call_rcu(&vm->rcu, free_vm_struct);
	module_put(THIS_MODULE);
}

/**
 * vm_put - drop a reference
 * @vm: the VM
 *
 * Context: may sleep.
 */
void vm_put(struct vm *vm)
{
	kref_put(&vm->ref, free_vm);
}

/**
 * vm_copy_state - all that a VM is besides its memory
 * @vm: claimed by the caller, or standing still with pool->lock held
 * @state: to fill
 * @fpu: likewise, MAYFLY_FXSAVE_SIZE bytes
 */
void vm_copy_state(const struct vm *vm, struct mayfly_vcpu_state *state, u8 *fpu)
{
	*state = vm->vcpu.state;
	state->events = atomic64_read(&vm->pending);
	memcpy(fpu, vm->vcpu.fpu, sizeof(vm->vcpu.fpu));
}

/**
 * vm_private_bytes - what a VM holds alone
 * @vm: the VM
 *
 * Return: bytes.
 */
u64 vm_private_bytes(const struct vm *vm)
{
	u64 pages = READ_ONCE(vm->memory.guest_pages) +
		    READ_ONCE(vm->memory.table_pages) +
		    READ_ONCE(vm->memory.device_pages) +
		    (READ_ONCE(vm->console.page) ? 1 : 0);

	return pages * PAGE_SIZE + sizeof(*vm) + vm->memory.rings * sizeof(struct port);
}

/**
 * vm_account - charge a VM's owner for what the VM holds now
 * @vm: claimed by the caller, or not yet published; it may have taken pages or
 *	given some back
 *
 * Context: not in interrupts.
 * Return: 0, or -EDQUOT when the VM holds more than it may and must end.
 */
int vm_account(struct vm *vm)
{
	return owner_account(vm->owner, &vm->charged, vm_private_bytes(vm));
}

static void init_vm(struct vm *vm, const struct vm_template *template)
{
	kref_init(&vm->ref);
	INIT_LIST_HEAD(&vm->queue);
	timerqueue_init(&vm->sleeper);
	console_init(&vm->console);
	init_waitqueue_head(&vm->wait);
	INIT_LIST_HEAD(&vm->memory.pages);
	vcpu_init(&vm->vcpu, &vm->memory.s2);
	vm->detached = template->detached;
	vm->autoremove = template->autoremove;
	vm->memory.image = image_get(template->image);
	vm->pool = template->pool;
	pool_get(vm->pool);
	vm->owner = template->owner;
	owner_get(vm->owner);
	vm->args = template->args;
	if (vm->args)
		get_page(vm->args);
	vm->args_length = template->args_length;
	vm->argc = template->argc;
	vm->created_ns = ktime_get_boottime_ns();
}

static void begin_as(struct vm *vm, const struct image_start *start)
{
	vm->vcpu.state = start->state;
	memcpy(vm->vcpu.fpu, start->fpu, sizeof(vm->vcpu.fpu));
	atomic64_set(&vm->pending, start->state.events);
	vm->vcpu.state.generation += !mutation_is(MUTATION_GENERATION);
}

static int attach(struct vm *vm, const struct vm_template *template)
{
	struct port **last = &vm->ports;
	u32 i;

	for (i = 0; i < template->nr_places; i++) {
		struct port *port = port_open(&template->places[i], i, vm, vm->owner);

		if (IS_ERR(port))
			return PTR_ERR(port);
		*last = port;
		last = &port->next;
		vm->memory.rings++;
		/* Packets wait there for it. */
		if (template->places[i].reserved)
			atomic64_or(BIT_ULL(port->event), &vm->pending);
	}
	return 0;
}

/* The part that can fail; free_vm() undoes it. */
static int build_vm(struct vm *vm, const struct vm_template *template,
		    const char *name)
{
	int ret;

	ret = memory_init(&vm->memory, template->memory, vm->args, vm->pool->memcg,
			  &vm->device_page);
	if (!ret)
		ret = memory_copy_hot(&vm->memory, MEMORY_SLEEP);
	if (ret)
		return ret;
	begin_as(vm, &template->image->start);
	vm->id = atomic64_inc_return(&last_id);
	vm->key.uid = vm->owner->uid;
	vm->vcpu.id = vm->id;
	vm->vcpu.uid = vm->key.uid;
	names_write(vm->key.name, sizeof(vm->key.name), vm->id, name);
	ret = attach(vm, template);
	return ret ?: vm_account(vm);
}

/**
 * vm_make - make a VM that nobody can find yet
 * @template: what it is made of
 * @name: valid name, or NULL for vm<ID>
 *
 * Context: may sleep. The caller holds a reference to the module.
 * Return: the VM, but for what is on its device page, or ERR_PTR: -ENOMEM, -EDQUOT, else as
 * port_open().
 */
struct vm *vm_make(const struct vm_template *template, const char *name)
{
	struct vm *vm = kmem_cache_zalloc(vm_cache, GFP_KERNEL_ACCOUNT | __GFP_NORETRY);
	int ret;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	__module_get(THIS_MODULE);
	init_vm(vm, template);
	ret = build_vm(vm, template, name);
	if (!ret)
		return vm;
	vm_put(vm);
	return ERR_PTR(ret);
}

/**
 * vm_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int vm_setup(void)
{
	vm_cache = kmem_cache_create("mayfly_vm", sizeof(struct vm), 64,
				     SLAB_ACCOUNT, NULL);
	return vm_cache ? 0 : -ENOMEM;
}

/**
 * vm_teardown - at unload; there are no VMs, but some may wait for RCU
 */
void vm_teardown(void)
{
	rcu_barrier();
	kmem_cache_destroy(vm_cache);
}
