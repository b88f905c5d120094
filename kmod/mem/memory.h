/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memory.h - a VM's address space, and the cgroup that pays for it.
 */
#ifndef MAYFLY_MEMORY_H
#define MAYFLY_MEMORY_H

#include <linux/list.h>
#include <linux/types.h>
#include "mem/pages.h"
#include "mem/stage2.h"

struct image;
struct mem_cgroup;

/* So many may take turns: what is read, what it is compared with, and what is written. */
#define MEMORY_WALKS	3

/**
 * struct memory_walk - a guest touches page after page
 * @begin: where it began
 * @end: where it would go on
 */
struct memory_walk {
	u64 begin;
	u64 end;
};

/**
 * struct vm_memory - a VM's guest-physical address space
 * @s2: second-level tables; all owned pages are on @pages. Without a root
 *	while the VM is cold.
 * @size: in bytes: the first guest-physical address that is not memory
 * @image: what the VM was made from; a snapshot replaces it. It has a reference.
 *	Others read it under RCU
 * @memcg: the cgroup that is charged
 * @pages: every page held alone, linked by page->lru: guest pages, tables and
 *	the device page
 * @walks: the guest's last walks through untouched memory, the very last one first
 * @guest_pages: how many of @pages are guest memory, in pages of 4 KiB
 * @table_pages: how many are tables
 * @device_pages: how many are device pages
 * @rings: pages for rings that the guest may have, from MAYFLY_GPA_RINGS on
 *
 * Only the claimant may use it, or whoever makes a parked VM cold, see vm/cold.h.
 * Other threads read the counters.
 */
struct vm_memory {
	struct stage2 s2;
	u64 size;
	struct image *image;
	struct mem_cgroup *memcg;
	struct list_head pages;
	struct memory_walk walks[MEMORY_WALKS];
	u32 guest_pages;
	u32 table_pages;
	u32 device_pages;
	u8 rings;
};

/**
 * struct vm_fault_info - an access the second-level tables did not allow
 * @gpa: guest-physical address
 * @write: it was a write
 * @execute: it was an instruction fetch
 */
struct vm_fault_info {
	u64 gpa;
	bool write;
	bool execute;
};

int __must_check memory_init(struct vm_memory *memory, u64 size, struct page *args,
			     struct mem_cgroup *memcg, void **device_page);
int memory_copy_hot(struct vm_memory *memory, gfp_t gfp);
int __must_check memory_fault(struct vm_memory *memory,
			      const struct vm_fault_info *fault, gfp_t gfp);
bool memory_is_readable(struct vm_memory *memory, u64 gpa, u64 length);
void memory_read(struct vm_memory *memory, u64 gpa, void *buffer, size_t length);
struct page *memory_find_readable(struct vm_memory *memory, u64 gpa);
int __must_check memory_touch(struct vm_memory *memory, u64 gpa, void **address);
int __must_check memory_touch_rings(struct vm_memory *memory, u64 gpa, void **address);
int __must_check memory_make_private(struct vm_memory *memory, u64 gpa, gfp_t gfp);
void memory_write(struct vm_memory *memory, u64 gpa, const void *buffer, size_t length);
int __must_check memory_discard(struct vm_memory *memory, u64 gpa, u64 pages);
void memory_freeze(struct vm_memory *memory, struct page *device_page,
		   struct image *image);
void memory_free(struct vm_memory *memory);

/* Of how many pages an image will be that is made of a VM. */
static inline u64 memory_image_pages(const struct vm_memory *memory)
{
	return memory->guest_pages + memory->table_pages;
}

int memory_setup(const void *stub, size_t length);
void memory_teardown(void);

/* For fault.c, collapse.c and cold.c. */
void memory_add_page(struct vm_memory *memory, struct page *page, u64 gpa);
void memory_give_back(struct vm_memory *memory, u64 *entry, u64 shared);
u64 *memory_own(struct vm_memory *memory, u64 gpa, int leaf, gfp_t gfp);
int __must_check memory_lay_out(struct vm_memory *memory, struct page *args,
				void **device_page, gfp_t gfp);
void memory_map_private(struct vm_memory *memory, u64 *entry, u64 shared,
			struct page *page);
bool __must_check memory_split(struct vm_memory *memory, u64 *entry, gfp_t gfp);
struct page *memory_page(u64 leaf);

#endif
