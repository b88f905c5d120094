// SPDX-License-Identifier: GPL-2.0-only
/*
 * demand.c - VMs that are made when a packet comes for them, and end when none does.
 *
 * range.c says for which address one is wanted. It is made here, in a work item, which may
 * sleep for memory: in the sender's softirq neither is allowed, and a worker would keep its
 * cgroup's other VMs waiting. What it takes counts for whoever has registered the range.
 */
#include <linux/in.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "mem/image.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "net/port.h"
#include "net/range.h"
#include "sched/demand.h"
#include "sched/worker.h"
#include "vm/inspect.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/table.h"
#include "vm/vm.h"

/*
 * Who protects a field:
 *   I  immutable
 *   B  @birth_work's own
 */
struct demand {
	struct net_range range;
	struct vm_template template;	/* [I, its place B] has references to all that is in it */
	u32 id;				/* [I] */
	u64 idle_ns;			/* [I] 0: VMs do not end for want of packets */
	unsigned long idle;		/* [I] the same in jiffies */
	u64 charged;			/* [I] bytes, to the owner */
	unsigned int over_high;		/* [B] pages above memory.high, as struct pool has it */
	struct work_struct birth_work;	/* makes VMs */
	struct delayed_work idle_work;	/* ends VMs */
	struct work_struct lost_work;	/* the device has gone */
	struct work_struct dispose_work; /* nobody uses it any more */
};

/* At VMs, between two of which others have their turn. */
#define LOOKS	1024

static DEFINE_XARRAY_ALLOC1(demands);
static u32 last_id;
static struct workqueue_struct *workqueue;

static struct demand *demand_of(struct net_range *range)
{
	return container_of(range, struct demand, range);
}

/* --- births -------------------------------------------------------------------------- */

static struct vm *create(struct demand *demand, struct port **port)
{
	struct vm *vm = ERR_PTR(-ENOMEM);
	struct mem_cgroup *old = set_active_memcg(demand->template.pool->memcg);

	demand->template.places[0].reserved = port;
	if (pages_host_has_room())
		vm = table_create(&demand->template, NULL);
	set_active_memcg(old);
	return vm;
}

static void bear(struct demand *demand, struct port *port)
{
	struct port *left = port;
	struct vm *vm = create(demand, &left);

	/* Otherwise it was the VM's, and has gone with it. */
	if (left)
		range_failed(left);
	if (IS_ERR(vm))
		return;
	range_born(&demand->range, port, demand->idle);
	life_start(vm);
	vm_put(vm);
}

/* What is above memory.high is kept with the registration: see fetch_serve(). */
static void bear_all(struct demand *demand)
{
	struct port *port;

	while ((port = range_next(&demand->range))) {
		current->memcg_nr_pages_over_high = demand->over_high;
		bear(demand, port);
		demand->over_high = current->memcg_nr_pages_over_high;
		current->memcg_nr_pages_over_high = 0;
		cond_resched();
	}
}

static void on_birth_work(struct work_struct *work)
{
	struct demand *demand = container_of(work, struct demand, birth_work);

	/* When the module goes the device goes, and with it whatever waits. */
	if (!try_module_get(THIS_MODULE))
		return;
	bear_all(demand);
	if (demand->idle)
		queue_delayed_work(workqueue, &demand->idle_work, demand->idle);
	module_put(THIS_MODULE);
}

/* --- ends ---------------------------------------------------------------------------- */

/* Claims a VM that only waits, with a reference. A packet that it has not seen would have woken it. */
static bool claim_idle(struct vm *vm)
{
	if (!life_claim_parked(vm))
		return false;
	vm_get(vm);
	return true;
}

/* As range_look(). */
static struct vm *take_idle(struct demand *demand, long *later)
{
	struct vm *vm = NULL;
	struct port *port;

	rcu_read_lock();
	port = range_look(&demand->range, demand->idle, later);
	if (port)
		vm = port_close_idle(port, claim_idle);
	rcu_read_unlock();
	return vm;
}

static void on_idle_work(struct work_struct *work)
{
	struct demand *demand = container_of(work, struct demand, idle_work.work);
	long later = 0;
	int looks;

	for (looks = 0; looks < LOOKS && !later; looks++) {
		struct vm *vm = take_idle(demand, &later);

		if (vm) {
			life_end_claimed(vm);
			vm_put(vm);
		}
		cond_resched();
	}
	if (later >= 0)
		queue_delayed_work(workqueue, &demand->idle_work, max(later, 1L));
}

/* --- registrations ------------------------------------------------------------------- */

static void get_template(struct vm_template *template)
{
	image_get(template->image);
	pool_get(template->pool);
	owner_get(template->owner);
	kref_get(&template->places[0].net->ref);
	if (template->args)
		get_page(template->args);
}

