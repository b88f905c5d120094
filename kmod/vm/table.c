// SPDX-License-Identifier: GPL-2.0-only
/*
 * table.c - all VMs: made, published, found, forgotten.
 *
 * One table by id, and one by owner and name for VMs that were given a name.
 */
#include <linux/cred.h>
#include <linux/rhashtable.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>

#include "cpu/hardware.h"
#include "mem/owner.h"
#include "vm/devpage.h"
#include "vm/names.h"
#include "vm/table.h"
#include "vm/vm.h"

static const struct rhashtable_params named_params = {
	.key_len = sizeof(struct names_key),
	.key_offset = offsetof(struct vm, key),
	.head_offset = offsetof(struct vm, by_key),
	.automatic_shrinking = true,
};

static DEFINE_XARRAY_FLAGS(vms, XA_FLAGS_ACCOUNT);
static struct rhashtable vms_by_name;

static int add_vm_name(struct vm *vm)
{
	return rhashtable_lookup_insert_fast(&vms_by_name, &vm->by_key, named_params);
}

static void remove_vm_name(struct vm *vm)
{
	rhashtable_remove_fast(&vms_by_name, &vm->by_key, named_params);
}

/*
 * Enters a VM in both tables or in none. Until it is published nobody can take a
 * reference, so nobody can remove it in between.
 */
static int publish_vm(struct vm *vm, bool named)
{
	int ret;

	if (named) {
		ret = add_vm_name(vm);
		if (ret)
			return ret;
		vm->named = true;
	}
	ret = xa_err(xa_store(&vms, vm->id, vm, GFP_KERNEL | __GFP_NORETRY));
	if (ret && named)
		remove_vm_name(vm);
	if (!ret)
		smp_store_release(&vm->published, true);
	return ret;
}

/**
 * table_create - make a VM that is ready but not started
 * @template: what it is made of
 * @name: valid name, or NULL for vm<ID>
 *
 * Context: may sleep. The caller holds a reference to the module.
 * Return: the VM with a reference for the caller, or ERR_PTR: -ENOMEM, -EEXIST,
 * -EDQUOT, or hardware_get()'s.
 */
struct vm *table_create(const struct vm_template *template, const char *name)
{
	struct vm *vm;
	int ret;

	ret = owner_add_vm(template->owner);
	if (ret)
		return ERR_PTR(ret);
	ret = hardware_get();
	if (ret)
		goto out_count;
	vm = vm_make(template, name);
	ret = PTR_ERR_OR_ZERO(vm);
	if (ret)
		goto out_hardware;
	devpage_begin(vm);
	devpage_fill(vm);
	vm_get(vm);	/* The table's reference; the first one is the caller's. */
	ret = publish_vm(vm, name);
	if (!ret)
		return vm;
	vm_put(vm);
	vm_put(vm);
out_hardware:
	hardware_put();
out_count:
	owner_remove_vm(template->owner);
	return ERR_PTR(ret);
}

/**
 * table_forget - undo table_create()
 * @vm: has ended; nobody finds it any more
 *
 * Context: may sleep. The caller has a reference of its own.
 */
void table_forget(struct vm *vm)
{
	xa_erase(&vms, vm->id);
	if (vm->named)
		remove_vm_name(vm);
	hardware_put();
	owner_remove_vm(vm->owner);
	vm_put(vm);
}

/* A reference to what a table led to, unless it is being made or has gone. */
static struct vm *get_published(struct vm *vm)
{
	return vm && smp_load_acquire(&vm->published) &&
	       kref_get_unless_zero(&vm->ref) ? vm : NULL;
}

/**
 * table_find - look up an id
 * @id: from user space
 *
 * Return: the VM with a reference, or NULL. Permission is not checked: see
 * vm_may().
 */
struct vm *table_find(u64 id)
{
	struct vm *vm;

	rcu_read_lock();
	vm = get_published(xa_load(&vms, id));
	rcu_read_unlock();
	return vm;
}

/**
 * table_find_from - the first VM at or after an id
 * @id: where to start; out: its id
 *
 * Return: the VM with a reference, or NULL when there are no more.
 */
struct vm *table_find_from(u64 *id)
{
	unsigned long index = *id;
	struct vm *found, *vm = NULL;

	rcu_read_lock();
	found = xa_find(&vms, &index, ULONG_MAX, XA_PRESENT);
	while (found && !(vm = get_published(found)))
		found = xa_find_after(&vms, &index, ULONG_MAX, XA_PRESENT);
	rcu_read_unlock();
	*id = index;
	return vm;
}

static struct vm *find_named(uid_t uid, const char *name)
{
	struct names_key key = { .uid = uid };
	struct vm *vm;

	strscpy(key.name, name, sizeof(key.name));
	rcu_read_lock();
	vm = rhashtable_lookup(&vms_by_name, &key, named_params);
	vm = get_published(vm);
	rcu_read_unlock();
	return vm;
}

/**
 * table_find_name - look up a name among the caller's VMs
 * @name: NUL-terminated, from user space
 *
 * Return: the VM with a reference, or NULL.
 */
struct vm *table_find_name(const char *name)
{
	uid_t uid = from_kuid(&init_user_ns, current_euid());
	u64 id = names_automatic(name);
	struct vm *vm;

	if (!id)
		return find_named(uid, name);
	vm = table_find(id);
	if (vm && (vm->key.uid != uid || strcmp(vm->key.name, name))) {
		vm_put(vm);
		vm = NULL;
	}
	return vm;
}

/**
 * table_setup - at load
 *
 * Return: 0 or a negative errno.
 */
int table_setup(void)
{
	return rhashtable_init(&vms_by_name, &named_params);
}

/**
 * table_teardown - at unload; the tables are empty
 */
void table_teardown(void)
{
	WARN_ON_ONCE(!xa_empty(&vms));
	rhashtable_destroy(&vms_by_name);
}
