// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - guest pages: demand-zero, copy-on-write, and their way back.
 *
 * A VM's address space is its image's tables with private pages laid over them.
 * Only the thread that has claimed the VM calls in here, so there are no locks.
 * Allocation never wakes the OOM killer (MEMORY_SLEEP, MEMORY_ATOMIC) and is
 * charged to the VM's memcg.
 */
#include <linux/memcontrol.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "backend.h"
#include "image.h"
#include "memory.h"
#include "tlbmodel.h"
#include "uapi/mayfly_guest.h"

static struct page *stub_page;

static struct page *page_of(u64 entry)
{
	return pfn_to_page((entry & STAGE2_ADDRESS) >> PAGE_SHIFT);
}

struct table_source {
	struct vm_memory *memory;
	gfp_t gfp;
};

static u64 *alloc_table(void *context)
{
	struct table_source *source = context;
	struct page *page = pages_alloc(source->gfp | __GFP_ZERO);

	if (!page)
		return NULL;
	list_add(&page->lru, &source->memory->pages);
	source->memory->table_pages++;
	return page_address(page);
}

static u64 *own(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	struct table_source source = { .memory = memory, .gfp = gfp };

	return stage2_own(&memory->s2, gpa, alloc_table, &source);
}

/* Maps one page of Mayfly's own at a fixed place, read-only. */
static int map_fixed(struct vm_memory *memory, u64 gpa, struct page *page,
		     bool execute, u64 software, gfp_t gfp)
{
	u64 *entry = own(memory, gpa, gfp);

	if (!entry)
		return -ENOMEM;
	stage2_set(&memory->s2, entry,
		   software | stage2_leaf(memory->s2.format, page_to_phys(page),
					  false, execute));
	return 0;
}

static int map_device_page(struct vm_memory *memory, void **device_page,
			   gfp_t gfp)
{
	struct page *page = pages_alloc(gfp | __GFP_ZERO);

	if (!page)
		return -ENOMEM;
	list_add(&page->lru, &memory->pages);
	memory->device_pages++;
	*device_page = page_address(page);
	return map_fixed(memory, MAYFLY_GPA_DEVICE, page, false,
			 memory->s2.format->owned, gfp);
}

/* The tables of a VM that has written nothing yet. */
static int lay_out(struct vm_memory *memory, struct page *args,
		   void **device_page, gfp_t gfp)
{
	struct table_source source = { .memory = memory, .gfp = gfp };
	int ret;

	memory->s2.root = alloc_table(&source);
	if (!memory->s2.root)
		return -ENOMEM;
	copy_page(memory->s2.root, memory->image->s2.root);
	ret = map_device_page(memory, device_page, gfp);
	if (!ret)
		ret = map_fixed(memory, MAYFLY_GPA_STUB, stub_page, true, 0, gfp);
	if (!ret && args)
		ret = map_fixed(memory, MAYFLY_GPA_ARGS, args, false, 0, gfp);
	return ret;
}

/**
 * memory_init - lay out a new VM's memory
 * @memory: to fill; all zero
 * @image: what it starts as; the caller keeps it alive
 * @size: bytes, page-aligned
 * @args: the argument page or NULL; the caller keeps it alive
 * @memcg: charged; the caller keeps it alive
 * @device_page: out: the VM's device page, zeroed
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM, after which memory_free() is still owed.
 */
int memory_init(struct vm_memory *memory, struct image *image, u64 size,
		struct page *args, struct mem_cgroup *memcg, void **device_page)
{
	struct mem_cgroup *old;
	int ret;

	memory->s2 = image->s2;
	memory->s2.owned = image->s2.format->owned;
	memory->s2.root = NULL;
	memory->size = size;
	memory->image = image;
	memory->memcg = memcg;
	INIT_LIST_HEAD(&memory->pages);

	old = set_active_memcg(memcg);
	ret = lay_out(memory, args, device_page, MEMORY_SLEEP);
	set_active_memcg(old);
	return ret;
}

static struct page *guest_page(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	struct page *page = pages_alloc(gfp);

	if (page) {
		pages_set_gpa(page, gpa);
		list_add(&page->lru, &memory->pages);
		memory->guest_pages++;
	}
	return page;
}

