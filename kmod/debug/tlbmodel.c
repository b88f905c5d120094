// SPDX-License-Identifier: GPL-2.0-only
/*
 * tlbmodel.c - what a real TLB might still hold (DEBUG builds only).
 *
 * Per CPU and tag, and on VT-x also per EPT root, the model remembers which VM ran
 * under it and how often that VM's mappings had been weakened by then. page->private
 * counts the owned entries that point to a page. tlbmodel.h says why.
 */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/vmalloc.h>

#include "debug/mutation.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"
#include "mem/stage2.h"

#define TAGS	65536

/**
 * struct known - what may be cached under a tag or a root
 * @epoch: the cache's when this was written; if that has changed, it was flushed
 * @root: EPT root; another root in the same slot replaces this one
 * @vm: id of the VM whose translations they are
 * @model: that VM's stage2.model when they were last clean
 */
struct known {
	u64 epoch;
	u64 root;
	u64 vm;
	u64 model;
};

/**
 * struct cache - all that a CPU may have cached under one kind of tag
 * @known: by tag, or by root
 * @epoch: goes up when all of it is flushed
 */
struct cache {
	struct known *known;
	u64 epoch;
};

/**
 * struct cpu_model - a CPU's TLB
 * @tags: by ASID or VPID
 * @roots: by EPT root
 * @inside: the tree in use, while in guest mode
 */
struct cpu_model {
	struct cache tags;
	struct cache roots;
	const struct stage2 *inside;
};

static DEFINE_PER_CPU(struct cpu_model, models);

/**
 * tlbmodel_is_on - is this a DEBUG build?
 *
 * Return: true; the header's stub returns false.
 */
bool tlbmodel_is_on(void)
{
	return true;
}

static int make_cache(struct cache *cache)
{
	cache->epoch = 1;
	cache->known = vzalloc(array_size(TAGS, sizeof(struct known)));
	return cache->known ? 0 : -ENOMEM;
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

		if (make_cache(&model->tags) || make_cache(&model->roots)) {
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

	for_each_possible_cpu(cpu) {
		vfree(per_cpu_ptr(&models, cpu)->tags.known);
		vfree(per_cpu_ptr(&models, cpu)->roots.known);
	}
}

static void count_mapping(const struct stage2 *s2, u64 entry, int change)
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
	count_mapping(s2, new, 1);
	count_mapping(s2, old, -1);
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
 * tlbmodel_page_kept - a page outlives a tree that is dropped
 * @pa: its address; nothing maps it any more
 */
void tlbmodel_page_kept(u64 pa)
{
	set_page_private(pfn_to_page(pa >> PAGE_SHIFT), 0);
}

/**
 * tlbmodel_page_freed - a page is about to be freed
 * @s2: the tree it belonged to
 * @pa: its address
 * @dead: the tree will never be used again, so its entries may still be there
 */
void tlbmodel_page_freed(const struct stage2 *s2, u64 pa, bool dead)
{
	int cpu;

	for_each_online_cpu(cpu)
		if (READ_ONCE(per_cpu_ptr(&models, cpu)->inside) == s2)
			shadow_report(SHADOW_FREED_INSIDE,
				      "page %#llx, VM in guest mode on CPU %d", pa, cpu);
	if (!dead && page_private(pfn_to_page(pa >> PAGE_SHIFT)))
		shadow_report(SHADOW_FREED_MAPPED, "page %#llx", pa);
}

static void check_age(const struct known *known, const struct stage2 *s2, u64 vm)
{
	if (known->vm == vm && known->model != s2->model)
		shadow_report(SHADOW_STALE, "VM %llu entered after change %llu, clean of %llu",
			      vm, s2->model, known->model);
}

static void check_tag(const struct known *known, u64 epoch, u64 vm, u32 tag)
{
	if (known->epoch == epoch && known->vm != vm)
		shadow_report(SHADOW_TAG, "tag %u of VM %llu used by VM %llu", tag,
			      known->vm, vm);
}

/**
 * tlbmodel_enter - guest mode is about to begin on this CPU
 * @s2: the VM's tree
 * @vm: its id
 * @tag: the ASID under which everything is cached
 * @flush_all: this entry flushes all tags
 *
 * Context: interrupts off.
 */
void tlbmodel_enter(const struct stage2 *s2, u64 vm, u32 tag, bool flush_all)
{
	struct cpu_model *cpu = this_cpu_ptr(&models);
	struct known *known = &cpu->tags.known[tag % TAGS];

	cpu->tags.epoch += flush_all;
	WRITE_ONCE(cpu->inside, s2);
	check_tag(known, cpu->tags.epoch, vm, tag);
	if (known->epoch == cpu->tags.epoch)
		check_age(known, s2, vm);
	*known = (struct known){ .epoch = cpu->tags.epoch, .vm = vm, .model = s2->model };
}

static struct known *find_root(struct cpu_model *cpu, u64 root)
{
	return &cpu->roots.known[(root >> PAGE_SHIFT) % TAGS];
}

/**
 * tlbmodel_enter_ept - like tlbmodel_enter(), where the EPT root is a tag, too
 * @s2: the VM's tree
 * @vm: its id
 * @vpid: the tag for linear mappings
 *
 * Context: interrupts off.
 */
void tlbmodel_enter_ept(const struct stage2 *s2, u64 vm, u32 vpid)
{
	struct cpu_model *cpu = this_cpu_ptr(&models);
	struct known *tag = &cpu->tags.known[vpid % TAGS];
	u64 pa = __pa(s2->root);
	struct known *root = find_root(cpu, pa);

	WRITE_ONCE(cpu->inside, s2);
	check_tag(tag, cpu->tags.epoch, vm, vpid);
	if (root->epoch == cpu->roots.epoch && root->root == pa) {
		check_age(root, s2, vm);
		if (root->vm != vm)
			shadow_report(SHADOW_ROOT, "root %#llx of VM %llu used by VM %llu",
				      pa, root->vm, vm);
	}
	*tag = (struct known){ .epoch = cpu->tags.epoch, .vm = vm };
	*root = (struct known){ .epoch = cpu->roots.epoch, .root = pa, .vm = vm,
				.model = s2->model };
}

/**
 * tlbmodel_invvpid - INVVPID of all tags has been executed on this CPU
 *
 * Context: preemption off.
 */
void tlbmodel_invvpid(void)
{
	this_cpu_ptr(&models)->tags.epoch++;
}

/**
 * tlbmodel_invept - INVEPT has been executed on this CPU
 * @root: of one tree, or TLBMODEL_ALL
 *
 * Context: preemption off.
 */
void tlbmodel_invept(u64 root)
{
	struct cpu_model *cpu = this_cpu_ptr(&models);
	struct known *known = find_root(cpu, root);

	if (root == TLBMODEL_ALL)
		cpu->roots.epoch++;
	else if (known->root == root)
		known->epoch = 0;
}

/**
 * tlbmodel_leave - guest mode is over on this CPU
 * @s2: the VM's tree
 */
void tlbmodel_leave(const struct stage2 *s2)
{
	if (!mutation_is(MUTATION_FREE_INSIDE))
		WRITE_ONCE(this_cpu_ptr(&models)->inside, NULL);
}
