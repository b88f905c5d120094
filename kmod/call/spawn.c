// SPDX-License-Identifier: GPL-2.0-only
/*
 * spawn.c - one call, many VMs.
 *
 * Everything that the VMs of a call share is checked once. Then they are made one
 * after the other; each is complete and can be found before the next is begun. So an
 * error in the middle leaves complete VMs and a correct count.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/spawn.h"
#include "call/vmfd.h"
#include "mem/image.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "net/net.h"
#include "net/switch.h"
#include "sched/demand.h"
#include "sched/reclaim.h"
#include "sched/worker.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_demand.h"
#include "vm/life.h"
#include "vm/names.h"
#include "vm/pool.h"
#include "vm/table.h"
#include "vm/vm.h"

#define FLAGS (MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_NUMBERED)
#define CHECK_ROOM_EVERY 64

/* The name of the i-th VM, empty for the automatic one. False if too long. */
static bool make_name(const struct mayfly_spawn *spawn, u32 i, char *name)
{
	if (!(spawn->flags & MAYFLY_SPAWN_NUMBERED))
		return strscpy(name, spawn->name, MAYFLY_NAME_SIZE) >= 0;
	return snprintf(name, MAYFLY_NAME_SIZE, "%s-%u", spawn->name,
			spawn->first + i) < MAYFLY_NAME_SIZE;
}

static bool names_are_sane(const struct mayfly_spawn *spawn)
{
	bool numbered = spawn->flags & MAYFLY_SPAWN_NUMBERED;
	u32 last = spawn->first + spawn->count - 1;
	char name[MAYFLY_NAME_SIZE];

	if (!memchr(spawn->name, 0, sizeof(spawn->name)))
		return false;
	if (!spawn->name[0])
		return !numbered && !spawn->first;
	if (!names_valid(spawn->name))
		return false;
	if (!numbered)	/* Several VMs cannot have one name. */
		return spawn->count == 1 && !spawn->first;
	return last >= spawn->first && make_name(spawn, spawn->count - 1, name);
}