/* A private page may do what the image's may, and be written. */
static void map_private(struct vm_memory *memory, u64 *entry, u64 shared,
			struct page *page)
{
	const struct stage2_format *format = memory->s2.format;
	u64 leaf = shared & format->present ?
			   (shared & ~(STAGE2_ADDRESS | format->cow)) :
			   stage2_leaf(format, 0, true, true);

	stage2_set(&memory->s2, entry,
		   leaf | format->write | format->owned | page_to_phys(page));
}

static int demand_zero(struct vm_memory *memory, u64 gpa, gfp_t gfp)
{
	u64 *entry = own(memory, gpa, gfp);
	struct page *page;

	if (!entry)
		return -ENOMEM;
	page = guest_page(memory, gpa, gfp | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	map_private(memory, entry, 0, page);
	return 0;
}

static int copy_on_write(struct vm_memory *memory, u64 gpa, u64 shared, gfp_t gfp)
{
	u64 *entry = own(memory, gpa, gfp);
	struct page *page;

	if (!entry)
		return -ENOMEM;
	page = guest_page(memory, gpa, gfp);
	if (!page)
		return -ENOMEM;
	copy_page(page_address(page), page_address(page_of(shared)));
	map_private(memory, entry, shared, page);
	return 0;
}

static bool may_execute(const struct stage2_format *format, u64 leaf)
{
	return !(leaf & format->no_execute) &&
	       (leaf & format->execute) == format->execute;
}

static int resolve(struct vm_memory *memory, const struct vm_fault_info *fault,
		   gfp_t gfp)
{
	const struct stage2_format *format = memory->s2.format;
	u64 gpa = fault->gpa & PAGE_MASK;
	u64 *entry;

	if (gpa < MAYFLY_GPA_IMAGE || gpa >= memory->size)
		return -EFAULT;
	entry = stage2_find(&memory->s2, gpa);
	if (!entry || !(*entry & format->present))
		return demand_zero(memory, gpa, gfp);
	if (fault->execute && !may_execute(format, *entry))
		return -EFAULT;
	if (!fault->write || (*entry & format->write))
		return 0;	/* Somebody else's flush was enough. */
	if (*entry & format->cow)
		return copy_on_write(memory, gpa, *entry, gfp);
	return -EFAULT;
}

/**
 * memory_fault - give the guest the page it asked for
 * @memory: the VM's
 * @fault: what it did
 * @gfp: MEMORY_SLEEP or MEMORY_ATOMIC
 *
 * Context: sleeps only with MEMORY_SLEEP. Task context: the memcg is set.
 * Return: 0 to enter again, -EFAULT when the access is not allowed, -ENOMEM.
 */
int memory_fault(struct vm_memory *memory, const struct vm_fault_info *fault,
		 gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memory->memcg);
	int ret = resolve(memory, fault, gfp);

	set_active_memcg(old);
	return ret;
}

/**
 * memory_copy_hot - give a VM the pages its kind always writes
 * @memory: the VM's
 * @gfp: MEMORY_SLEEP, MEMORY_WAIT or MEMORY_ATOMIC
 *
 * Context: as @gfp.
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

		/* -EFAULT: the first VM had more memory than this one. */
		if (memory_fault(memory, &fault, gfp) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

static const void *readable(struct vm_memory *memory, u64 gpa)
{
	u64 *entry = stage2_find(&memory->s2, gpa);

	if (entry && (*entry & memory->s2.format->present))
		return page_address(page_of(*entry));
	if (gpa >= MAYFLY_GPA_IMAGE)
		return page_address(ZERO_PAGE(0));
	return NULL;
}

/**
 * memory_is_readable - is a range wholly the guest's to show?
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: first byte, from the guest, not trusted
 * @length: bytes
 *
 * Context: any.
 * Return: true when memory_read() may be asked for it.
 */
bool memory_is_readable(struct vm_memory *memory, u64 gpa, u64 length)
{
	u64 end, page;

	if (check_add_overflow(gpa, length, &end) || end > memory->size)
		return false;
	/* Above MAYFLY_GPA_IMAGE all is memory, present or not. */
	for (page = gpa & PAGE_MASK; page < min_t(u64, end, MAYFLY_GPA_IMAGE);
	     page += PAGE_SIZE)
		if (!readable(memory, page))
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

		memcpy(buffer, readable(memory, gpa) + offset, n);
		buffer += n;
		gpa += n;
		length -= n;
	}
}

