// SPDX-License-Identifier: GPL-2.0-only
/*
 * tlbmodel.c - what a real TLB might still hold (DEBUG builds only).
 *
 * Per CPU and tag the model remembers which VM ran under it and how often that
 * VM's mappings had been weakened by then. page->private counts the owned
 * entries that point to a page. See tlbmodel.h for why.
 */
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "stage2.h"
#include "tlbmodel.h"

#define TAGS	65536

/**
 * struct tag - what may be cached under an address space tag
 * @epoch: the CPU's, when this was written; another one means flushed since
 * @vm: whose translations
 * @model: that VM's stage2.model, when the tag was last clean
 */
struct tag {
	u64 epoch;
	u64 vm;
	u64 model;
};

/**
 * struct cpu_model - a CPU's TLB
 * @tags: by tag
 * @epoch: goes up when all tags are flushed
 * @inside: the tree in use, while in guest mode
 */
struct cpu_model {
	struct tag *tags;
	u64 epoch;
	const struct stage2 *inside;
};

static DEFINE_PER_CPU(struct cpu_model, models);

/**
 * tlbmodel_is_on - is this a DEBUG build?
 *
 * Return: true; the header's twin says false.
 */
bool tlbmodel_is_on(void)
{
	return true;
}

/**
 * tlbmodel_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int tlbmodel_setup(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_model *model = per_cpu_ptr(&models, cpu);

		model->epoch = 1;
		model->tags = vzalloc(array_size(TAGS, sizeof(struct tag)));
		if (!model->tags) {
			tlbmodel_teardown();
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * tlbmodel_teardown - at unload
 */
void tlbmodel_teardown(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		vfree(per_cpu_ptr(&models, cpu)->tags);
}

static void count(const struct stage2 *s2, u64 entry, int change)
{
	struct page *page;

	if (!(entry & s2->format->present) || !(entry & s2->format->owned))
		return;
	page = pfn_to_page((entry & STAGE2_ADDRESS) >> PAGE_SHIFT);
	set_page_private(page, page_private(page) + change);
}

static bool is_weaker(const struct stage2_format *format, u64 old, u64 new)
{
	u64 lost = old & ~new & (format->present | format->write | format->execute);
	u64 gained = new & ~old & format->no_execute;

	return lost || gained || (old ^ new) & STAGE2_ADDRESS;
}

/**
 * tlbmodel_changed - an entry has a new value
 * @s2: its tree
 * @old: before
 * @new: now
 */
void tlbmodel_changed(struct stage2 *s2, u64 old, u64 new)
{
	if (old & s2->format->present && is_weaker(s2->format, old, new))
		s2->model++;
	count(s2, new, 1);
	count(s2, old, -1);
}

/**
 * tlbmodel_dropped - all entries of a tree are gone, with its tables
 * @s2: the tree
 */
void tlbmodel_dropped(struct stage2 *s2)
{
	s2->model++;
}

/**
 * tlbmodel_page_kept - a page outlives the tree that was dropped
 * @pa: where it is; nothing maps it any more
 */
void tlbmodel_page_kept(u64 pa)
{
	set_page_private(pfn_to_page(pa >> PAGE_SHIFT), 0);
}

/**
 * tlbmodel_page_freed - a page is about to be freed
 * @s2: the tree it belonged to
 * @pa: where it is
 * @dead: the tree will never be used again, its entries need not be gone
 */
void tlbmodel_page_freed(const struct stage2 *s2, u64 pa, bool dead)
{
	int cpu;

	for_each_online_cpu(cpu)
		WARN_ONCE(READ_ONCE(per_cpu_ptr(&models, cpu)->inside) == s2,
			  "mayfly: page freed while its VM is in guest mode\n");
	WARN_ONCE(!dead && page_private(pfn_to_page(pa >> PAGE_SHIFT)),
		  "mayfly: page freed while it is mapped\n");
}

/**
 * tlbmodel_enter - guest mode is about to begin on this CPU
 * @s2: the VM's tree
 * @vm: its id
 * @tag: address space tag
 * @flush_all: all tags are flushed on the way
 *
 * Context: interrupts off.
 */
void tlbmodel_enter(const struct stage2 *s2, u64 vm, u32 tag, bool flush_all)
{
	struct cpu_model *cpu = this_cpu_ptr(&models);
	struct tag *known = &cpu->tags[tag % TAGS];

	cpu->epoch += flush_all;
	WRITE_ONCE(cpu->inside, s2);
	if (known->epoch == cpu->epoch) {
		WARN_ONCE(known->vm != vm,
			  "mayfly: tag %u of VM %llu used by VM %llu without a flush\n",
			  tag, known->vm, vm);
		WARN_ONCE(known->vm == vm && known->model != s2->model,
			  "mayfly: VM %llu entered with stale translations\n", vm);
	}
	*known = (struct tag){ .epoch = cpu->epoch, .vm = vm, .model = s2->model };
}

/**
 * tlbmodel_leave - guest mode is over on this CPU
 * @s2: the VM's tree
 */
void tlbmodel_leave(const struct stage2 *s2)
{
	WRITE_ONCE(this_cpu_ptr(&models)->inside, NULL);
}