static bool spawn_is_sane(const struct mayfly_spawn *spawn, const struct image *image)
{
	bool detached = spawn->flags & MAYFLY_SPAWN_DETACHED;

	if (spawn->flags & ~FLAGS ||
	    memchr_inv(spawn->reserved, 0, sizeof(spawn->reserved)))
		return false;
	if (!spawn->count || (!detached && spawn->count != 1))
		return false;
	if (!PAGE_ALIGNED(spawn->memory) || spawn->memory > MAYFLY_MEMORY_MAX ||
	    (spawn->memory && spawn->memory < image->memory_min))
		return false;
	if (spawn->nr_attachments > MAYFLY_MAX_ATTACHMENTS || spawn->unused)
		return false;
	return spawn->args_length <= MAYFLY_ARGS_MAX && names_are_sane(spawn);
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

static bool net_is_sane(const struct mayfly_attach_net *net, const struct mayfly_spawn *spawn)
{
	return !(net->flags & ~MAYFLY_PLACE_ROUTER) && (!net->ip4 || spawn->count == 1);
}

static int take_net(struct vm_template *template, const struct mayfly_spawn *spawn,
		    const struct mayfly_attachment *attachment)
{
	struct mayfly_attach_net net;
	struct net_switch *found;

	if (attachment->flags || attachment->reserved || attachment->size != sizeof(net))
		return -EINVAL;
	if (copy_from_user(&net, u64_to_user_ptr(attachment->payload), sizeof(net)))
		return -EFAULT;
	if (!net_is_sane(&net, spawn))
		return -EINVAL;
	found = net_get_by_index(net.ifindex, net.flags & MAYFLY_PLACE_ROUTER);
	if (IS_ERR(found))
		return PTR_ERR(found);
	template->places[template->nr_places++] = (struct port_place){
		.net = found,
		.ip4 = (__force __be32)net.ip4,
		.dns4 = (__force __be32)net.dns4,
		.rate = net.rate,
		.router = net.flags & MAYFLY_PLACE_ROUTER,
	};
	return 0;
}

/* What an attachment that asks for VMs on demand says; or none has. */
struct on_demand {
	struct mayfly_attach_demand wanted;
	bool given;
};

static int take_demand(struct on_demand *demand, const struct mayfly_attachment *attachment)
{
	if (demand->given || attachment->flags || attachment->reserved ||
	    attachment->size != sizeof(demand->wanted))
		return -EINVAL;
	if (copy_from_user(&demand->wanted, u64_to_user_ptr(attachment->payload),
			   sizeof(demand->wanted)))
		return -EFAULT;
	demand->given = true;
	return 0;
}

static int take_attachment(struct vm_template *template, struct on_demand *demand,
			   const struct mayfly_spawn *spawn,
			   const struct mayfly_attachment *attachment)
{
	switch (attachment->type) {
	case MAYFLY_ATTACH_NET:
		return template->nr_places < MAYFLY_MAX_NETS ?
			       take_net(template, spawn, attachment) : -EOPNOTSUPP;
	case MAYFLY_ATTACH_DEMAND:
		return take_demand(demand, attachment);
	default:
		return -EOPNOTSUPP;
	}
}

static int take_attachments(struct vm_template *template, struct on_demand *demand,
			    const struct mayfly_spawn *spawn)
{
	struct mayfly_attachment __user *user = u64_to_user_ptr(spawn->attachments);
	struct mayfly_attachment one;
	int ret = 0;
	u32 i;

	if (spawn->nr_attachments > MAYFLY_MAX_NETS + 1)
		return -EOPNOTSUPP;
	for (i = 0; !ret && i < spawn->nr_attachments; i++) {
		if (copy_from_user(&one, user + i, sizeof(one)))
			return -EFAULT;
		ret = take_attachment(template, demand, spawn, &one);
	}
	return ret;
}

static bool demand_is_sane(const struct mayfly_spawn *spawn, const struct vm_template *template)
{
	return spawn->flags == (MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED) &&
	       spawn->count == 1 && !spawn->name[0] && !spawn->ids &&
	       template->nr_places == 1 && !template->places[0].ip4;
}

static void put_places(const struct vm_template *template)
{
	u32 i;

	for (i = 0; i < template->nr_places; i++)
		switch_put(template->places[i].net);
}

static struct vm *create_one(const struct vm_template *template,
			     const struct mayfly_spawn *spawn, u32 i)
{
	char name[MAYFLY_NAME_SIZE];

	if (!make_name(spawn, i, name))
		return ERR_PTR(-EINVAL);
	if (i % CHECK_ROOM_EVERY == 0 && !pages_host_has_room())
		return ERR_PTR(-ENOMEM);
	return table_create(template, name[0] ? name : NULL);
}

/* Tells the caller the i-th VM's id, and starts the VM if asked to. */
static int deliver_one(struct vm *vm, const struct mayfly_spawn *spawn, u32 i)
{
	u64 __user *ids = u64_to_user_ptr(spawn->ids);
	int ret;

	if (ids && put_user(vm->id, ids + i))
		return -EFAULT;
	if (!(spawn->flags & MAYFLY_SPAWN_START))
		return 0;
	ret = life_start(vm);
	/* Somebody else may have found it already, and started or killed it. */
	return ret == -EALREADY || ret == -ESRCH ? 0 : ret;
}

static void take_back(struct vm *vm)
{
	life_kill(vm);
	life_remove(vm);
}

static int make_one(const struct vm_template *template,
		    const struct mayfly_spawn *spawn, u32 i)
{
	struct vm *vm;
	int ret;

	if (signal_pending(current))
		return -EINTR;
	vm = create_one(template, spawn, i);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	ret = deliver_one(vm, spawn, i);
	if (ret)
		take_back(vm);
	vm_put(vm);
	return ret;
}

static int make_detached(const struct vm_template *template,
			 struct mayfly_spawn *spawn)
{
	int ret;
	u32 i;

	if (!owner_may_have(template->owner, spawn->count))
		return -EDQUOT;
	ret = worker_make_first(template->pool, template->owner);
	for (i = 0; i < spawn->count && !ret; i++) {
		ret = make_one(template, spawn, i);
		if (!ret)
			spawn->created++;
		cond_resched();
	}
	return ret;
}

/* One VM that lives as long as its descriptor, which exists before it is started. */
static int make_owned(const struct vm_template *template,
		      struct mayfly_spawn *spawn, struct file **file)
{
	struct vm *vm;
	int ret = 0;

	if (spawn->flags & MAYFLY_SPAWN_START)
		ret = worker_make_first(template->pool, template->owner);
	if (ret)
		return ret;
	vm = create_one(template, spawn, 0);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	*file = vmfd_file(vm);
	if (IS_ERR(*file)) {
		ret = PTR_ERR(*file);
		*file = NULL;
	} else {
		ret = deliver_one(vm, spawn, 0);
		spawn->created = !ret;
	}
	vm_put(vm);
	return ret;
}

/**
 * spawn - make VMs, or have packets make them
 * @spawn: copied from the caller, @created 0; it counts the VMs made, even when an
 *	error follows
 * @image: what they start from
 * @file: out: the VM's file without MAYFLY_SPAWN_DETACHED, for the caller to
 *	install or, if set after an error, to put; else NULL
 *
 * Context: may sleep.
 * Return: as MAYFLY_SPAWN documents.
 */
int spawn(struct mayfly_spawn *spawn, struct image *image, struct file **file)
{
	struct vm_template template = {
		.image = image,
		.memory = spawn->memory ?: image->memory_default,
		.detached = spawn->flags & MAYFLY_SPAWN_DETACHED,
	};
	struct on_demand demand = {};
	int ret;

	if (!spawn_is_sane(spawn, image))
		return -EINVAL;
	ret = take_args(&template, spawn);
	if (!ret)
		ret = take_attachments(&template, &demand, spawn);
	if (!ret && demand.given && !demand_is_sane(spawn, &template))
		ret = -EINVAL;
	if (ret)
		goto out_args;
	ret = -ENOMEM;
	template.pool = pool_get_current();
	if (!template.pool)
		goto out_args;
	template.owner = owner_get_current();
	if (!template.owner)
		goto out_pool;
	if (demand.given)
		ret = demand_add(&template, &demand.wanted);
	else if (template.detached)
		ret = make_detached(&template, spawn);
	else
		ret = make_owned(&template, spawn, file);
	if (spawn->created || demand.given)
		reclaim_begin();
	owner_put(template.owner);
out_pool:
	pool_put(template.pool);
out_args:
	put_places(&template);
	if (template.args)
		put_page(template.args);
	return ret;
}
