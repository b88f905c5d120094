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

/* Is there nothing behind entry @i of @table that @other, which may be NULL, has not? */
static bool is_nothing(const struct stage2_format *format, const u64 *table, const u64 *other,
		       unsigned int i, int level)
{
	return !(table[i] & format->present) ||
	       (other && is_same(format, table[i], other[i], level));
}

/* Where in the trees one has arrived. */
struct place {
	u64 leaf;		/* or 0: nothing of interest */
	int level;
	unsigned int entries;	/* of this level, from here on, that are alike */
};

static struct place find_place(const struct stage2 *s2, const struct stage2 *base, u64 gpa)
{
	const struct stage2_format *format = s2->format;
	const u64 *table = s2->root, *other = base ? base->root : NULL;
	struct place at = { .level = format->levels };

	for (;; at.level--) {
		unsigned int i = gpa / span_of(at.level) % STAGE2_ENTRIES;
		u64 same = other ? other[i] : 0;

		while (i + at.entries < STAGE2_ENTRIES &&
		       is_nothing(format, table, other, i + at.entries, at.level))
			at.entries++;
		if (at.entries)
			return at;
		if (stage2_is_leaf(format, table[i], at.level)) {
			at.leaf = table[i];
			at.entries = 1;
			return at;
		}
		table = stage2_table(table[i]);
		other = same & format->present && !stage2_is_leaf(format, same, at.level) ?
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
	const struct place at = find_place(s2, base, gpa);
	const u64 span = span_of(at.level);
	u64 leaf;

	*extent = (struct mayfly_extent){
		.gpa = gpa, .length = at.entries * span - (gpa & (span - 1)),
	};
	if (!at.leaf)
		return false;
	leaf = stage2_look(s2, gpa).leaf;
	extent->flags = flags_of(s2->format, leaf);
	return at.level != STAGE2_SMALL || !is_part(base, gpa, leaf);
}
