/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fetch.h - VMs that wait for memory.
 */
#ifndef MAYFLY_FETCH_H
#define MAYFLY_FETCH_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct vm;

/**
 * struct fetcher - gets memory for the VMs of one pool
 * @work: serves them, one after the other
 * @waiting: they, by vm->queue, first come first; pool->lock
 * @over_high: pages it has taken above memory.high and not yet waited for; @work's
 */
struct fetcher {
	struct work_struct work;
	struct list_head waiting;
	unsigned int over_high;
};

void fetch_init(struct fetcher *fetcher);
void fetch_stop(struct fetcher *fetcher);
void fetch_queue(struct vm *vm);
bool fetch_withdraw(struct vm *vm);

int fetch_setup(void);
void fetch_teardown(void);

#endif
