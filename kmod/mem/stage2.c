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

/* The entry at a level or, if that comes first, a large leaf; NULL without a table. */
static u64 *find_at(const struct stage2 *s2, u64 gpa, int leaf)
{
	u64 *entry, *table = s2->root;
	int level;

	for (level = s2->format->levels; level > leaf; level--) {
		entry = &table[index_of(gpa, level)];
		if (!is_present(s2, *entry))
			return NULL;
		if (*entry & s2->format->large)
			return entry;
		table = stage2_table(*entry);
	}
	return &table[index_of(gpa, leaf)];
}

/**
 * stage2_find - look up a page
 * @s2: the tree
 * @gpa: any address in the page
 *
 * Return: its leaf entry, present or not, which may be a large one; or NULL when
 * a table on the way is missing.
 */
u64 *stage2_find(const struct stage2 *s2, u64 gpa)
{
	return find_at(s2, gpa, STAGE2_SMALL);
}

/**
 * stage2_find_large - look up what maps 2 MiB
 * @s2: the tree
 * @gpa: any address in them
 *
 * Return: the entry, a table's or a large leaf, or NULL when there is neither.
 */
u64 *stage2_find_large(const struct stage2 *s2, u64 gpa)
{
	u64 *entry = find_at(s2, gpa, STAGE2_LARGE);

	return entry && is_present(s2, *entry) ? entry : NULL;
}

/**
 * stage2_set - change an entry; the only function that does
 * @s2: the tree
 * @entry: an entry in a table that @s2 owns
 * @value: its new value
 */
void stage2_set(struct stage2 *s2, u64 *entry, u64 value)
{
	u64 old = *entry;

	WRITE_ONCE(*entry, value);
	tlbmodel_changed(s2, old, value);
	if (is_present(s2, old))
		s2->changes++;
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

/**
 * stage2_own - make the path to a page the tree's own
 * @s2: the tree
 * @gpa: any address in the page, which no large leaf maps
 * @leaf: STAGE2_SMALL, or STAGE2_LARGE for the entry over 2 MiB
 * @alloc: gives a zeroed page that lives as long as the tree
 * @context: for @alloc
 *
 * Missing tables on the way are added, and the image's tables are copied. When
 * @alloc fails, the work done so far stays and is used the next time.
 *
 * Return: the leaf entry, which may be changed, or NULL when @alloc failed.
 */
u64 *stage2_own(struct stage2 *s2, u64 gpa, int leaf, stage2_alloc_fn *alloc,
		void *context)
{
	u64 *table = s2->root;
	int level;

	for (level = s2->format->levels; level > leaf; level--) {
		u64 *entry = &table[index_of(gpa, level)];
		u64 old = *entry;
		u64 *child;

		if (is_present(s2, old) && (old & s2->owned) == s2->owned) {
			table = stage2_table(old);
			continue;
		}
		child = alloc(context);
		if (!child)
			return NULL;
		if (is_present(s2, old))
			memcpy(child, stage2_table(old), PAGE_SIZE);
		stage2_set(s2, entry,
			   __pa(child) | s2->format->table | s2->owned);
		table = child;
	}
	return &table[index_of(gpa, leaf)];
}

/**
 * stage2_split - replace a large leaf by 512 small ones that may hold code
 * @s2: the tree
 * @entry: the large leaf
 * @table: a zeroed page that lives as long as the tree
 */
void stage2_split(struct stage2 *s2, u64 *entry, u64 *table)
{
	u64 leaf = (*entry & ~s2->format->large) | s2->format->execute;
	int i;

	for (i = 0; i < STAGE2_ENTRIES; i++)
		stage2_set(s2, &table[i], leaf + ((u64)i << 12));
	stage2_set(s2, entry, __pa(table) | s2->format->table | s2->owned | s2->format->cow);
}