static void put_template(struct vm_template *template)
{
	if (template->args)
		put_page(template->args);
	switch_put(template->places[0].net);
	owner_put(template->owner);
	pool_put(template->pool);
	image_put(template->image);
}

static void dispose(struct demand *demand)
{
	owner_charge(demand->template.owner, -(s64)demand->charged);
	put_template(&demand->template);
	kvfree(demand);
}

static void on_dispose_work(struct work_struct *work)
{
	struct demand *demand = container_of(work, struct demand, dispose_work);

	/* Whoever has found it under RCU may still ask for a VM. */
	synchronize_rcu();
	cancel_work_sync(&demand->lost_work);
	cancel_work_sync(&demand->birth_work);
	cancel_delayed_work_sync(&demand->idle_work);
	dispose(demand);
}

static void on_unused(struct net_range *range)
{
	queue_work(workqueue, &demand_of(range)->dispose_work);
}

/* Whoever takes it out of the table gives the table's reference back. */
static bool take_out(struct demand *demand)
{
	if (xa_cmpxchg(&demands, demand->id, demand, NULL, 0) != demand)
		return false;
	range_close(&demand->range);
	range_put(&demand->range);
	return true;
}

static void on_lost_work(struct work_struct *work)
{
	struct demand *demand = container_of(work, struct demand, lost_work);

	take_out(demand);
	range_put(&demand->range);
}

static void on_lost(struct net_range *range)
{
	kref_get(&range->ref);
	queue_work(workqueue, &demand_of(range)->lost_work);
}

static void on_wanted(struct net_range *range)
{
	queue_work(workqueue, &demand_of(range)->birth_work);
}

const struct range_events demand_events = {
	.wanted = on_wanted,
	.lost = on_lost,
	.unused = on_unused,
};

static bool services_are_sane(const struct mayfly_attach_demand *wanted)
{
	u32 i;

	for (i = 0; i < MAYFLY_DEMAND_SERVICES; i++) {
		const struct mayfly_service *one = &wanted->services[i];

		if (i >= wanted->nr_services) {
			if (one->port || one->protocol || one->unused)
				return false;
		} else if (!one->port || one->unused ||
			   (one->protocol != IPPROTO_TCP && one->protocol != IPPROTO_UDP)) {
			return false;
		}
	}
	return true;
}

static bool is_sane(const struct mayfly_attach_demand *wanted)
{
	return ntohl((__force __be32)wanted->first) <= ntohl((__force __be32)wanted->last) &&
	       wanted->idle <= MAYFLY_DEMAND_IDLE_MAX && !wanted->flags &&
	       wanted->rate && wanted->rate <= MAYFLY_DEMAND_RATE_MAX && wanted->max &&
	       wanted->nr_services <= MAYFLY_DEMAND_SERVICES && services_are_sane(wanted);
}

/* Returns 0, -EINVAL, or as switch_read_subnet(). */
static int check_addresses(const struct mayfly_attach_demand *wanted, const struct net_switch *net)
{
	__be32 first = (__force __be32)wanted->first, last = (__force __be32)wanted->last;
	struct net_subnet subnet;
	int ret = switch_read_subnet(net, &subnet);

	if (ret)
		return ret;
	return (first ^ subnet.gateway) & subnet.mask || (last ^ subnet.gateway) & subnet.mask ?
		       -EINVAL : 0;
}

static struct demand *make(const struct vm_template *template,
			   const struct mayfly_attach_demand *wanted)
{
	struct demand *demand = kvzalloc(sizeof(*demand), GFP_KERNEL_ACCOUNT);
	struct net_range *range = &demand->range;

	if (!demand)
		return NULL;
	demand->template = *template;
	demand->template.autoremove = true;
	demand->idle_ns = wanted->idle;
	demand->idle = nsecs_to_jiffies(wanted->idle) + !!wanted->idle;
	INIT_WORK(&demand->birth_work, on_birth_work);
	INIT_DELAYED_WORK(&demand->idle_work, on_idle_work);
	INIT_WORK(&demand->lost_work, on_lost_work);
	INIT_WORK(&demand->dispose_work, on_dispose_work);
	range->addresses.first = ntohl((__force __be32)wanted->first);
	range->addresses.last = ntohl((__force __be32)wanted->last);
	range->place = template->places[0];
	range->owner = template->owner;
	range->memcg = template->pool->memcg;
	range->rate = wanted->rate;
	range->max = wanted->max;
	range->nr_services = wanted->nr_services;
	memcpy(range->services, wanted->services, sizeof(range->services));
	range_init(range);
	get_template(&demand->template);
	return demand;
}

