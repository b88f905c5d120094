// SPDX-License-Identifier: GPL-2.0-only
/*
 * cold.c - from warm to cold and back.
 *
 * A warm VM can run at once. A cold one keeps its struct, its console and the guest
 * pages whose bytes exist nowhere else; tables, device page and entry table are
 * rebuilt from those and the image before it runs. This file does not decide when:
 * reclaim.c asks for memory, run.c and fetch.c warm a VM that will run. It does keep
 * pool->warm: the parked VMs that could go cold, longest parked first.
 */
#include <linux/atomic.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

#include "debug/tlbmodel.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/room.h"
#include "vm/cold.h"
#include "vm/devpage.h"
#include "vm/pool.h"
#include "vm/vm.h"

#define MAX_PAGES	32
#define MAX_TABLES	16

static atomic64_t nr_cold = ATOMIC64_INIT(0);
static atomic64_t nr_warmed = ATOMIC64_INIT(0);

/* Would the guest read the same bytes without this page? */
static bool is_derived(const struct vm_memory *memory, struct page *page)
{
	u64 shared = stage2_look(&memory->image->s2, pages_gpa(page)).leaf;
	struct page *other = shared ? memory_page(shared) : NULL;

	/* It is the guest that must find out, if it ever reads it. */
	if (pages_is_broken(page) || (other && pages_is_broken(other)))
		return false;
	if (other)
		return !memcmp(page_address(page), page_address(other), PAGE_SIZE);
	return !memchr_inv(page_address(page), 0, PAGE_SIZE);
}

/* Keeps only the pages whose bytes exist nowhere else. Returns how many it freed. */
static unsigned int forget_derived(struct vm_memory *memory)
{
	struct page *page, *next;
	unsigned int freed = 0;

	list_for_each_entry_safe(page, next, &memory->pages, lru) {
		if (pages_is_guests(page)) {
			if (!is_derived(memory, page)) {
				tlbmodel_page_kept(page_to_phys(page));
				continue;
			}
			WRITE_ONCE(memory->guest_pages, memory->guest_pages - 1);
		}
		tlbmodel_page_freed(&memory->s2, page_to_phys(page), true);
		list_del(&page->lru);
		pages_free(page);
		freed++;
	}
	WRITE_ONCE(memory->table_pages, 0);
	WRITE_ONCE(memory->device_pages, 0);
	stage2_drop(&memory->s2);
	return freed;
}

static int map_kept(struct vm_memory *memory, gfp_t gfp)
{
	struct page *page;

	list_for_each_entry(page, &memory->pages, lru) {
		u64 gpa = pages_gpa(page);
		u64 *entry;

		if (!pages_is_guests(page))
			continue;
		entry = memory_own(memory, gpa, STAGE2_SMALL, gfp);
		if (!entry)
			return -ENOMEM;
		memory_map_private(memory, entry,
				   stage2_look(&memory->image->s2, gpa).leaf, page);
	}
	return 0;
}

/* Returns 0, or -ENOMEM: it is as cold as before. */
static int make_warm(struct vm_memory *memory, struct page *args,
		     void **device_page, gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memory->memcg);
	int ret;

	ret = memory_lay_out(memory, args, device_page, gfp);
	if (!ret)
		ret = map_kept(memory, gfp);
	/* Hot pages that were derived. Without memory for them the guest faults later. */
	if (!ret)
		memory_copy_hot(memory, gfp);
	set_active_memcg(old);
	if (ret)
		forget_derived(memory);
	return ret;
}

/**
 * cold_is - is a VM cold?
 * @vm: has not ended
 *
 * Return: true if it needs cold_warm() before it can run.
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
 * cold_warmed - times VMs have been warmed
 *
 * Return: how many since the module was loaded.
 */
u64 cold_warmed(void)
{
	return atomic64_read(&nr_warmed);
}

/* A VM with many pages keeps its tables: they are a small part of it. */
static bool is_worth_it(const struct vm *vm)
{
	return !cold_is(vm) && vm->memory.guest_pages <= MAX_PAGES &&
	       vm->memory.table_pages <= MAX_TABLES;
}

