// SPDX-License-Identifier: GPL-2.0-only
/*
 * collapse.c - a guest that fills 2 MiB in no order gets a large page, too.
 *
 * A heap is touched here and there, and no walk is seen. Once half of an aligned 2 MiB has
 * come page by page, it is moved to a large page: so like a walker, an honest guest holds
 * at most twice what it uses, and the other half costs it no more exits.
 */
#include <linux/align.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "debug/tlbmodel.h"
#include "mem/collapse.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/room.h"
#include "uapi/mayfly_guest.h"

/* Of so many pages one is followed by a look at its 2 MiB. */
#define LOOK_EVERY	32
#define ENOUGH		(PAGES_LARGE / 2)
#define LARGE_SIZE	((u64)PAGES_LARGE * PAGE_SIZE)

/* The entry over the 2 MiB at @base if they may become a large page, or NULL. */
static u64 *find_table(const struct vm_memory *memory, u64 base)
{
	u64 *entry;

	/* What lies over an image's page must become that again when it is discarded. */
	if (!memory->s2.format->large_pages || base < MAYFLY_GPA_IMAGE ||
	    memory->size - base < LARGE_SIZE || stage2_look(&memory->image->s2, base).entry)
		return NULL;
	entry = stage2_find_table(&memory->s2, base);
	if (!entry || *entry & memory->s2.format->cow)
		return NULL;	/* What was split once would be split again and again. */
	return entry;
}

static bool is_present(const struct vm_memory *memory, u64 entry)
{
	return entry & memory->s2.format->present;
}

/* Half of the pages, and none of them broken. */
static bool are_enough(const struct vm_memory *memory, const u64 *table)
{
	unsigned int i, n = 0;

	for (i = 0; i < STAGE2_ENTRIES; i++) {
		if (!is_present(memory, table[i]))
			continue;
		if (pages_is_broken(memory_page(table[i])))
			return false;
		n++;
	}
	return n >= ENOUGH;
}

/* Returns false when a page turns out to be broken. */
static bool copy_pages(const struct vm_memory *memory, const u64 *table, struct page *large)
{
	unsigned int i;

	for (i = 0; i < STAGE2_ENTRIES; i++) {
		struct page *page = memory_page(table[i]);

		if (is_present(memory, table[i]) &&
		    copy_mc_to_kernel(page_address(large + i), page_address(page), PAGE_SIZE))
			return false;
	}
	return true;
}

static void free_table(struct vm_memory *memory, u64 *table)
{
	struct page *page = virt_to_page(table);

	memory->table_pages--;
	tlbmodel_page_freed(&memory->s2, page_to_phys(page), false);
	list_del(&page->lru);
	pages_free(page);
}

/* The vCPU is out of guest mode, and will flush what it knows of the small pages. */
static void replace_table(struct vm_memory *memory, u64 base, u64 *entry, struct page *large)
{
	u64 *table = stage2_table(*entry);
	unsigned int i;

	memory_add_page(memory, large, base);
	memory_map_private(memory, entry, 0, large);
	for (i = 0; i < STAGE2_ENTRIES; i++)
		if (is_present(memory, table[i]))
			memory_give_back(memory, &table[i], 0);
	free_table(memory, table);
}

/**
 * memory_collapse - after a page has been added: give the guest a large one if it is time
 * @memory: the VM's
 * @gpa: the new page's
 *
 * Without memory, or if one of the pages is broken, all stays as it is.
 *
 * Context: any task, as the active memcg is set; does not sleep.
 */
void memory_collapse(struct vm_memory *memory, u64 gpa)
{
	u64 base = ALIGN_DOWN(gpa, LARGE_SIZE);
	struct page *large;
	u64 *entry;

	if (memory->guest_pages % LOOK_EVERY)
		return;
	entry = find_table(memory, base);
	if (!entry || !are_enough(memory, stage2_table(*entry)) ||
	    !room_for(memory->memcg, PAGES_LARGE, MEMORY_ATOMIC))
		return;
	large = pages_alloc_large(MEMORY_ATOMIC);
	if (!large)
		return;
	if (copy_pages(memory, stage2_table(*entry), large))
		replace_table(memory, base, entry, large);
	else
		pages_free(large);
}
