// SPDX-License-Identifier: GPL-2.0-only
/*
 * spawn.c - one call, many VMs.
 *
 * What all VMs of a call share is looked at once; then they are made one after
 * the other, and each is complete and findable before the next is begun. So an
 * error in the middle leaves whole VMs and a true count.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "image.h"
#include "names.h"
#include "pool.h"
#include "spawn.h"
#include "vm.h"
#include "vmfd.h"

#define FLAGS (MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_NUMBERED)
#define CHECK_ROOM_EVERY 64

static bool is_sane(const struct mayfly_spawn *spawn, const struct image *image)
{
	bool detached = spawn->flags & MAYFLY_SPAWN_DETACHED;
	bool numbered = spawn->flags & MAYFLY_SPAWN_NUMBERED;

	if (spawn->flags & ~FLAGS ||
	    memchr_inv(spawn->reserved, 0, sizeof(spawn->reserved)))
		return false;
	if (!spawn->count || (!detached && spawn->count != 1))
		return false;
	if (!PAGE_ALIGNED(spawn->memory) || spawn->memory > MAYFLY_MEMORY_MAX ||
	    spawn->memory < image->memory_min)
		return false;
	if (spawn->args_length > MAYFLY_ARGS_MAX)
		return false;
	if (!memchr(spawn->name, 0, sizeof(spawn->name)))
		return false;
	if (!spawn->name[0])
		return !numbered && !spawn->first;
	/* Several VMs cannot have one name. */
	return names_valid(spawn->name) &&
	       (numbered ? spawn->first + spawn->count >= spawn->first :
			   spawn->count == 1 && !spawn->first);
}

static u32 count_strings(const char *bytes, u32 length)
{
	u32 i, n = 0;

	for (i = 0; i < length; i++)
		n += !bytes[i];
	return n;
}

static int take_args(struct vm_template *template, const struct mayfly_spawn *spawn)
{
	char *bytes;

	if (!spawn->args_length)
		return 0;
	template->args = alloc_page(MEMORY_SLEEP | __GFP_ZERO);
	if (!template->args)
		return -ENOMEM;
	bytes = page_address(template->args);
	if (copy_from_user(bytes, u64_to_user_ptr(spawn->args), spawn->args_length))
		return -EFAULT;
	if (bytes[spawn->args_length - 1])
		return -EINVAL;
	template->args_length = spawn->args_length;
	template->argc = count_strings(bytes, spawn->args_length);
	return 0;
}

/* The name of the i-th VM, or NULL for the automatic one; -EINVAL if too long. */
static int make_name(const struct mayfly_spawn *spawn, u32 i, char *name)
{
	int length;

	if (!(spawn->flags & MAYFLY_SPAWN_NUMBERED))
		return strscpy(name, spawn->name, MAYFLY_NAME_SIZE) < 0 ? -EINVAL : 0;
	length = snprintf(name, MAYFLY_NAME_SIZE, "%s-%u", spawn->name,
			  spawn->first + i);
	return length < MAYFLY_NAME_SIZE ? 0 : -EINVAL;
}

/* Makes the i-th VM known to the caller and lets it go. Consumes @vm. */
static int deliver(struct vm *vm, const struct mayfly_spawn *spawn, u32 i)
{
	u64 __user *ids = u64_to_user_ptr(spawn->ids);
	int ret = 0;

	if (ids && put_user(vm->id, ids + i))
		ret = -EFAULT;
	if (!ret && spawn->flags & MAYFLY_SPAWN_START)
		ret = vm_start(vm);
	if (ret) {
		vm_kill(vm);
		vm_remove(vm);
	}
	vm_put(vm);
	return ret;
}

static int make_one(const struct vm_template *template,
		    const struct mayfly_spawn *spawn, u32 i)
{
	char name[MAYFLY_NAME_SIZE];
	struct vm *vm;
	int ret;

	ret = make_name(spawn, i, name);
	if (ret)
		return ret;
	if (i % CHECK_ROOM_EVERY == 0 && !memory_host_has_room())
		return -ENOMEM;
	if (signal_pending(current))
		return -EINTR;
	vm = vm_create(template, name[0] ? name : NULL);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	return deliver(vm, spawn, i);
}

static int make_detached(const struct vm_template *template,
			 struct mayfly_spawn *spawn)
{
	int ret = 0;
	u32 i;

	if (spawn->count > vm_max() || vm_count() > vm_max() - spawn->count)
		return -EDQUOT;
	if (spawn->flags & MAYFLY_SPAWN_START)
		ret = pool_make_workers(template->pool);
	for (i = 0; i < spawn->count && !ret; i++) {
		ret = make_one(template, spawn, i);
		if (!ret)
			spawn->created++;
		cond_resched();
	}
	return ret;
}

/* One VM that lives as long as its descriptor. */
static int make_owned(const struct vm_template *template,
		      struct mayfly_spawn *spawn)
{
	char name[MAYFLY_NAME_SIZE];
	u64 __user *ids = u64_to_user_ptr(spawn->ids);
	struct vm *vm;
	int ret;

	ret = make_name(spawn, 0, name);
	if (ret)
		return ret;
	if (!memory_host_has_room())
		return -ENOMEM;
	vm = vm_create(template, name[0] ? name : NULL);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (ids && put_user(vm->id, ids))
		ret = -EFAULT;
	if (!ret && spawn->flags & MAYFLY_SPAWN_START)
		ret = vm_start(vm);
	if (!ret) {
		ret = vmfd_open(vm);
		if (ret >= 0) {
			spawn->fd = ret;
			spawn->created = 1;
			ret = 0;
		}
	}
	if (ret) {
		vm_kill(vm);
		vm_remove(vm);
	}
	vm_put(vm);
	return ret;
}

/**
 * spawn - make VMs
 * @spawn: copied from the caller, @created 0 and @fd -1; both are set as VMs are
 *	made, also when an error follows
 * @image: what they start as
 *
 * Context: may sleep.
 * Return: as MAYFLY_SPAWN documents.
 */
int spawn(struct mayfly_spawn *spawn, struct image *image)
{
	struct vm_template template = {
		.image = image,
		.memory = spawn->memory,
		.detached = spawn->flags & MAYFLY_SPAWN_DETACHED,
	};
	int ret;

	if (!is_sane(spawn, image))
		return -EINVAL;
	ret = take_args(&template, spawn);
	if (ret)
		goto out_args;
	ret = -ENOMEM;
	template.pool = pool_get_current();
	if (!template.pool)
		goto out_args;
	if (template.detached)
		ret = make_detached(&template, spawn);
	else
		ret = make_owned(&template, spawn);
	pool_put(template.pool);
out_args:
	if (template.args)
		put_page(template.args);
	return ret;
}
