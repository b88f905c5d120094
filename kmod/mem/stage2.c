// SPDX-License-Identifier: GPL-2.0-only
/*
 * stage2.c - walk, copy and change second-level page tables.
 *
 * Callers serialise: one thread at a time changes a tree, and the vCPU that
 * uses it is out of guest mode meanwhile. See stage2.h for ownership.
 */
#include <linux/compiler.h>
#include <linux/string.h>
#include <asm/page.h>

#include "debug/mutation.h"
#include "debug/tlbmodel.h"
#include "mem/stage2.h"

/**
 * stage2_table - the table that an entry points to
 * @entry: present, and no leaf
 *
 * Return: its 512 entries.
 */
u64 *stage2_table(u64 entry)
{
	return __va(entry & STAGE2_ADDRESS);
}

static int index_of(u64 gpa, int level)
{
	return (gpa >> (12 + 9 * (level - 1))) & (STAGE2_ENTRIES - 1);
}

static bool is_present(const struct stage2 *s2, u64 entry)
{
	return entry & s2->format->present;
}

/**
 * stage2_leaf - compose a 4 KiB leaf
 * @format: the vendor's bits
 * @pa: host-physical address of the page
 * @write: may be written
 * @execute: may be executed
 *
 * Accessed and dirty are set from the start, so that no hardware walk has to
 * write to a shared table.
 *
 * Return: the entry, without software bits.
 */
u64 stage2_leaf(const struct stage2_format *format, u64 pa, bool write,
		bool execute)
{
	return pa | format->leaf | (write ? format->write : 0) |
	       (execute ? format->execute : format->no_execute);
}

/* An entry of an image, to be shared: nobody may write to what is behind it. */
static __always_inline u64 shared_entry(const struct stage2_format *format, u64 entry,
					int level)
{
	bool is_leaf = stage2_is_leaf(format, entry, level);

	/* A table that is shared as a whole remains so. */
	if (!(entry & format->present) || !(is_leaf || entry & format->owned))
		return entry;
	if (is_leaf && entry & format->write)
		entry |= format->cow;
	return entry & ~(format->write | format->owned);
}

/* One of the small leaves that a large one may be replaced by: it may hold code. */
static u64 small_leaf(const struct stage2_format *format, u64 large, u64 gpa)
{
	return ((large & ~format->large) | format->execute) +
	       ((u64)index_of(gpa, STAGE2_SMALL) << 12);
}

/**
 * stage2_look - look up a page; nothing else says whose it is, or what may be done with it
 * @s2: the tree
 * @gpa: any address in the page
 *
 * Return: what is there.
 */
struct stage2_found stage2_look(const struct stage2 *s2, u64 gpa)
{
	const struct stage2_format *format = s2->format;
	u64 *entry, *table = s2->root;
	u64 leaf, path = s2->owned;
	int level = format->levels;

	for (;; level--) {
		entry = &table[index_of(gpa, level)];
		leaf = *entry;
		if (!(leaf & format->present))
			return (struct stage2_found){
				.entry = level == STAGE2_SMALL ? entry : NULL,
			};
		path &= leaf;
		if (stage2_is_leaf(format, leaf, level))
			break;
		table = stage2_table(leaf);
	}
	if (!path)
		leaf = shared_entry(format, leaf, level);
	if (level != STAGE2_SMALL)
		leaf = small_leaf(format, leaf, gpa);
	return (struct stage2_found){
		.entry = entry, .leaf = leaf, .owned = path, .large = level != STAGE2_SMALL,
	};
}

/**
 * stage2_find_table - look up the table over 2 MiB
 * @s2: the tree
 * @gpa: any address in them
 *
 * Return: the entry that points to it, or NULL when there is none or it is not the
 * tree's own.
 */
u64 *stage2_find_table(const struct stage2 *s2, u64 gpa)
{
	u64 *entry = NULL, *table = s2->root;
	int level;

	for (level = s2->format->levels; level >= STAGE2_LARGE; level--) {
		entry = &table[index_of(gpa, level)];
		if (!is_present(s2, *entry) || *entry & s2->format->large ||
		    !(*entry & s2->owned))
			return NULL;
		table = stage2_table(*entry);
	}
	return entry;
}

/* Changes an entry; nothing else does. The caller counts. */
static __always_inline void change(struct stage2 *s2, u64 *entry, u64 value)
{
	u64 old = *entry;

	WRITE_ONCE(*entry, value);
	tlbmodel_changed(s2, old, value);
}

/**
 * stage2_set - change an entry
 * @s2: the tree
 * @entry: an entry in a table that @s2 owns
 * @value: its new value
 */
void stage2_set(struct stage2 *s2, u64 *entry, u64 value)
{
	s2->changes += is_present(s2, *entry) ? 1 : 0;
	change(s2, entry, value);
}

/**
 * stage2_drop - forget a tree whose tables have been freed
 * @s2: the tree; it needs a new root before it is used again
 */
void stage2_drop(struct stage2 *s2)
{
	WRITE_ONCE(s2->root, NULL);
	s2->changes++;
	tlbmodel_dropped(s2);
}

