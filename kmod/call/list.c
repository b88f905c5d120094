// SPDX-License-Identifier: GPL-2.0-only
/*
 * list.c - the LIST calls: all VMs, images, or registrations, that the caller may see.
 */
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/list.h"
#include "call/row.h"
#include "mem/image.h"
#include "mem/owner.h"
#include "sched/demand.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_demand.h"
#include "vm/inspect.h"
#include "vm/table.h"
#include "vm/vm.h"

/**
 * struct listing - what there is to list
 * @row_size: of the module's rows
 * @visit: writes the row of the first one at or after *@id, if @all or the caller's,
 *	to @row, and sets *@id to its id. 1 if it wrote one, 0 if it is someone
 *	else's, -ENOENT if there are no more, -EINVAL, -EFAULT.
 */
struct listing {
	u32 row_size;
	int (*visit)(u64 *id, bool all, u64 row, u32 row_size);
};

static int visit_vm(u64 *id, bool all, u64 row, u32 row_size)
{
	struct vm *vm = table_find_from(id);
	struct mayfly_vm_info info = {};
	int ret = 0;

	if (!vm)
		return -ENOENT;
	if (all || vm_is_callers(vm->key.uid)) {
		inspect_vm(vm, &info, row_size);
		ret = row_put(row, row_size, &info, sizeof(info)) ?: 1;
	}
	vm_put(vm);
	return ret;
}

static int visit_image(u64 *id, bool all, u64 row, u32 row_size)
{
	struct image *image = image_find_from(id, NULL);
	struct mayfly_image_info info = {};
	int ret = 0;

	if (!image)
		return -ENOENT;
	if (all || vm_is_callers(image->owner->uid)) {
		inspect_image(image, 1, &info);
		ret = row_put(row, row_size, &info, sizeof(info)) ?: 1;
	}
	image_put(image);
	return ret;
}

static int visit_demand(u64 *id, bool all, u64 row, u32 row_size)
{
	struct demand *demand = demand_find_from(id);
	struct mayfly_demand_info info = {};
	int ret = 0;

	if (!demand)
		return -ENOENT;
	if (all || vm_is_callers(demand_uid(demand))) {
		demand_inspect(demand, &info);
		ret = row_put(row, row_size, &info, sizeof(info)) ?: 1;
	}
	demand_put(demand);
	return ret;
}

static const struct listing vms = { sizeof(struct mayfly_vm_info), visit_vm };
static const struct listing images = { sizeof(struct mayfly_image_info), visit_image };
static const struct listing registrations = { sizeof(struct mayfly_demand_info), visit_demand };

static int fill_rows(struct mayfly_list *list, const struct listing *what)
{
	bool all = vm_may_all();
	u32 room = list->count;
	u64 id = list->from;
	int ret;

	list->count = 0;
	while (list->count < room) {
		ret = what->visit(&id, all, list->rows + (u64)list->count * list->row_size,
				  list->row_size);
		if (ret == -ENOENT)
			break;
		if (ret < 0)
			return ret;
		list->count += ret;
		id++;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	list->next = list->count == room ? id : 0;
	return 0;
}

static long list_all(void __user *user, const struct listing *what)
{
	struct mayfly_list list;
	int ret;

	if (copy_from_user(&list, user, sizeof(list)))
		return -EFAULT;
	if (list.flags || memchr_inv(list.reserved, 0, sizeof(list.reserved)) ||
	    !list.count || list.count > MAYFLY_MAX_BATCH || !row_size_is_sane(list.row_size))
		return -EINVAL;
	ret = fill_rows(&list, what);
	list.row_size = what->row_size;
	if (!ret && copy_to_user(user, &list, sizeof(list)))
		ret = -EFAULT;
	return ret;
}

/**
 * list_vms - the LIST call
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_LIST documents.
 */
long list_vms(void __user *user)
{
	return list_all(user, &vms);
}

/**
 * list_images - the IMAGE_LIST call
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_IMAGE_LIST documents.
 */
long list_images(void __user *user)
{
	return list_all(user, &images);
}

/**
 * list_demands - the DEMAND_LIST call
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_DEMAND_LIST documents.
 */
long list_demands(void __user *user)
{
	return list_all(user, &registrations);
}