static void discard_page(struct vm_memory *memory, u64 gpa)
{
	u64 *entry = stage2_find(&memory->s2, gpa);
	u64 *shared;
	struct page *page;

	if (!entry || !(*entry & memory->s2.owned))
		return;
	page = page_of(*entry);
	shared = stage2_find(&memory->image->s2, gpa);
	stage2_set(&memory->s2, entry, shared ? *shared : 0);
	tlbmodel_page_freed(&memory->s2, page_to_phys(page), false);
	list_del(&page->lru);
	memory->guest_pages--;
	pages_free(page);
}

/**
 * memory_discard - take private pages back; they become the image's, or zero
 * @memory: the VM's; its vCPU is out of guest mode
 * @gpa: first page, from the guest, not trusted
 * @pages: how many, at most MAYFLY_DISCARD_MAX are handled
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
	for (i = 0; i < pages; i++)
		discard_page(memory, gpa + (i << PAGE_SHIFT));
	return pages;
}

/* Does the guest find the same bytes there without this page? */
static bool is_derived(const struct vm_memory *memory, const struct page *page)
{
	u64 *shared = stage2_find(&memory->image->s2, pages_gpa(page));

	if (shared && *shared & memory->s2.format->present)
		return !memcmp(page_address(page), page_address(page_of(*shared)),
			       PAGE_SIZE);
	return !memchr_inv(page_address(page), 0, PAGE_SIZE);
}

/**
 * memory_may_chill - is memory_chill() worth it, and short?
 * @memory: the VM's
 *
 * Return: true for a warm VM with few pages.
 */
bool memory_may_chill(const struct vm_memory *memory)
{
	return memory->s2.root && memory->guest_pages <= MEMORY_CHILL_MAX;
}

/**
 * memory_chill - give back all that memory_warm() can make again
 * @memory: a VM's that memory_may_chill(); nobody runs it or looks at its memory
 *
 * What stays are the pages whose bytes are nowhere else.
 *
 * Context: any.
 * Return: pages given back.
 */
unsigned int memory_chill(struct vm_memory *memory)
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
		u64 *entry, *shared;

		if (!pages_is_guests(page))
			continue;
		entry = own(memory, gpa, gfp);
		if (!entry)
			return -ENOMEM;
		shared = stage2_find(&memory->image->s2, gpa);
		map_private(memory, entry, shared ? *shared : 0, page);
	}
	return 0;
}

/**
 * memory_warm - undo memory_chill()
 * @memory: a cold VM's
 * @args: the argument page or NULL
 * @device_page: out: the VM's device page, zeroed
 * @gfp: MEMORY_WAIT or MEMORY_ATOMIC
 *
 * Context: as @gfp.
 * Return: 0, or -ENOMEM: it is as cold as before.
 */
int memory_warm(struct vm_memory *memory, struct page *args, void **device_page,
		gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memory->memcg);
	int ret;

	ret = lay_out(memory, args, device_page, gfp);
	if (!ret)
		ret = map_kept(memory, gfp);
	/* Those that were the image's again, or zero. */
	if (!ret)
		ret = memory_copy_hot(memory, gfp);
	set_active_memcg(old);
	if (ret)
		memory_chill(memory);
	return ret;
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
		if (++n % MEMORY_FREE_BATCH == 0)
			cond_resched();
	}
	memory->s2.root = NULL;
	memory->guest_pages = 0;
	memory->table_pages = 0;
	memory->device_pages = 0;
}

/**
 * memory_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int memory_setup(void)
{
	stub_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!stub_page)
		return -ENOMEM;
	memcpy(page_address(stub_page), backend->stub, sizeof(backend->stub));
	return 0;
}

/**
 * memory_teardown - at unload
 */
void memory_teardown(void)
{
	__free_page(stub_page);
}
