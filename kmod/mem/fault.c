// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault.c - guests get memory when they touch it: demand-zero, copy-on-write.
 *
 * A guest that touches pages at random gets them one by one, see also collapse.c. A guest that walks
 * through memory gets as many pages as its walk has had so far, and soon large ones,
 * also if it walks in a few places by turns: an honest walker holds at most twice what
 * it uses, and exits a few dozen times per 256 MiB. All of that is done in the VM's own
 * time, on the worker, so it counts as CPU time of the VM and of its cgroup. Only memory
 * that must be reclaimed first is left to the work item.
 */
#include <linux/align.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mem/collapse.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/room.h"
#include "uapi/mayfly_guest.h"

/* In pages: how long a walk is before it gets more than one, and the most it gets. */
#define WALK_MIN	4
#define WALK_MAX	(2 * PAGES_LARGE)
/* The most small pages it gets at once where there are no large ones. */
#define SMALL_MAX	64

/**
 * memory_add_page - a page is the VM's from now on
 * @memory: the VM's
 * @page: small or large
 * @gpa: where it will be mapped
 */
void memory_add_page(struct vm_memory *memory, struct page *page, u64 gpa)
{
	pages_set_gpa(page, gpa);
	list_add(&page->lru, &memory->pages);
	memory->guest_pages += pages_is_large(page) ? PAGES_LARGE : 1;
}

/**
 * memory_map_private - lay a page over the image's
 * @memory: the VM's
 * @entry: from memory_own()
 * @shared: the image's leaf there, as of a small page, or 0
 * @page: the VM's own; it gets the rights that the VM has on the image's page
 */
void memory_map_private(struct vm_memory *memory, u64 *entry, u64 shared,
			struct page *page)
{
	const struct stage2_format *format = memory->s2.format;
	u64 leaf = shared ? shared & ~(STAGE2_ADDRESS | format->cow) :
			    stage2_leaf(format, 0, true, true);

	if (shared & format->cow)
		leaf |= format->write;

	if (pages_is_large(page)) {
		leaf |= format->large;
		if (!format->large_code)
			leaf &= ~format->execute;
	}
	stage2_set(&memory->s2, entry, leaf | format->owned | page_to_phys(page));
}

