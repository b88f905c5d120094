// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - a VM's address space: laid out, read, given back.
 *
 * An address space is the image's tables with private pages laid over them. Only the
 * claimant calls these functions, or whoever makes a parked VM cold, so there are no
 * locks here. All pages are charged to the VM's memcg. fault.c gives guests their pages.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "debug/mutation.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/room.h"
#include "uapi/mayfly_guest.h"

static struct page *stub_page;

/* A new VM needs a table of each level; they are allocated at once. */
#define STOCK_ORDER	2

/**
 * struct supply - where a layout gets its tables from
 * @memory: the VM's; it gets the tables
 * @gfp: for tables that are not in stock
 * @stock: the next one in stock
 * @left: how many are in stock
 */
struct supply {
	struct vm_memory *memory;
	gfp_t gfp;
	struct page *stock;
	unsigned int left;
};

static struct page *take_from_stock(struct supply *supply)
{
	if (!supply->left)
		return pages_alloc(supply->gfp | __GFP_ZERO);
	supply->left--;
	return supply->stock++;
}

static void fill_stock(struct supply *supply)
{
	supply->stock = pages_alloc_run(supply->gfp | __GFP_ZERO, STOCK_ORDER);
	supply->left = supply->stock ? 1 << STOCK_ORDER : 0;
}

static void clear_stock(struct supply *supply)
{
	while (supply->left)
		pages_free(take_from_stock(supply));
}

static u64 *alloc_table(void *context)
{
	struct supply *supply = context;
	struct page *page = take_from_stock(supply);

	if (!page)
		return NULL;
	list_add(&page->lru, &supply->memory->pages);
	supply->memory->table_pages++;
	return page_address(page);
}

/**
 * memory_own - get an entry that may be changed
 * @memory: the VM's
 * @gpa: any address in the page, which no large leaf maps
 * @leaf: STAGE2_SMALL or STAGE2_LARGE
 * @gfp: for tables
 *
 * Return: the entry, or NULL without memory.
 */
u64 *memory_own(struct vm_memory *memory, u64 gpa, int leaf, gfp_t gfp)
{
	struct supply supply = { .memory = memory, .gfp = gfp };

	return stage2_own(&memory->s2, gpa, leaf, alloc_table, &supply);
}

/* Maps one page of Mayfly's own at a fixed place, read-only. */
static int map_fixed(struct supply *supply, u64 gpa, struct page *page,
		     bool execute, u64 software)
{
	struct vm_memory *memory = supply->memory;
	u64 *entry = stage2_own(&memory->s2, gpa, STAGE2_SMALL, alloc_table, supply);

	if (!entry)
		return -ENOMEM;
	stage2_set(&memory->s2, entry,
		   software | stage2_leaf(memory->s2.format, page_to_phys(page),
					  false, execute));
	return 0;
}

static int map_device_page(struct supply *supply, void **device_page)
{
	struct vm_memory *memory = supply->memory;
	struct page *page = pages_alloc(supply->gfp | __GFP_ZERO);

	if (!page)
		return -ENOMEM;
	list_add(&page->lru, &memory->pages);
	memory->device_pages++;
	*device_page = page_address(page);
	return map_fixed(supply, MAYFLY_GPA_DEVICE, page, false,
			 memory->s2.format->owned);
}

static int lay_out(struct supply *supply, struct page *args, void **device_page)
{
	struct vm_memory *memory = supply->memory;
	int ret;

	memory->s2.root = alloc_table(supply);
	if (!memory->s2.root)
		return -ENOMEM;
	copy_page(memory->s2.root, memory->image->s2.root);
	ret = map_device_page(supply, device_page);
	if (!ret)
		ret = map_fixed(supply, MAYFLY_GPA_STUB, stub_page, true, 0);
	if (!ret && args)
		ret = map_fixed(supply, MAYFLY_GPA_ARGS, args, false, 0);
	return ret;
}

/**
 * memory_lay_out - build the tables of a VM that has written nothing yet
 * @memory: the VM's, without tables
 * @args: the argument page or NULL; the caller keeps it alive
 * @device_page: out: the VM's device page, zeroed
 * @gfp: for all of it
 *
 * Context: as for @gfp; the memcg is set.
 * Return: 0, or -ENOMEM with some of it done.
 */
int memory_lay_out(struct vm_memory *memory, struct page *args,
		   void **device_page, gfp_t gfp)
{
	struct supply supply = { .memory = memory, .gfp = gfp };
	int ret;

	fill_stock(&supply);
	ret = lay_out(&supply, args, device_page);
	clear_stock(&supply);
	return ret;
}

