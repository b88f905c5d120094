// SPDX-License-Identifier: GPL-2.0-only
/*
 * extent.c - which pages an image has, and another one has not.
 *
 * Two images that come from each other share whole tables: what both have is passed over
 * where the trees meet. So the cost depends on how far they have grown apart.
 */
#include <linux/compiler.h>

#include "mem/extent.h"
#include "mem/stage2.h"

#define PAGE_BYTES	4096ull

/* Bytes behind one entry. */
static u64 span_of(int level)
{
	return PAGE_BYTES << 9 * (level - 1);
}

/* The same table or page, at the same place. */
static bool is_same(const struct stage2_format *format, u64 a, u64 b, int level)
{
	return a & format->present && b & format->present &&
	       stage2_is_leaf(format, a, level) == stage2_is_leaf(format, b, level) &&
	       (a & STAGE2_ADDRESS) == (b & STAGE2_ADDRESS);
}

/*
 * Goes down to a leaf. Returns its entry and sets @level; or 0, and @level is that of an
 * entry with nothing of interest behind it.
 */
static u64 leaf_at(const struct stage2 *s2, const struct stage2 *base, u64 gpa, int *level)
{
	const struct stage2_format *format = s2->format;
	const u64 *table = s2->root, *other = base ? base->root : NULL;

	for (*level = format->levels;; (*level)--) {
		u64 i = gpa / span_of(*level) % STAGE2_ENTRIES;
		u64 entry = table[i], same = other ? other[i] : 0;

		if (!(entry & format->present) || is_same(format, entry, same, *level))
			return 0;
		if (stage2_is_leaf(format, entry, *level))
			return entry;
		table = stage2_table(entry);
		other = same & format->present && !stage2_is_leaf(format, same, *level) ?
				stage2_table(same) : NULL;
	}
}

/* Has the other one a large page here, of which this is a part? */
static bool is_part(const struct stage2 *base, u64 gpa, u64 leaf)
{
	return base && ((stage2_look(base, gpa).leaf ^ leaf) & STAGE2_ADDRESS) == 0;
}

static u32 flags_of(const struct stage2_format *format, u64 leaf)
{
	u32 flags = leaf & format->cow ? MAYFLY_SEGMENT_WRITE : 0;

	if ((leaf & (format->execute | format->no_execute)) == format->execute)
		flags |= MAYFLY_SEGMENT_EXECUTE;
	return flags;
}

/**
 * extent_look - look at one page of an image, or at many that are alike
 * @s2: the image's tree
 * @base: that of an image whose pages are left out, or NULL
 * @gpa: the first one's address
 * @extent: out: so many from there on are listed alike, or are not listed
 *
 * Return: true if they are listed.
 */
bool extent_look(const struct stage2 *s2, const struct stage2 *base, u64 gpa,
		 struct mayfly_extent *extent)
{
	int level;
	u64 entry = leaf_at(s2, base, gpa, &level);
	u64 leaf;

	*extent = (struct mayfly_extent){
		.gpa = gpa, .length = span_of(level) - (gpa & (span_of(level) - 1)),
	};
	if (!entry)
		return false;
	leaf = stage2_look(s2, gpa).leaf;
	extent->flags = flags_of(s2->format, leaf);
	return level != STAGE2_SMALL || !is_part(base, gpa, leaf);
}
