/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages.h - host pages: where they come from, how many there are, what each is.
 *
 * PAGE_INDEX() says what a page is: a guest's memory, by guest page number, or
 * something else. A large page is one block of 512 pages with one such number.
 * page->private belongs to the TLB model.
 */
#ifndef MAYFLY_PAGES_H
#define MAYFLY_PAGES_H

#include <linux/mm_types.h>
#include <linux/page-flags.h>
#include <linux/types.h>

#include "debug/mutation.h"

/* 2 MiB: what one entry of the second-lowest level maps. */
#define PAGES_LARGE_ORDER	9
#define PAGES_LARGE		(1u << PAGES_LARGE_ORDER)

/*
 * Flags for callers that may sleep, for callers that prefer a long wait to a failure,
 * and for callers that may not sleep. None wakes the OOM killer.
 */
#define MEMORY_SLEEP	(GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)
#define MEMORY_WAIT	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)
#define MEMORY_ATOMIC	(GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN)

/* Pages freed between two calls of cond_resched(). */
#define PAGES_FREE_BATCH	512

struct page *pages_alloc(gfp_t gfp);
struct page *pages_alloc_run(gfp_t gfp, unsigned int order);
struct page *pages_alloc_large(gfp_t gfp);
void pages_split(struct page *page);
void pages_free(struct page *page);

/* Has the hardware found it broken? To read it may be a machine check of the host's. */
static inline bool pages_is_broken(struct page *page)
{
	return PageHWPoison(page) || mutation_is(MUTATION_BROKEN_PAGE);
}

bool pages_read(struct page *page, size_t offset, void *buffer, size_t length);
void pages_set_gpa(struct page *page, u64 gpa);
bool pages_is_guests(const struct page *page);
bool pages_is_large(const struct page *page);
bool pages_is_taken(const struct page *page);
u64 pages_gpa(const struct page *page);

int pages_setup(void);
void pages_teardown(void);
u64 pages_count(void);
bool pages_host_has_room(void);
bool pages_host_is_short(void);

#endif