/**
 * memory_init - lay out a new VM's memory
 * @memory: to fill; all zero but its image and its empty list of pages
 * @size: bytes, page-aligned
 * @args: the argument page or NULL; the caller keeps it alive
 * @memcg: charged; the caller keeps it alive
 * @device_page: out: the VM's device page, zeroed
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM; in both cases the caller owes a memory_free().
 */
int memory_init(struct vm_memory *memory, u64 size, struct page *args,
		struct mem_cgroup *memcg, void **device_page)
{
	struct mem_cgroup *old;
	int ret;

	memory->s2.format = memory->image->s2.format;
	memory->s2.owned = memory->s2.format->owned;
	memory->size = size;
	memory->memcg = memcg;

	if (!room_for(memory->memcg, 1, MEMORY_SLEEP))
		return -ENOMEM;
	old = set_active_memcg(memcg);
	ret = memory_lay_out(memory, args, device_page, MEMORY_SLEEP);
	set_active_memcg(old);
	return ret;
}

/**
 * memory_page - the host page behind a leaf
 * @leaf: present
 *
 * Return: the page; of a large leaf the first one.
 */
struct page *memory_page(u64 leaf)
{
	return pfn_to_page((leaf & STAGE2_ADDRESS) >> PAGE_SHIFT);
}

/* The page that the guest would read, or NULL where it may not. */
static struct page *readable(struct vm_memory *memory, u64 gpa)
{
	u64 leaf = stage2_look(&memory->s2, gpa).leaf;

	if (leaf)
		return memory_page(leaf);
	return gpa >= MAYFLY_GPA_IMAGE ? ZERO_PAGE(0) : NULL;
}

/**
 * memory_find_readable - a page that the guest may read, and so the host
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: any address in the page, from the guest, not trusted
 *
 * Context: any.
 * Return: the page, for pages_read(), or NULL.
 */
struct page *memory_find_readable(struct vm_memory *memory, u64 gpa)
{
	struct page *page = gpa < memory->size ? readable(memory, gpa) : NULL;

	return page && !pages_is_broken(page) ? page : NULL;
}

/**
 * memory_is_readable - may the guest read all of a range, and so the host?
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: first byte, from the guest, not trusted
 * @length: bytes
 *
 * Context: any.
 * Return: true when memory_read() may be called for it.
 */
bool memory_is_readable(struct vm_memory *memory, u64 gpa, u64 length)
{
	u64 end, at;

	if (check_add_overflow(gpa, length, &end) || end > memory->size)
		return false;
	for (at = gpa & PAGE_MASK; at < end; at += PAGE_SIZE)
		if (!memory_find_readable(memory, at))
			return false;
	return true;
}

/**
 * memory_read - copy from guest memory
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: first byte of a range that memory_is_readable()
 * @buffer: destination
 * @length: bytes
 *
 * Context: any.
 */
void memory_read(struct vm_memory *memory, u64 gpa, void *buffer, size_t length)
{
	while (length) {
		size_t offset = offset_in_page(gpa);
		size_t n = min_t(size_t, length, PAGE_SIZE - offset);

		/* What is found to be broken only now reads as zero. */
		pages_read(readable(memory, gpa), offset, buffer, n);
		buffer += n;
		gpa += n;
		length -= n;
	}
}

/**
 * memory_write - copy into guest memory
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: first byte, on a page after memory_make_private()
 * @buffer: source
 * @length: bytes, all on that page
 *
 * Context: any.
 */
void memory_write(struct vm_memory *memory, u64 gpa, const void *buffer, size_t length)
{
	struct page *page = memory_page(stage2_look(&memory->s2, gpa).leaf);

	memcpy(page_address(page) + offset_in_page(gpa), buffer, length);
}

/**
 * memory_give_back - free a guest page
 * @memory: the VM's; its vCPU is out of guest mode
 * @entry: the page's leaf, owned
 * @shared: what the leaf becomes: the image's, or 0
 */
void memory_give_back(struct vm_memory *memory, u64 *entry, u64 shared)
{
	struct page *page = memory_page(*entry);
	bool late = mutation_is(MUTATION_FREE_MAPPED);

	memory->guest_pages -= pages_is_large(page) ? PAGES_LARGE : 1;
	if (!late)
		stage2_set(&memory->s2, entry, shared);
	tlbmodel_page_freed(&memory->s2, page_to_phys(page), false);
	if (late)
		stage2_set(&memory->s2, entry, shared);
	list_del(&page->lru);
	pages_free(page);
}

/**
 * memory_split - split a large page into small ones
 * @memory: the VM's
 * @entry: the page's leaf, owned
 * @gfp: for the table
 *
 * Return: false without memory; then nothing has changed.
 */
