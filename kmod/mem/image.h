/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * image.h - an immutable guest to start VMs from.
 */
#ifndef MAYFLY_IMAGE_H
#define MAYFLY_IMAGE_H

#include <linux/kref.h>
#include <linux/list.h>
#include "mem/stage2.h"
#include "uapi/mayfly.h"

#define IMAGE_HOT_MAX	16

/**
 * struct image - pages, tables over them, and a state to start from
 * @ref: VMs, the descriptor
 * @s2: tables; leaves are never writable, those of writable segments carry the
 *	copy-on-write bit
 * @pages: all pages and tables, linked by page->lru
 * @memory_min: bytes of memory a VM needs
 * @hot: guest page numbers that the first VM had written when it first waited;
 *	later VMs get them at once instead of by faults
 * @nr_hot: entries in @hot; 0 until it is known. Written once, last.
 * @hot_claimed: somebody is writing @hot
 * @rip: start state
 * @rsp: start state
 * @cr3: start state
 * @rdi: start state
 * @name: for people
 */
struct image {
	struct kref ref;
	struct stage2 s2;
	struct list_head pages;
	u64 memory_min;
	u32 hot[IMAGE_HOT_MAX];
	unsigned int nr_hot;
	atomic_t hot_claimed;
	u64 rip, rsp, cr3, rdi;
	char name[MAYFLY_NAME_SIZE];
};

struct image *image_create(const struct mayfly_image_create *create);
void image_put(struct image *image);
void image_learn_hot(struct image *image, const struct list_head *pages);
u64 image_count(void);
void image_setup(const struct stage2_format *format);

static inline struct image *image_get(struct image *image)
{
	kref_get(&image->ref);
	return image;
}

#endif