/* Adds a zeroed page of the size that a leaf at that level maps. */
static int add_zero(struct vm_memory *memory, u64 gpa, int leaf, gfp_t gfp)
{
	u64 *entry = memory_own(memory, gpa, leaf, gfp);
	struct page *page;

	if (!entry)
		return -ENOMEM;
	page = leaf == STAGE2_LARGE ? pages_alloc_large(gfp) :
				      pages_alloc(gfp | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	memory_add_page(memory, page, gpa);
	memory_map_private(memory, entry, 0, page);
	return 0;
}

static bool is_mapped(const struct vm_memory *memory, u64 gpa)
{
	return stage2_look(&memory->s2, gpa).leaf;
}

/* Only where nothing exists yet, not even a table. */
static bool may_be_large(const struct vm_memory *memory, u64 gpa, u64 pages)
{
	return memory->s2.format->large_pages && pages >= PAGES_LARGE &&
	       IS_ALIGNED(gpa, PAGES_LARGE * PAGE_SIZE) &&
	       !stage2_look(&memory->s2, gpa).entry &&
	       room_for(memory->memcg, PAGES_LARGE, MEMORY_ATOMIC);
}

/* The walk that goes on at @gpa, or else a new one instead of the oldest; now the first. */
static struct memory_walk *walk_at(struct vm_memory *memory, u64 gpa)
{
	struct memory_walk *walks = memory->walks, found = { gpa, gpa };
	unsigned int i = 0;

	while (i < MEMORY_WALKS - 1 && walks[i].end != gpa)
		i++;
	if (walks[i].end == gpa)
		found = walks[i];
	memmove(&walks[1], &walks[0], i * sizeof(*walks));
	walks[0] = found;
	return walks;
}

/* What follows is not the guest's doing. */
static void forget_walks(struct vm_memory *memory)
{
	memset(memory->walks, 0, sizeof(memory->walks));
}

/*
 * How many pages a fault gets: as many as its walk has had so far. Only one when
 * memory is short and has to be reclaimed: others need it more.
 */
static u64 walk_length(const struct vm_memory *memory, const struct memory_walk *walk,
		       gfp_t gfp)
{
	u64 had = (walk->end - walk->begin) >> PAGE_SHIFT;
	u64 room = (memory->size - walk->end) >> PAGE_SHIFT;

	if (gfp & __GFP_DIRECT_RECLAIM)
		return 1;
	return had < WALK_MIN ? 1 : min3(had, (u64)WALK_MAX, room);
}

static int demand_zero(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	struct memory_walk *walk = walk_at(memory, gpa);
	u64 left = walk_length(memory, walk, gfp), at = gpa;
	int ret = 0;

	if (!room_for(memory->memcg, 1, gfp))
		return -ENOMEM;
	/* Pages beyond the one asked for are added only while there is room. */
	while (left && (at == gpa || (!is_mapped(memory, at) && room_for(memory->memcg, 1, gfp)))) {
		if (may_be_large(memory, at, left)) {
			if (!add_zero(memory, at, STAGE2_LARGE, gfp)) {
				at += PAGES_LARGE * PAGE_SIZE;
				left -= PAGES_LARGE;
				continue;
			}
			left = SMALL_MAX;
		}
		ret = add_zero(memory, at, STAGE2_SMALL, gfp);
		if (ret)
			break;
		at += PAGE_SIZE;
		left--;
	}
	walk->end = at;
	if (at == gpa)
		return ret;
	if (at == gpa + PAGE_SIZE && !(gfp & __GFP_DIRECT_RECLAIM))
		memory_collapse(memory, gpa);
	return 0;
}

/* Returns false when the page to copy from is broken. */
static bool copy_guest_page(struct page *to, struct page *from)
{
	return !pages_is_broken(from) &&
	       !copy_mc_to_kernel(page_address(to), page_address(from), PAGE_SIZE);
}

static int copy_on_write(struct vm_memory *memory, u64 gpa, u64 shared, gfp_t gfp)
{
	struct page *page;
	u64 *entry;

	if (!room_for(memory->memcg, 1, gfp))
		return -ENOMEM;
	entry = memory_own(memory, gpa, STAGE2_SMALL, gfp);
	if (!entry)
		return -ENOMEM;
	page = pages_alloc(gfp);
	if (!page)
		return -ENOMEM;
	if (!copy_guest_page(page, memory_page(shared))) {
		pages_free(page);
		return -EHWPOISON;
	}
	memory_add_page(memory, page, gpa);
	memory_map_private(memory, entry, shared, page);
	return 0;
}

static bool may_execute(const struct stage2_format *format, u64 leaf)
{
	return !(leaf & format->no_execute) &&
	       (leaf & format->execute) == format->execute;
}

/* The image's pages keep their rights; a large page is split to hold code. */
static int make_executable(struct vm_memory *memory, u64 gpa, struct stage2_found found,
			   gfp_t gfp)
{
	if (!found.large)
		return -EFAULT;
	if (found.owned)
		return memory_split(memory, found.entry, gfp) ? 0 : -ENOMEM;
	if (!room_for(memory->memcg, 1, gfp))
		return -ENOMEM;
	return memory_own(memory, gpa, STAGE2_SMALL, gfp) ? 0 : -ENOMEM;
}

static bool is_rings(const struct vm_memory *memory, u64 gpa)
{
	return gpa >= MAYFLY_GPA_RINGS && gpa < MAYFLY_GPA_RINGS + memory->rings * PAGE_SIZE;
}

static bool is_guests(const struct vm_memory *memory, u64 gpa)
{
	return (gpa >= MAYFLY_GPA_IMAGE && gpa < memory->size) || is_rings(memory, gpa);
}

/* One page, and no walk goes on from it. */
static int add_one(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	if (!room_for(memory->memcg, 1, gfp))
		return -ENOMEM;
	return add_zero(memory, gpa, STAGE2_SMALL, gfp);
}

static int resolve_fault(struct vm_memory *memory, const struct vm_fault_info *fault,
			 gfp_t gfp)
{
	const struct stage2_format *format = memory->s2.format;
	u64 gpa = fault->gpa & PAGE_MASK;
	struct stage2_found found;

	if (!is_guests(memory, gpa))
		return -EFAULT;
	found = stage2_look(&memory->s2, gpa);
	if (!found.leaf)
		return is_rings(memory, gpa) ? add_one(memory, gpa, gfp) :
					       demand_zero(memory, gpa, gfp);
	if (fault->execute && !may_execute(format, *found.entry))
		return make_executable(memory, gpa, found, gfp);
	if (!fault->write || found.leaf & format->write)
		return 0;	/* The entry allows it: the translation was stale. */
	if (found.leaf & format->cow)
		return copy_on_write(memory, gpa, found.leaf, gfp);
	return -EFAULT;
}

/**
 * memory_fault - give the guest the page it asked for
 * @memory: the VM's
 * @fault: the guest's access
 * @gfp: MEMORY_SLEEP, MEMORY_WAIT or MEMORY_ATOMIC
 *
 * Context: task, as the active memcg is set; may sleep unless MEMORY_ATOMIC.
 * Return: 0 to enter again, -EFAULT when the access is not allowed, -ENOMEM,
 * -EHWPOISON.
 */
int memory_fault(struct vm_memory *memory, const struct vm_fault_info *fault,
		 gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memory->memcg);
	int ret = resolve_fault(memory, fault, gfp);

	set_active_memcg(old);
	return ret;
}

