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

/*
 * Pages, tables over them, and a state to start from. Who protects a field:
 *   I  immutable once its descriptor exists
 *   h  written once, by the thread that sets @hot_claimed first
 *   r  reference count
 */
struct image {
	struct kref ref;		/* [r] VMs, the descriptor */
	struct stage2 s2;		/* [I] leaves read-only; writable segments: cow */
	struct list_head pages;		/* [I] and tables, linked by page->lru */
	u64 memory_min;			/* [I] bytes of memory a VM needs */
	u64 rip, rsp, cr3, rdi;		/* [I] start state */
	char name[MAYFLY_NAME_SIZE];	/* [I] for people */
	/*
	 * Numbers of the guest pages that the first VM had written when it first
	 * waited: later VMs get these pages at once instead of by faults.
	 */
	u32 hot[IMAGE_HOT_MAX];		/* [h] */
	unsigned int nr_hot;		/* [h] 0 until it is known; set last */
	atomic_t hot_claimed;
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