/**
 * cold_offer - a VM has parked, and could go cold
 * @vm: in no queue
 *
 * Context: pool->lock held.
 */
void cold_offer(struct vm *vm)
{
	struct pool *pool = vm->pool;

	lockdep_assert_held(&pool->lock);
	/* Once that is over it is cold, and is seen to be. */
	if (smp_load_acquire(&vm->chilling) || !is_worth_it(vm))
		return;
	list_add_tail(&vm->queue, &pool->warm);
	pool->nr_warm++;
}

/**
 * cold_chill - make a VM cold
 * @vm: claimed by the caller and warm, or @chilling; it has few pages, as one that was
 *	cold before
 *
 * Context: task; does not sleep. Without pool->lock: pages are compared.
 * Return: pages given back.
 */
unsigned int cold_chill(struct vm *vm)
{
	unsigned int freed;

	lockdep_assert_not_held(&vm->pool->lock);
	vm->device_page = NULL;
	atomic64_inc(&nr_cold);
	freed = forget_derived(&vm->memory);
	vm_account(vm);
	return freed;
}

/*
 * The VM is not claimed: whoever wants it waits until it is cold. So nobody has to be
 * told what happened meanwhile, which could not be done here, in the midst of reclaim.
 */
static struct vm *begin_to_chill(struct pool *pool, unsigned long before)
{
	struct vm *vm;

	lockdep_assert_held(&pool->lock);
	vm = list_first_entry_or_null(&pool->warm, struct vm, queue);
	if (!vm || !time_before_eq(vm->parked_at, before))
		return NULL;
	cold_withdraw(vm);
	WRITE_ONCE(vm->chilling, true);
	return vm;
}

/**
 * cold_chill_first - make the VM of a pool that has slept longest cold
 * @pool: the pool
 * @before: only a VM that parked at or before this time, in jiffies
 *
 * Context: task; does not sleep.
 * Return: pages given back, 0 when there is no such VM.
 */
unsigned int cold_chill_first(struct pool *pool, unsigned long before)
{
	unsigned int freed = 0;
	unsigned long flags;
	struct vm *vm;

	/* Off as long as somebody may wait for this CPU with the lock held. */
	local_irq_save(flags);
	spin_lock(&pool->lock);
	vm = begin_to_chill(pool, before);
	spin_unlock(&pool->lock);
	if (vm) {
		freed = cold_chill(vm);
		/* Pairs with cold_wait(), after which the VM may be gone. */
		smp_store_release(&vm->chilling, false);
	}
	local_irq_restore(flags);
	return freed;
}

/**
 * cold_warm - make a cold VM able to run
 * @vm: claimed by the caller
 * @gfp: MEMORY_ATOMIC, MEMORY_WAIT or MEMORY_SLEEP
 *
 * Context: as for @gfp.
 * Return: 0, or -ENOMEM: it is still cold.
 */
int cold_warm(struct vm *vm, gfp_t gfp)
{
	int ret = -ENOMEM;

	if (room_for(vm->memory.memcg, 1, gfp))
		ret = make_warm(&vm->memory, vm->args, &vm->device_page, gfp);
	if (ret) {
		vm->device_page = NULL;
		return ret;
	}
	devpage_fill(vm);
	vm->vcpu.state_changed = true;	/* The control block has the old root. */
	atomic64_dec(&nr_cold);
	atomic64_inc(&nr_warmed);
	return 0;
}

/**
 * cold_freeze - make all that a VM has written an image's
 * @vm: claimed by the caller and warm; it becomes cold
 * @image: see memory_freeze()
 *
 * Context: any.
 */
void cold_freeze(struct vm *vm, struct image *image)
{
	struct page *device_page = virt_to_page(vm->device_page);

	vm->device_page = NULL;
	atomic64_inc(&nr_cold);
	memory_freeze(&vm->memory, device_page, image);
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
