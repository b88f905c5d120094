// SPDX-License-Identifier: GPL-2.0-only
/*
 * neighbour.c - KVM on the same machine: does it use the CPUs?
 */
#include <linux/kobject.h>
#include <linux/module.h>

#include "neighbour.h"

/* The kobject under /sys/module, with a reference, or NULL. It pins the module. */
static struct kobject *find_module_kobject(const char *name)
{
	return kset_find_obj(THIS_MODULE->mkobj.kobj.kset, name);
}

/* Each VM holds a reference to the vendor's module. Built in: nobody counts. */
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
 * neighbour_has_vms - does KVM look like the one that holds the CPUs?
 *
 * Context: may sleep.
 * Return: whether one of its vendor modules is in use.
 */
bool neighbour_has_vms(void)
{
	return is_in_use("kvm_amd") || is_in_use("kvm_intel");
}