bool memory_split(struct vm_memory *memory, u64 *entry, gfp_t gfp)
{
	struct supply supply = { .memory = memory, .gfp = gfp };
	struct page *page = memory_page(*entry);
	struct mem_cgroup *old = set_active_memcg(memory->memcg);
	u64 *table = alloc_table(&supply);
	unsigned int i;

	set_active_memcg(old);
	if (!table)
		return false;
	pages_split(page);
	stage2_split(&memory->s2, entry, table);
	for (i = 1; i < PAGES_LARGE; i++)
		list_add(&page[i].lru, &memory->pages);
	return true;
}

/* Discards at one address. Returns how many pages that handled, at most @pages. */
static u64 discard_from(struct vm_memory *memory, u64 gpa, u64 pages)
{
	struct stage2_found found = stage2_look(&memory->s2, gpa);

	if (!found.owned)
		return 1;
	if (found.large) {
		if (pages >= PAGES_LARGE && IS_ALIGNED(gpa, PAGES_LARGE * PAGE_SIZE)) {
			memory_give_back(memory, found.entry, 0);
			return PAGES_LARGE;
		}
		if (!memory_split(memory, found.entry, MEMORY_ATOMIC)) {
			/* The VM keeps the page, zeroed like a new one. */
			clear_page(page_address(memory_page(found.leaf)));
			return 1;
		}
		found = stage2_look(&memory->s2, gpa);
	}
	memory_give_back(memory, found.entry, stage2_look(&memory->image->s2, gpa).leaf);
	return 1;
}

/**
 * memory_discard - drop private pages; the guest then sees the image's, or zero
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: first page, from the guest, not trusted
 * @pages: how many; at most MAYFLY_DISCARD_MAX are handled
 *
 * Context: any.
 * Return: pages handled, or -EINVAL when the range is not the VM's memory.
 */
int memory_discard(struct vm_memory *memory, u64 gpa, u64 pages)
{
	u64 i;

	if (!PAGE_ALIGNED(gpa) || gpa < MAYFLY_GPA_IMAGE || gpa > memory->size ||
	    pages > (memory->size - gpa) >> PAGE_SHIFT)
		return -EINVAL;
	pages = min_t(u64, pages, MAYFLY_DISCARD_MAX);
	for (i = 0; i < pages;)
		i += discard_from(memory, gpa + (i << PAGE_SHIFT), pages - i);
	return pages;
}

/**
 * memory_freeze - all that a VM has written becomes an image's
 * @memory: the VM's, warm; its vCPU is out of guest mode. It becomes cold, with @image
 *	as what it was made from
 * @device_page: the VM's, to be freed: it is nobody else's business
 * @image: from image_prepare(); derived from the VM's image. It gets nr_pages pages:
 *	all of the VM's guest pages and tables
 *
 * No page is copied, and nothing can fail.
 *
 * Context: any.
 */
void memory_freeze(struct vm_memory *memory, struct page *device_page,
		   struct image *image)
{
	stage2_freeze(&memory->s2, MAYFLY_GPA_STUB, MAYFLY_GPA_ARGS + PAGE_SIZE);
	tlbmodel_page_freed(&memory->s2, page_to_phys(device_page), false);
	list_del(&device_page->lru);
	pages_free(device_page);

	image->s2.root = memory->s2.root;
	image->nr_pages = memory_image_pages(memory);
	list_splice_init(&memory->pages, &image->pages);
	WRITE_ONCE(memory->guest_pages, 0);
	WRITE_ONCE(memory->table_pages, 0);
	WRITE_ONCE(memory->device_pages, 0);
	stage2_drop(&memory->s2);
	shadow_image(&image->s2);

	image_inherit(image, memory->image);
	smp_store_release(&memory->image, image_get(image));
}

/**
 * memory_free - give everything back
 * @memory: the VM's; it will not be entered again. Harmless when repeated.
 *
 * Context: may sleep.
 */
void memory_free(struct vm_memory *memory)
{
	struct page *page, *next;
	unsigned int n = 0;

	list_for_each_entry_safe(page, next, &memory->pages, lru) {
		tlbmodel_page_freed(&memory->s2, page_to_phys(page), true);
		list_del(&page->lru);
		pages_free(page);
		if (++n % PAGES_FREE_BATCH == 0)
			cond_resched();
	}
	memory->s2.root = NULL;
	memory->guest_pages = 0;
	memory->table_pages = 0;
	memory->device_pages = 0;
}

/**
 * memory_setup - at load
 * @stub: the hypercall instruction and a ret
 * @length: bytes
 *
 * Return: 0 or -ENOMEM.
 */
int memory_setup(const void *stub, size_t length)
{
	stub_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!stub_page)
		return -ENOMEM;
	memcpy(page_address(stub_page), stub, length);
	return 0;
}

/**
 * memory_teardown - at unload
 */
void memory_teardown(void)
{
	__free_page(stub_page);
}
