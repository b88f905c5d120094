/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stage2.h - second-level page tables, in any vendor's format.
 *
 * Pure logic over 512-entry tables: no locks, no allocator of its own, no
 * kernel services, so that the same file is unit-tested on the build machine.
 *
 * Ownership. Tables and pages of an image are shared by all of its VMs and
 * never changed once a VM uses them. A VM's tables start as a copy of the
 * image's root. The VM holds a table or page alone if each entry on the path to it has
 * the owned bit; the first without it, and all that lies below, belong to an image.
 * Before a mapping is changed, the path to it is made owned (stage2_own): the image's
 * tables on it are copied.
 *
 * Frozen. An image's tables may have been a VM's, with leaves that were writable and
 * owned. Above them then stands an entry without the write bit, which no guest can
 * write through: the CPU, too, goes by the whole path (APM 2 15.25.5, SDM 3C 29.3.2).
 * Copies of such tables are made shared as a whole: what was writable becomes cow.
 */
#ifndef MAYFLY_STAGE2_H
#define MAYFLY_STAGE2_H

#include <linux/types.h>

#define STAGE2_ENTRIES	512
#define STAGE2_ADDRESS	0x000ffffffffff000ull

/* Levels of leaves: 4 KiB and 2 MiB. */
#define STAGE2_SMALL	1
#define STAGE2_LARGE	2

/**
 * struct stage2_format - bits of a vendor's entries
 * @present: any of these set means the entry is there
 * @table: what an entry that points to a table carries, @write included
 * @leaf: what every leaf carries (readable, accessed, dirty, memory type)
 * @write: set in a leaf that can be written; in an entry that points to a table and is
 *	not owned: the table is shared as a whole, not frozen
 * @execute: set in a leaf that can be executed
 * @no_execute: set in a leaf that cannot
 * @large: set in an entry of level 2 that is a leaf of 2 MiB
 * @owned: software bit: the VM holds the target alone
 * @cow: software bit: a shared leaf that a write turns into a private copy; in an entry
 *	that points to a table: this was a large leaf, and shall not become one again
 * @levels: levels of tables, 4 or 5
 * @large_pages: 2 MiB leaves may be used
 * @large_code: they may hold code; otherwise they are split first
 */
struct stage2_format {
	u64 present;
	u64 table;
	u64 leaf;
	u64 write;
	u64 execute;
	u64 no_execute;
	u64 large;
	u64 owned;
	u64 cow;
	int levels;
	bool large_pages;
	bool large_code;
};

/**
 * struct stage2 - one tree
 * @format: the vendor's bits
 * @root: top table
 * @owned: bit that marks this tree's own entries: format->owned for a VM, 0 for
 *	an image, which owns all it points to
 * @changes: goes up whenever a present entry is replaced, weakened or removed;
 *	a translation cached before must not be used afterwards.
 * @model: the same, as the TLB model of DEBUG builds counts it
 */
struct stage2 {
	const struct stage2_format *format;
	u64 *root;
	u64 owned;
	u64 changes;
	u64 model;
};

/**
 * struct stage2_found - what a tree has at an address
 * @entry: the leaf, present or not; or NULL when a table on the way is missing
 * @leaf: the same as a leaf of 4 KiB, with what the whole path allows; 0 when @entry
 *	is not present. It may hold code even if @entry must be split for that
 * @owned: the tree's own, of which the VM holds the page alone
 * @large: @entry is a large leaf
 */
struct stage2_found {
	u64 *entry;
	u64 leaf;
	bool owned;
	bool large;
};

typedef u64 *stage2_alloc_fn(void *context);

/* Does a present entry map memory, or does it point to a table? */
static inline bool stage2_is_leaf(const struct stage2_format *format, u64 entry, int level)
{
	return level == STAGE2_SMALL || entry & format->large;
}

struct stage2_found stage2_look(const struct stage2 *s2, u64 gpa);
u64 *stage2_find_table(const struct stage2 *s2, u64 gpa);
u64 *stage2_table(u64 entry);
u64 *stage2_own(struct stage2 *s2, u64 gpa, int leaf, stage2_alloc_fn *alloc,
		void *context);
void stage2_split(struct stage2 *s2, u64 *entry, u64 *table);
void stage2_set(struct stage2 *s2, u64 *entry, u64 value);
void stage2_drop(struct stage2 *s2);
void stage2_freeze(struct stage2 *s2, u64 gpa, u64 end);
u64 stage2_leaf(const struct stage2_format *format, u64 pa, bool write,
		bool execute);

#endif
