// SPDX-License-Identifier: GPL-2.0-only
/*
 * pages.c - the only place that takes pages from the kernel for guests and images.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu_counter.h>
#include <linux/sizes.h>

#include "compat.h"
#include "mem/pages.h"

/* PAGE_INDEX(): the value for "not guest memory", and the bit of a large page. */
#define NOT_THE_GUESTS	(~0ul)
#define INDEX_LARGE	(1ul << 62)

/*
 * Memory that guests must leave to the host: this part of all memory, plus a minimum
 * for small machines. Twice as much when VMs are made. So new VMs are refused before
 * old ones die, and both happen before the OOM killer acts: it cannot see whose
 * memory this is.
 */
#define RESERVE_DIVISOR	64
#define RESERVE_LEAST	(SZ_8M >> PAGE_SHIFT)

/* After this many pages a CPU checks how much is left. */
#define LOOK_EVERY	256

static struct percpu_counter nr_pages;
static DEFINE_PER_CPU(unsigned int, taken);
static bool host_is_short;

static unsigned long host_reserve(void)
{
	return totalram_pages() / RESERVE_DIVISOR + RESERVE_LEAST;
}

static bool look_at_host(void)
{
	bool is_short = si_mem_available() < (long)host_reserve();

	WRITE_ONCE(host_is_short, is_short);
	return is_short;
}

static void count_taken(unsigned int pages)
{
	percpu_counter_add(&nr_pages, pages);
	if (this_cpu_add_return(taken, pages) >= LOOK_EVERY) {
		this_cpu_write(taken, 0);
		look_at_host();
	}
}

static void mark_page(struct page *page, unsigned long index)
{
	PAGE_INDEX(page) = index;
	set_page_private(page, 0);
}

/**
 * pages_alloc - get a page
 * @gfp: one of MEMORY_*, with __GFP_ZERO unless the caller writes the whole page
 *
 * Return: the page, not yet a guest's, or NULL.
 */
struct page *pages_alloc(gfp_t gfp)
{
	struct page *page = alloc_page(gfp);

	if (page) {
		mark_page(page, NOT_THE_GUESTS);
		count_taken(1);
	}
	return page;
}

/**
 * pages_alloc_run - get several pages at once, if that is easy
 * @gfp: as for pages_alloc()
 * @order: 2 to the power of this
 *
 * It costs half as much as single calls of pages_alloc(). Each page is freed on its
 * own.
 *
 * Return: the first page, or NULL when there are no contiguous ones.
 */
struct page *pages_alloc_run(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages((gfp & ~__GFP_RECLAIM) | __GFP_NORETRY |
					__GFP_NOWARN, order);
	unsigned int i;

	if (!page)
		return NULL;
	split_page(page, order);
	for (i = 0; i < 1u << order; i++)
		mark_page(page + i, NOT_THE_GUESTS);
	count_taken(1 << order);
	return page;
}

/**
 * pages_alloc_large - get a large page
 * @gfp: MEMORY_ATOMIC; it will be zeroed
 *
 * Return: the page, with no address yet, or NULL.
 */
struct page *pages_alloc_large(gfp_t gfp)
{
	struct page *page = alloc_pages(gfp | __GFP_ZERO, PAGES_LARGE_ORDER);

	if (page) {
		mark_page(page, INDEX_LARGE);
		count_taken(PAGES_LARGE);
	}
	return page;
}

/**
 * pages_split - split a guest's large page into 512 small ones at the same addresses
 * @page: the large page
 */
void pages_split(struct page *page)
{
	unsigned long index = PAGE_INDEX(page) & ~INDEX_LARGE;
	unsigned int i;

	split_page(page, PAGES_LARGE_ORDER);
	PAGE_INDEX(page) = index;
	for (i = 1; i < PAGES_LARGE; i++)
		mark_page(page + i, index + i);
}

/**
 * pages_read - copy out of a page that may break
 * @page: the page
 * @offset: of the first byte
 * @buffer: destination
 * @length: bytes, all on the page
 *
 * Context: any.
 * Return: true, or false when the hardware has found it broken: then what could not be
 * read is zero.
 */
bool pages_read(struct page *page, size_t offset, void *buffer, size_t length)
{
	size_t left = length;

	if (!pages_is_broken(page))
		left = copy_mc_to_kernel(buffer, page_address(page) + offset, length);
	memset(buffer + length - left, 0, left);
	return !left;
}

/**
 * pages_free - give a page back
 * @page: from pages_alloc*(), no longer reachable by any guest
 */
void pages_free(struct page *page)
{
	unsigned int order = pages_is_large(page) ? PAGES_LARGE_ORDER : 0;

	mark_page(page, 0);
	percpu_counter_sub(&nr_pages, 1 << order);
	__free_pages(page, order);
}

/**
 * pages_set_gpa - make a page a guest's memory
 * @page: the page
 * @gpa: guest-physical address
 */
void pages_set_gpa(struct page *page, u64 gpa)
{
	unsigned long large = pages_is_large(page) ? INDEX_LARGE : 0;

	PAGE_INDEX(page) = gpa >> PAGE_SHIFT | large;
}

/**
 * pages_is_guests - is this page a guest's memory?
 * @page: the page
 *
 * Return: false for tables and the like.
 */
bool pages_is_guests(const struct page *page)
{
	return PAGE_INDEX(page) != NOT_THE_GUESTS;
}

/**
 * pages_is_taken - has this page been taken, and not freed?
 * @page: the page; not in the midst of a large one
 *
 * Return: true for what pages_alloc() and the like gave. Another owner's page may have
 * any answer.
 */
bool pages_is_taken(const struct page *page)
{
	return PAGE_INDEX(page);
}

/**
 * pages_is_large - is this page the first of 512?
 * @page: the page
 *
 * Return: true for one from pages_alloc_large() that has not been split.
 */
bool pages_is_large(const struct page *page)
{
	return pages_is_guests(page) && PAGE_INDEX(page) & INDEX_LARGE;
}

/**
 * pages_gpa - where in a guest's memory is this page?
 * @page: a guest's
 *
 * Return: its guest-physical address.
 */
u64 pages_gpa(const struct page *page)
{
	return (u64)(PAGE_INDEX(page) & ~INDEX_LARGE) << PAGE_SHIFT;
}

/**
 * pages_count - pages held for all VMs and images
 *
 * Return: an exact count when nothing is being made or freed.
 */
u64 pages_count(void)
{
	return percpu_counter_sum_positive(&nr_pages);
}

/**
 * pages_host_has_room - may another VM be made?
 *
 * Return: false when the host would be left with too little.
 */
bool pages_host_has_room(void)
{
	return si_mem_available() > 2 * (long)host_reserve();
}

/**
 * pages_host_is_short - is there too little left to give any away?
 *
 * Cheap while there is enough.
 *
 * Return: true when callers that can do without memory must.
 */
bool pages_host_is_short(void)
{
	return READ_ONCE(host_is_short) && look_at_host();
}

/**
 * pages_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int pages_setup(void)
{
	return percpu_counter_init(&nr_pages, 0, GFP_KERNEL);
}

/**
 * pages_teardown - at unload, when all are free
 */
void pages_teardown(void)
{
	/* The sum lacks the count of a CPU that is going offline. */
	cpus_read_lock();
	WARN_ON_ONCE(pages_count());
	cpus_read_unlock();
	percpu_counter_destroy(&nr_pages);
}
