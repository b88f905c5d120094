/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pool.h - the workers that run a cgroup's VMs, and their queues.
 */
#ifndef MAYFLY_POOL_H
#define MAYFLY_POOL_H

#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/timerqueue.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "fetch.h"
#include "trap.h"

struct cgroup;
struct mem_cgroup;
struct owner;
struct vm;
struct worker;

/**
 * struct pool - one per creator's cgroup, from its first VM to its last
 * @ref: VMs
 * @node: in the list of pools
 * @cgroup: whose
 * @memcg: charged for its VMs
 * @lock: everything marked [P] in struct vm, and what follows; taken in hard
 *	interrupts
 * @ready: VMs that want a worker, longest waiting first
 * @warm: parked VMs that could go cold, longest parked first
 * @nr_warm: how many
 * @sleepers: parked VMs with a deadline
 * @timer: fires for the first of @sleepers
 * @idle: workers with nothing to do
 * @workers_lock: making workers
 * @workers: one per CPU once a VM has been started, else NULL
 * @workers_ready: they are there, for good
 * @nr_workers: how many
 * @owner: whose threads they count as
 * @fetcher: gets memory for VMs that wait for it
 * @free_work: stops the workers, away from them
 */
struct pool {
	struct kref ref;
	struct list_head node;
	struct cgroup *cgroup;
	struct mem_cgroup *memcg;
	spinlock_t lock;
	struct list_head ready;
	struct list_head warm;
	unsigned long nr_warm;
	struct timerqueue_head sleepers;
	struct hrtimer timer;
	wait_queue_head_t idle;
	struct mutex workers_lock;
	struct worker *workers;
	bool workers_ready;
	unsigned int nr_workers;
	struct owner *owner;
	struct fetcher fetcher;
	struct work_struct free_work;
};

struct pool *pool_get_current(void);
void pool_put(struct pool *pool);
int __must_check pool_make_workers(struct pool *pool, struct owner *owner);

void pool_settle(struct vm *vm);
void pool_withdraw(struct vm *vm);
void pool_release(struct vm *vm, enum verdict verdict);
void pool_init_vm(struct vm *vm);
void pool_cancel_fetch(struct vm *vm);

unsigned int pool_chill_own(struct pool *pool, unsigned long before, unsigned int vms);
bool pool_chill(unsigned long before, unsigned int vms, unsigned int *pages);
unsigned long pool_warm_sleepers(void);

u64 pool_count(void);
u64 pool_parked(void);
int pool_setup(void);
void pool_teardown(void);

#endif
