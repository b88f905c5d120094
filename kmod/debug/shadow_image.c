// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_image.c - can an image's pages be written to? (DEBUG builds only)
 */
#include <linux/types.h>

#include "debug/shadow.h"
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
		if (level == STAGE2_SMALL || entry & format->large ||
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
