// SPDX-License-Identifier: GPL-2.0-only
/*
 * fold.c - what of an image its child does not need.
 *
 * A child's tree began as a copy of the image's root. Where it still has the same
 * entry as the image, all below is shared and needed; where it has another one, what the
 * image has there can only be reached through the image. That is the image's own unless
 * its parent has it, too, at the same place. So the cost depends on how many tables
 * the child has for itself, not on how large the image is.
 */
#include <linux/compiler.h>
#include <asm/page.h>

#include "debug/mutation.h"
#include "mem/fold.h"
#include "mem/stage2.h"

/* What a tree has instead of one of the image's tables. */
struct side {
	const u64 *table;	/* a table, or */
	u64 large;		/* a large leaf, or 0: nothing */
};

/* Where entry @i points to, 0 if nowhere. */
static u64 target(const struct stage2_format *format, struct side side, int i)
{
	u64 entry;

	if (!side.table)
		return side.large ? (side.large & STAGE2_ADDRESS) + ((u64)i << 12) : 0;
	entry = side.table[i];
	return entry & format->present ? entry & STAGE2_ADDRESS : 0;
}

static struct side below(const struct stage2_format *format, struct side side, int i, int level)
{
	u64 entry = side.table ? side.table[i] : 0;

	if (!(entry & format->present))
		return (struct side){};
	if (stage2_is_leaf(format, entry, level))
		return (struct side){ .large = entry };
	return (struct side){ .table = stage2_table(entry) };
}

/* Is what the image has at entry @i shared with one of the others? */
static bool is_shared(const struct stage2_format *format, struct side child,
		      struct side parent, int i, int level, u64 pa)
{
	if (mutation_is(MUTATION_FOLD) && level == STAGE2_SMALL)
		return false;
	return target(format, child, i) == pa || target(format, parent, i) == pa;
}

/* A large page is gone as a whole, or the parts that the child does not have. */
static void compare_large(const struct stage2_format *format, struct side child, u64 pa,
			  const struct fold_sink *sink)
{
	int i;

	if (!child.table) {
		sink->gone(sink->context, pa);
		return;
	}
	sink->split(sink->context, pa);
	for (i = 0; i < STAGE2_ENTRIES; i++)
		if (target(format, child, i) != pa + ((u64)i << 12))
			sink->gone(sink->context, pa + ((u64)i << 12));
}

static void compare_tables(const struct stage2_format *format, struct side child,
			   const u64 *image, struct side parent, int level,
			   const struct fold_sink *sink)
{
	int i;

	for (i = 0; i < STAGE2_ENTRIES; i++) {
		u64 pa = image[i] & STAGE2_ADDRESS;

		if (!(image[i] & format->present) ||
		    is_shared(format, child, parent, i, level, pa))
			continue;
		if (level == STAGE2_SMALL) {
			sink->gone(sink->context, pa);
		} else if (stage2_is_leaf(format, image[i], level)) {
			compare_large(format, below(format, child, i, level), pa, sink);
		} else {
			compare_tables(format, below(format, child, i, level),
				       stage2_table(image[i]),
				       below(format, parent, i, level), level - 1, sink);
			sink->gone(sink->context, pa);
		}
	}
}

/**
 * fold_compare - find what an image has that its child does not need
 * @child: its tree began as the image's, and so did those of all who use the image
 * @image: the image's
 * @parent: that of the image's parent; NULL if it has none
 * @sink: told of each page, the lowest first, and of the root last
 */
void fold_compare(const struct stage2 *child, const struct stage2 *image,
		  const struct stage2 *parent, const struct fold_sink *sink)
{
	struct side above = { .table = parent ? parent->root : NULL };

	compare_tables(image->format, (struct side){ .table = child->root }, image->root,
		       above, image->format->levels, sink);
	sink->gone(sink->context, __pa(image->root));
}