/* What the guest has not opened to write yet. */
static int open_to_write(struct vm_memory *memory, u64 gpa, u64 leaf)
{
	const struct stage2_format *format = memory->s2.format;
	struct mem_cgroup *old;
	int ret = -EFAULT;

	if (leaf && !(leaf & format->cow))
		return -EFAULT;
	old = set_active_memcg(memory->memcg);
	ret = leaf ? copy_on_write(memory, gpa, leaf, MEMORY_ATOMIC) :
		     add_one(memory, gpa, MEMORY_ATOMIC);
	set_active_memcg(old);
	return ret;
}

static int touch(struct vm_memory *memory, u64 gpa, u64 leaf, void **address)
{
	struct page *page;
	int ret;

	if (!(leaf & memory->s2.format->write)) {
		ret = open_to_write(memory, gpa & PAGE_MASK, leaf);
		if (ret)
			return ret;
		leaf = stage2_look(&memory->s2, gpa).leaf;
	}
	page = memory_page(leaf);
	*address = page_address(page) + offset_in_page(gpa);
	return pages_is_broken(page) ? -EHWPOISON : 0;
}

/**
 * memory_touch - write to a page as the guest would, for a device of its
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: from the guest, not trusted
 * @address: out: where it is, up to the end of its page
 *
 * Context: any task.
 * Return: 0, -EFAULT where the guest may not write, -ENOMEM, -EHWPOISON.
 */
int memory_touch(struct vm_memory *memory, u64 gpa, void **address)
{
	if (!is_guests(memory, gpa & PAGE_MASK))
		return -EFAULT;
	return touch(memory, gpa, stage2_look(&memory->s2, gpa).leaf, address);
}

/**
 * memory_touch_rings - the same with a page for rings of the guest's
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: of the page, one that the VM has
 * @address: out: where it is; NULL if the guest has never touched it
 *
 * Context: any task.
 * Return: 0, -ENOMEM, -EHWPOISON.
 */
int memory_touch_rings(struct vm_memory *memory, u64 gpa, void **address)
{
	u64 leaf = stage2_look(&memory->s2, gpa).leaf;

	*address = NULL;
	return leaf ? touch(memory, gpa, leaf, address) : 0;
}

/* A page of the VM's own at an address in its memory. */
static int privatize(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	struct stage2_found found = stage2_look(&memory->s2, gpa);

	forget_walks(memory);
	if (!found.leaf)
		return demand_zero(memory, gpa, gfp);
	if (found.owned)
		return pages_is_broken(memory_page(found.leaf)) ? -EHWPOISON : 0;
	return copy_on_write(memory, gpa, found.leaf, gfp);
}

/**
 * memory_make_private - give a VM a page of its own, to be written from outside
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: any address on the page, from user space
 * @gfp: MEMORY_SLEEP
 *
 * The guest's own rights on the page stay what they are.
 *
 * Context: may sleep.
 * Return: 0, -EFAULT when it is not the VM's memory, -ENOMEM, -EHWPOISON.
 */
int memory_make_private(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	struct mem_cgroup *old;
	int ret;

	if (gpa < MAYFLY_GPA_IMAGE || gpa >= memory->size)
		return -EFAULT;
	old = set_active_memcg(memory->memcg);
	ret = privatize(memory, gpa & PAGE_MASK, gfp);
	set_active_memcg(old);
	return ret;
}

/**
 * memory_copy_hot - give a VM the hot set of its image
 * @memory: the VM's
 * @gfp: MEMORY_SLEEP, MEMORY_WAIT or MEMORY_ATOMIC
 *
 * Context: as for @gfp.
 * Return: 0 or -ENOMEM.
 */
int memory_copy_hot(struct vm_memory *memory, gfp_t gfp)
{
	struct image *image = memory->image;
	unsigned int i, n = smp_load_acquire(&image->nr_hot);

	for (i = 0; i < n; i++) {
		struct vm_fault_info fault = {
			.gpa = (u64)image->hot[i] << PAGE_SHIFT,
			.write = true,
		};

		forget_walks(memory);
		/* -EFAULT: the first VM had more memory than this one. */
		if (memory_fault(memory, &fault, gfp) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}
