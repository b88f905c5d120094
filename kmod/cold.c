// SPDX-License-Identifier: GPL-2.0-only
/*
 * cold.c - from warm to cold and back.
 *
 * A warm VM can run at once. A cold one has its struct, its console and the guest
 * pages whose bytes are nowhere else; tables, device page and entry table are
 * made again from those and the image before it runs. When that happens is not
 * decided here: pool.c chills what reclaim.c asks for, run.c warms what is to run.
 */
#include <linux/atomic.h>

#include "channel.h"
#include "cold.h"
#include "memory.h"
#include "pool.h"
#include "vm.h"

static atomic64_t nr_cold = ATOMIC64_INIT(0);
static atomic64_t nr_warmed = ATOMIC64_INIT(0);

/**
 * cold_is - is it cold?
 * @vm: has not ended
 *
 * Return: true when it needs cold_warm() before it can run.
 */
bool cold_is(const struct vm *vm)
{
	return !READ_ONCE(vm->memory.s2.root);
}

/**
 * cold_count - VMs that are cold
 *
 * Return: how many.
 */
u64 cold_count(void)
{
	return atomic64_read(&nr_cold);
}

/**
 * cold_warmed - times a VM has been warmed
 *
 * Return: how many since the module was loaded.
 */
u64 cold_warmed(void)
{
	return atomic64_read(&nr_warmed);
}

/**
 * cold_chill - let a sleeping VM go cold
 * @vm: warm, memory_may_chill(); parked, so that nobody can claim it meanwhile
 *
 * Context: pool->lock held.
 * Return: pages given back.
 */
unsigned int cold_chill(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	vm->device_page = NULL;
	atomic64_inc(&nr_cold);
	return memory_chill(&vm->memory);
}

/**
 * cold_warm - make a cold VM fit to run
 * @vm: claimed by the caller
 * @gfp: MEMORY_ATOMIC or MEMORY_WAIT
 *
 * Context: as @gfp.
 * Return: 0, or -ENOMEM: it is still cold.
 */
int cold_warm(struct vm *vm, gfp_t gfp)
{
	int ret = memory_warm(&vm->memory, vm->args, &vm->device_page, gfp);

	if (ret) {
		vm->device_page = NULL;
		return ret;
	}
	channel_fill(vm);
	vm->state_changed = true;	/* The control block knows the old root. */
	atomic64_dec(&nr_cold);
	atomic64_inc(&nr_warmed);
	return 0;
}

/**
 * cold_forget - a VM ends, cold or not
 * @vm: claimed by the caller, before memory_free()
 */
void cold_forget(struct vm *vm)
{
	if (cold_is(vm))
		atomic64_dec(&nr_cold);
}
