// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - load and unload: find the backend, set up every room in order.
 */
#include <linux/module.h>

#include "call/dev.h"
#include "cpu/backend.h"
#include "cpu/clock.h"
#include "cpu/hardware.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "net/net.h"
#include "net/port.h"
#include "net/range.h"
#include "sched/demand.h"
#include "sched/fetch.h"
#include "sched/reclaim.h"
#include "sched/worker.h"
#include "vm/catalog.h"
#include "vm/ends.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/table.h"
#include "vm/vm.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Calls go downwards only, so a pool gets its callbacks into upper rooms from here. */
static const struct pool_events pool_events = {
	.deadline = life_on_deadline,
	.fetch = fetch_serve,
	.help = worker_add,
	.stop_workers = worker_stop_all,
};

static int __init mayfly_init(void)
{
	int ret;

	ret = backend_setup();
	if (ret)
		return ret;
	ret = tlbmodel_setup();
	if (ret)
		goto out_backend;
	shadow_host_setup();
	ret = clock_setup();
	if (ret)
		goto out_model;
	ret = pages_setup();
	if (ret)
		goto out_model;
	image_setup(backend->stage2);
	ret = memory_setup(backend->stub, sizeof(backend->stub));
	if (ret)
		goto out_pages;
	ret = owner_setup();
	if (ret)
		goto out_memory;
	ret = pool_setup(&pool_events);
	if (ret)
		goto out_owner;
	range_setup(&demand_events);
	ret = port_setup(life_packet_arrived);
	if (ret)
		goto out_pool;
	ret = net_setup();
	if (ret)
		goto out_port;
	ret = vm_setup();
	if (ret)
		goto out_net;
	ret = table_setup();
	if (ret)
		goto out_vm;
	ret = catalog_setup();
	if (ret)
		goto out_table;
	ret = ends_setup();
	if (ret)
		goto out_catalog;
	ret = reclaim_setup();
	if (ret)
		goto out_ends;
	ret = hardware_setup();
	if (ret)
		goto out_reclaim;
	ret = demand_setup();
	if (ret)
		goto out_hardware;
	ret = dev_setup();
	if (ret)
		goto out_demand;
	pr_info("mayfly: ready, %s\n", backend->name);
	return 0;

out_demand:
	demand_teardown();
out_hardware:
	hardware_teardown();
out_reclaim:
	reclaim_teardown();
out_ends:
	ends_teardown();
out_catalog:
	catalog_teardown();
out_table:
	table_teardown();
out_vm:
	vm_teardown();
out_net:
	net_teardown();
out_port:
	port_teardown();
out_pool:
	pool_teardown();
out_owner:
	owner_teardown();
out_memory:
	memory_teardown();
out_pages:
	pages_teardown();
out_model:
	tlbmodel_teardown();
out_backend:
	backend_teardown();
	return ret;
}

static void __exit mayfly_exit(void)
{
	dev_teardown();
	net_teardown();
	demand_teardown();
	hardware_teardown();
	reclaim_teardown();
	pool_teardown();
	ends_teardown();
	catalog_teardown();
	table_teardown();
	vm_teardown();
	port_teardown();
	image_teardown();
	owner_teardown();
	memory_teardown();
	pages_teardown();
	tlbmodel_teardown();
	backend_teardown();
}

module_init(mayfly_init);
module_exit(mayfly_exit);

MODULE_DESCRIPTION("Mayfly: thousands of tiny virtual machines");
MODULE_AUTHOR("The Mayfly authors");
MODULE_LICENSE("GPL");
