// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_image.c - can an image's pages be written to, and are they still there?
 * (DEBUG builds only)
 */
#include <linux/align.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "debug/shadow.h"
#include "mem/pages.h"
#include "mem/stage2.h"

/*
 * Below an entry without the write bit a CPU writes to nothing. Entries with it must
 * lead to tables that are shared as a whole.
 */
static bool is_shared(const struct stage2_format *format, const u64 *table, int level)
{
	int i;

	for (i = 0; i < STAGE2_ENTRIES; i++) {
		u64 entry = table[i];

		if (!(entry & format->present))
			continue;
		if (entry & format->owned)
			return false;
		if (!(entry & format->write))
			continue;
		if (stage2_is_leaf(format, entry, level) ||
		    !is_shared(format, stage2_table(entry), level - 1))
			return false;
	}
	return true;
}

/**
 * shadow_image - check that nobody can write to an image
 * @s2: its tables
 */
void shadow_image(const struct stage2 *s2)
{
	if (!is_shared(s2->format, s2->root, s2->format->levels))
		shadow_report(SHADOW_FROZEN, "VMs can write to what they share");
}

/* Has it not been freed? A page in the midst of a large one says nothing by itself. */
static bool is_there(u64 pa)
{
	struct page *large = pfn_to_page(ALIGN_DOWN(pa, SZ_2M) >> PAGE_SHIFT);

	return pages_is_taken(pfn_to_page(pa >> PAGE_SHIFT)) || pages_is_large(large);
}

static bool are_there(const struct stage2_format *format, const u64 *table, int level)
{
	int i;

	for (i = 0; i < STAGE2_ENTRIES; i++) {
		u64 entry = table[i];

		if (!(entry & format->present))
			continue;
		if (!is_there(entry & STAGE2_ADDRESS))
			return false;
		if (!stage2_is_leaf(format, entry, level) &&
		    !are_there(format, stage2_table(entry), level - 1))
			return false;
	}
	return true;
}

/**
 * shadow_folded - check that an image still has all its pages
 * @s2: its tables
 *
 * Context: task.
 */
void shadow_folded(const struct stage2 *s2)
{
	if (!are_there(s2->format, s2->root, s2->format->levels))
		shadow_report(SHADOW_FOLDED, "what VMs share has been freed");
}