/* From when it is in the table on, anybody may take it out. */
static int enter(struct demand *demand)
{
	int ret = owner_account(demand->template.owner, &demand->charged, sizeof(*demand));

	if (ret)
		return ret;
	kref_get(&demand->range.ref);
	ret = xa_alloc_cyclic(&demands, &demand->id, demand, xa_limit_32b, &last_id,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		range_put(&demand->range);
		return ret;
	}
	ret = range_open(&demand->range);
	if (ret)
		take_out(demand);
	else if (READ_ONCE(demand->range.closed))
		range_close(&demand->range);
	return ret;
}

/**
 * demand_add - from now on packets for a range make VMs
 * @template: what they are made of; its image, pool, owner, argument page and network are
 *	the caller's
 * @wanted: from the caller of SPAWN
 *
 * Context: may sleep.
 * Return: 0, -EINVAL, -ENODEV, -EADDRNOTAVAIL, -EEXIST, -ENOSPC, -EDQUOT, -ENOMEM, or as
 * worker_make_first().
 */
int demand_add(const struct vm_template *template, const struct mayfly_attach_demand *wanted)
{
	struct demand *demand;
	int ret;

	if (!is_sane(wanted))
		return -EINVAL;
	ret = check_addresses(wanted, template->places[0].net);
	if (ret)
		return ret;
	ret = worker_make_first(template->pool, template->owner);
	if (ret)
		return ret;
	demand = make(template, wanted);
	if (!demand)
		return -ENOMEM;
	ret = enter(demand);
	range_put(&demand->range);
	return ret;
}

/**
 * demand_put - give a reference back
 * @demand: from demand_find_from()
 */
void demand_put(struct demand *demand)
{
	range_put(&demand->range);
}

/**
 * demand_uid - whose is a registration?
 * @demand: the registration
 *
 * Return: the user of the initial user namespace.
 */
uid_t demand_uid(const struct demand *demand)
{
	return demand->template.owner->uid;
}

/**
 * demand_find_from - the first registration at or after an id
 * @id: where to start; out: its id
 *
 * Return: the registration with a reference, or NULL when there are no more.
 */
struct demand *demand_find_from(u64 *id)
{
	unsigned long index = *id;
	struct demand *found;

	xa_lock(&demands);
	found = xa_find(&demands, &index, U32_MAX, XA_PRESENT);
	if (found)
		kref_get(&found->range.ref);
	xa_unlock(&demands);
	*id = index;
	return found;
}

/**
 * demand_remove - packets make no VMs any more
 * @id: of a registration
 *
 * Context: may sleep.
 * Return: 0, -ENOENT, -EPERM when it is not the caller's.
 */
int demand_remove(u64 id)
{
	u64 index = id;
	struct demand *demand = demand_find_from(&index);
	int ret = -ENOENT;

	if (!demand)
		return ret;
	if (index == id)
		ret = !vm_may_use(demand_uid(demand)) ? -EPERM :
		      take_out(demand) ? 0 : -ENOENT;
	demand_put(demand);
	return ret;
}

/**
 * demand_inspect - write a registration's row
 * @demand: the registration
 * @info: zero
 */
void demand_inspect(struct demand *demand, struct mayfly_demand_info *info)
{
	struct net_range *range = &demand->range;
	const struct image *image = demand->template.image;

	info->id = demand->id;
	info->image_id = image->id;
	info->memory = demand->template.memory;
	info->born = atomic_long_read(&range->nr_born);
	info->refused = atomic_long_read(&range->nr_refused);
	info->ifindex = switch_index(range->place.net);
	info->uid = inspect_uid(demand_uid(demand));
	info->vms = READ_ONCE(range->vms);
	info->range = (struct mayfly_attach_demand){
		.first = (__force u32)htonl(range->addresses.first),
		.last = (__force u32)htonl(range->addresses.last),
		.idle = demand->idle_ns,
		.rate = range->rate,
		.max = range->max,
		.nr_services = range->nr_services,
	};
	memcpy(info->range.services, range->services, sizeof(range->services));
	memcpy(info->image, image->label, sizeof(info->image));
}

/**
 * demand_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int demand_setup(void)
{
	workqueue = alloc_workqueue("mayfly-demand", WQ_UNBOUND, WQ_UNBOUND_MAX_ACTIVE);
	return workqueue ? 0 : -ENOMEM;
}

/**
 * demand_teardown - at unload: there are no devices, so all registrations go
 */
void demand_teardown(void)
{
	/* Those whose device has gone; then they are disposed of. */
	flush_workqueue(workqueue);
	flush_workqueue(workqueue);
	destroy_workqueue(workqueue);
	WARN_ON_ONCE(!xa_empty(&demands));
}
