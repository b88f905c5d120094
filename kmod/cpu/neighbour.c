// SPDX-License-Identifier: GPL-2.0-only
/*
 * neighbour.c - KVM on the same machine: does it use the CPUs, and who has the
 * kernel's crash callback?
 *
 * A crashing machine must turn VT-x off, or its CPUs ignore INIT and the next
 * kernel dies at its first write to CR4. The kernel has one slot for a function
 * that does so, and KVM fills it: before Linux 6.12 for as long as kvm_intel is loaded,
 * then while it has VMs. Filling it twice WARNs. KVM's function turns VT-x off no matter
 * who turned it on, so the slot is ours only while KVM's module is not loaded: we leave
 * it before the module's init runs, and take it again after its exit. SVM needs no slot
 * before 6.7, where the kernel turns it off by itself.
 *
 * Locks: hardware_lock outside, slot_lock inside.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>

#include "compat.h"
#include "cpu/backend.h"
#include "cpu/neighbour.h"

static DEFINE_MUTEX(slot_lock);
static bool slot_wanted, slot_is_ours, slot_is_kvms;

/* The kobject under /sys/module with a reference, or NULL. It pins the module. */
static struct kobject *find_module_kobject(const char *name)
{
	return kset_find_obj(THIS_MODULE->mkobj.kobj.kset, name);
}

static bool is_loaded(const char *name)
{
	struct kobject *kobject = find_module_kobject(name);

	if (kobject)
		kobject_put(kobject);
	return kobject;
}

/* Each VM holds a reference to the vendor module. A built-in one counts as used. */
static bool is_in_use(const char *name)
{
	struct kobject *kobject = find_module_kobject(name);
	struct module *module;
	bool used;

	if (!kobject)
		return false;
	module = container_of(kobject, struct module_kobject, kobj)->mod;
	used = !module || module_refcount(module) > 0;
	kobject_put(kobject);
	return used;
}

/**
 * neighbour_may_hold_idle - may it be KVM that has the CPUs, although it has no VM?
 *
 * Context: may sleep.
 * Return: true if its module for these CPUs is loaded, on a kernel with
 * kvm.enable_virt_at_load.
 */
bool neighbour_may_hold_idle(void)
{
	return KVM_CAN_HOLD_IDLE && is_loaded(backend->kvm);
}

/**
 * neighbour_has_vms - is it probably KVM that has the CPUs?
 *
 * Context: may sleep.
 * Return: true if one of its vendor modules is in use.
 */
bool neighbour_has_vms(void)
{
	return is_in_use("kvm_amd") || is_in_use("kvm_intel");
}

static void leave_slot(void)
{
	if (slot_is_ours)
		cpu_emergency_unregister_virt_callback(backend->emergency);
	slot_is_ours = false;
}

static void enter_slot(void)
{
	lockdep_assert_held(&slot_lock);
	if (slot_is_ours || slot_is_kvms)
		return;
	cpu_emergency_register_virt_callback(backend->emergency);
	slot_is_ours = true;
}

/**
 * neighbour_take_slot - make sure that a crash turns VT-x off on our CPUs
 *
 * Leaves that to kvm_intel where it is loaded.
 *
 * Context: may sleep.
 */
void neighbour_take_slot(void)
{
	if (!backend->emergency)
		return;
	mutex_lock(&slot_lock);
	slot_wanted = true;
	/* A module that was loading before our notifier shows only in sysfs. */
	if (!is_loaded(backend->kvm))
		enter_slot();
	mutex_unlock(&slot_lock);
}

static int on_module(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;

	if (strcmp(module->name, backend->kvm))
		return NOTIFY_DONE;
	mutex_lock(&slot_lock);
	if (state == MODULE_STATE_COMING) {
		slot_is_kvms = true;
		leave_slot();
	} else if (state == MODULE_STATE_GOING) {
		slot_is_kvms = false;
		if (slot_wanted)
			enter_slot();
	}
	mutex_unlock(&slot_lock);
	return NOTIFY_OK;
}

static struct notifier_block module_notifier = {
	.notifier_call = on_module,
};

/**
 * neighbour_setup - at load
 *
 * Return: 0 or a negative errno.
 */
int neighbour_setup(void)
{
	return backend->emergency ? register_module_notifier(&module_notifier) : 0;
}

/**
 * neighbour_teardown - at unload; we have given all CPUs back
 */
void neighbour_teardown(void)
{
	if (!backend->emergency)
		return;
	unregister_module_notifier(&module_notifier);
	leave_slot();
}