/* Fills a table that will stand for an entry of an image. */
static void copy_shared(const struct stage2_format *format, u64 *copy, u64 entry, int level)
{
	u64 *table = stage2_table(entry);
	int i;

	if (entry & format->write) {
		memcpy(copy, table, PAGE_SIZE);
		return;
	}
	for (i = 0; i < STAGE2_ENTRIES; i++)
		copy[i] = shared_entry(format, table[i], level);
}

/* Fills an empty table with what a large leaf maps. */
static void fill_small(struct stage2 *s2, u64 *table, u64 large)
{
	u64 i;

	for (i = 0; i < STAGE2_ENTRIES; i++)
		stage2_set(s2, &table[i], small_leaf(s2->format, large, i << 12));
}

/* The tree's own table instead of what an entry has now. NULL without memory. */
static u64 *own_child(struct stage2 *s2, u64 *entry, int level, stage2_alloc_fn *alloc,
		      void *context)
{
	const struct stage2_format *format = s2->format;
	u64 old = *entry, *child = alloc(context), was_large = 0;

	if (!child)
		return NULL;
	if (old & format->large && is_present(s2, old)) {
		fill_small(s2, child, shared_entry(format, old, level));
		was_large = format->cow;
	} else if (is_present(s2, old)) {
		copy_shared(format, child, old, level - 1);
		was_large = old & format->cow;
	}
	stage2_set(s2, entry, __pa(child) | format->table | s2->owned | was_large);
	return child;
}

/**
 * stage2_own - make the path to a page the tree's own
 * @s2: the tree
 * @gpa: any address in the page, which no large leaf of the tree's own maps
 * @leaf: STAGE2_SMALL, or STAGE2_LARGE for the entry over 2 MiB
 * @alloc: gives a zeroed page that lives as long as the tree
 * @context: for @alloc
 *
 * Missing tables on the way are added, and the image's tables are copied; a large leaf
 * of the image becomes a table of small ones. When @alloc fails, the work done so far
 * stays and is used the next time.
 *
 * Return: the leaf entry, which may be changed, or NULL when @alloc failed.
 */
u64 *stage2_own(struct stage2 *s2, u64 gpa, int leaf, stage2_alloc_fn *alloc,
		void *context)
{
	u64 *table = s2->root;
	int level;

	for (level = s2->format->levels; table && level > leaf; level--) {
		u64 *entry = &table[index_of(gpa, level)];

		if (is_present(s2, *entry) && !(*entry & s2->format->large) &&
		    (*entry & s2->owned) == s2->owned)
			table = stage2_table(*entry);
		else
			table = own_child(s2, entry, level, alloc, context);
	}
	return table ? &table[index_of(gpa, leaf)] : NULL;
}

/**
 * stage2_split - replace a large leaf by 512 small ones that may hold code
 * @s2: the tree
 * @entry: the large leaf, the tree's own
 * @table: a zeroed page that lives as long as the tree
 */
void stage2_split(struct stage2 *s2, u64 *entry, u64 *table)
{
	const struct stage2_format *format = s2->format;

	fill_small(s2, table, *entry);
	stage2_set(s2, entry, __pa(table) | format->table | s2->owned | format->cow);
}

/* Most tables are almost empty: so many entries are looked at together. */
#define RUN	8

static __always_inline bool run_is_empty(const u64 run[RUN])
{
	return !(run[0] | run[1] | run[2] | run[3] | run[4] | run[5] | run[6] | run[7]);
}

/*
 * As shared_entry() for all entries that are the VM's own. The others are shared
 * already, or else frozen behind their entry.
 */
static void freeze_table(struct stage2 *s2, u64 *table, int level)
{
	const struct stage2_format format = *s2->format;	/* Not read again for each entry. */
	const u64 writable_leaf = format.write | (level == STAGE2_SMALL ? 0 : format.large);
	const u64 lost = format.owned | (mutation_is(MUTATION_FREEZE) ? 0 : format.write);
	u64 *run, *end = table + STAGE2_ENTRIES;
	int i;

	for (run = table; run < end; run += RUN) {
		if (run_is_empty(run))
			continue;
#pragma GCC unroll 8
		for (i = 0; i < RUN; i++) {
			u64 entry = run[i];

			if (!(entry & format.owned))
				continue;
			if ((entry & writable_leaf) == writable_leaf)
				entry |= format.cow;
			change(s2, &run[i], entry & ~lost);
		}
	}
}

/**
 * stage2_freeze - make a VM's tree an image's
 * @s2: the VM's, whose vCPU is out of guest mode
 * @gpa: first page of those that the image shall not have; the path there is the tree's
 *	own, down to the last table
 * @end: end of those pages, all in that table
 *
 * The root and the tables on that path are made shared; what lies below others is
 * frozen. So the cost does not depend on how much the VM has written.
 */
void stage2_freeze(struct stage2 *s2, u64 gpa, u64 end)
{
	const struct stage2_format *format = s2->format;
	u64 *table = s2->root;
	int level;

	for (level = format->levels; level >= STAGE2_SMALL; level--) {
		u64 *path = &table[index_of(gpa, level)];

		freeze_table(s2, table, level);
		if (level == STAGE2_SMALL)
			break;
		stage2_set(s2, path, *path | format->write);
		table = stage2_table(*path);
	}
	for (; gpa < end; gpa += PAGE_SIZE)
		stage2_set(s2, &table[index_of(gpa, STAGE2_SMALL)], 0);
}
