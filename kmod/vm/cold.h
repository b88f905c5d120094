/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cold.h - sleeping VMs keep only what they have written.
 */
#ifndef MAYFLY_COLD_H
#define MAYFLY_COLD_H

#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/types.h>
#include <asm/barrier.h>

#include "vm/pool.h"
#include "vm/vm.h"

void cold_offer(struct vm *vm);
unsigned int cold_chill(struct vm *vm);
unsigned int cold_chill_first(struct pool *pool, unsigned long before);
int __must_check cold_warm(struct vm *vm, gfp_t gfp);
void cold_freeze(struct vm *vm, struct image *image);
void cold_forget(struct vm *vm);
bool cold_is(const struct vm *vm);
u64 cold_count(void);
u64 cold_warmed(void);

/**
 * cold_withdraw - a VM is no longer parked
 * @vm: parked until now
 *
 * Context: pool->lock held.
 */
static inline void cold_withdraw(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	if (list_empty(&vm->queue))
		return;
	list_del_init(&vm->queue);
	vm->pool->nr_warm--;
}

/**
 * cold_wait - wait for whoever is making a VM cold
 * @vm: the VM
 *
 * That takes microseconds, and happens to few VMs that have slept for long.
 *
 * Context: pool->lock held, so that nobody begins.
 */
static inline void cold_wait(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	smp_cond_load_acquire(&vm->chilling, !VAL);
}

#endif
