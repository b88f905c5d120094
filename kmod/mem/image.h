/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * image.h - an immutable guest to start VMs from.
 */
#ifndef MAYFLY_IMAGE_H
#define MAYFLY_IMAGE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>

#include "mem/stage2.h"
#include "uapi/mayfly.h"

struct image_name;
struct owner;

#define IMAGE_HOT_MAX	16

/**
 * struct image_start - what a VM begins with
 * @state: registers, pending events, what it waits for; @tsc_offset is the guest's TSC at
 *	that moment, and @generation that of the VM which it was, 0 for none
 * @fpu: an FXSAVE image
 */
struct image_start {
	struct mayfly_vcpu_state state;
	u8 fpu[MAYFLY_FXSAVE_SIZE];
};

/*
 * Pages, tables over them, and a state to start from. Who protects a field:
 *   I  immutable once its descriptor exists
 *   f  changed by folding, under RCU; whoever frees an image is alone
 *   h  written once, by the thread that sets @hot_claimed first
 *   r  reference count
 */
struct image {
	struct kref ref;		/* [r] VMs, descriptors, its name, images derived from it */
	u64 id;				/* [I] */
	struct image *parent;		/* [f] has pages that are mapped here; or NULL */
	struct owner *owner;		/* [I] has a reference; pays for it */
	struct stage2 s2;		/* [I] leaves read-only; writable segments: cow */
	struct list_head pages;		/* [f] and tables, linked by page->lru */
	u64 nr_pages;			/* [f] on @pages */
	u64 charged;			/* [f] bytes that @owner is charged for it */
	u64 memory_min;			/* [I] bytes of memory a VM needs */
	u64 memory_default;		/* [I] bytes of memory a VM gets unasked */
	struct image_start start;	/* [I] */
	u32 profile;			/* [I] MAYFLY_PROFILE_* */
	u32 cpu_vendor;			/* [I] MAYFLY_VENDOR_* */
	u32 cpu_level;			/* [I] MAYFLY_CPU_* */
	u64 created_ns;			/* [I] of the host's boot time; 0 before it is published */
	char label[MAYFLY_NAME_SIZE];	/* [I] for people */
	bool snapshot;			/* [I] it was a VM */
	bool same_tsc;			/* [I] MAYFLY_IMAGE_SAME_TSC */
	bool inherited;			/* set once: there have been images derived from it */
	struct image_name *name;	/* vm/catalog.c's own */
	struct rcu_head rcu;
	/*
	 * Numbers of the guest pages that the first VM had written when it first
	 * waited: later VMs get these pages at once instead of by faults.
	 */
	u32 hot[IMAGE_HOT_MAX];		/* [h] */
	unsigned int nr_hot;		/* [h] 0 until it is known; set last */
	atomic_t hot_claimed;
};

struct image *image_create(const struct mayfly_image_create *create,
			   const struct image_start *start, struct owner *owner,
			   u32 cpu_vendor);
struct image *image_prepare(struct owner *owner);
void image_inherit(struct image *image, struct image *parent);
void image_publish(struct image *image);
struct image *image_find(u64 id);
struct image *image_find_from(u64 *id, bool (*wanted)(const struct image *image));
void image_hide(struct image *image);
void image_free(struct image *image);
void image_learn_hot(struct image *image, const struct list_head *pages);
u64 image_count(void);
u64 image_bytes(const struct image *image);
u64 image_parent_id(const struct image *image);
void image_setup(const struct stage2_format *format);

/* chain.c */
void image_put(struct image *image);
void image_is_derived(const struct image *image);
void image_teardown(void);

static inline struct image *image_get(struct image *image)
{
	kref_get(&image->ref);
	return image;
}

#endif
