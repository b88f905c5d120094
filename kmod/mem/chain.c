// SPDX-License-Identifier: GPL-2.0-only
/*
 * chain.c - images that are derived from others: how long each lives.
 *
 * An image that nobody uses any more but a single one that is derived from it is folded
 * into that one, which has no use for what it has written anew. So periodic snapshots of
 * a VM do not keep all that it has ever written. Tables do not change by that: only who
 * has a page does.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "debug/shadow.h"
#include "mem/fold.h"
#include "mem/image.h"
#include "mem/owner.h"
#include "mem/pages.h"

/* In jiffies. Many images go at once, and to look for them takes longer than to fold one. */
#define FOLD_DELAY	(HZ / 50)

static void on_fold_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(fold_work, on_fold_work);

static void fold_soon(void)
{
	queue_delayed_work(system_dfl_wq, &fold_work, FOLD_DELAY);
}

/* Is the only one who still needs it perhaps an image that is derived from it? */
static bool is_left_to_child(const struct image *image)
{
	return kref_read(&image->ref) == 1 && READ_ONCE(image->inherited);
}

static void hide(struct kref *ref)
{
	image_hide(container_of(ref, struct image, ref));
}

/* Returns true when it was the last reference. */
static bool put_one(struct image *image, bool *left)
{
	bool last;

	/* Somebody else may free it as soon as we have put ours, but not its struct. */
	rcu_read_lock();
	last = kref_put(&image->ref, hide);
	*left = !last && is_left_to_child(image);
	rcu_read_unlock();
	return last;
}

/* Returns true when an image is left to its child. */
static bool put_chain(struct image *image)
{
	bool left = false;

	/* A chain may be long, and a stack is not. */
	while (image && put_one(image, &left)) {
		struct image *parent = image->parent;

		image_free(image);
		cond_resched();
		image = parent;
	}
	return left;
}

/**
 * image_put - drop a reference
 * @image: the image
 *
 * Context: may sleep.
 */
void image_put(struct image *image)
{
	if (put_chain(image))
		fold_soon();
}

/**
 * image_is_derived - an image that is derived from another one can be found
 * @image: the image
 */
void image_is_derived(const struct image *image)
{
	const struct image *parent;
	bool left;

	rcu_read_lock();
	parent = READ_ONCE(image->parent);
	left = parent && is_left_to_child(parent);
	rcu_read_unlock();
	if (left)
		fold_soon();
}

static void drop_page(void *context, u64 pa)
{
	struct page *page = pfn_to_page(pa >> PAGE_SHIFT);
	struct image *image = context;

	image->nr_pages -= pages_is_large(page) ? PAGES_LARGE : 1;
	list_del(&page->lru);
	pages_free(page);
	cond_resched();
}

static void split_page_of(void *context, u64 pa)
{
	struct page *page = pfn_to_page(pa >> PAGE_SHIFT);
	struct image *image = context;
	unsigned int i;

	pages_split(page);
	for (i = 1; i < PAGES_LARGE; i++)
		list_add(&page[i].lru, &image->pages);
}

/* What an image still has goes over to its child. */
static void fold(struct image *child, struct image *image)
{
	const struct fold_sink sink = {
		.gone = drop_page, .split = split_page_of, .context = image,
	};
	u64 before = image_bytes(image), gone;

	fold_compare(&child->s2, &image->s2, image->parent ? &image->parent->s2 : NULL, &sink);
	gone = before - image_bytes(image);
	owner_charge(image->owner, -(s64)gone);
	child->charged += image->charged - gone;
	image->charged = 0;
	WRITE_ONCE(child->nr_pages, child->nr_pages + image->nr_pages);
	list_splice_init(&image->pages, &child->pages);
	WRITE_ONCE(child->parent, image->parent);
	shadow_folded(&child->s2);
}

/* Nobody pays for what another user's VM has written. Also without a reference. */
static bool may_fold_parent(const struct image *child)
{
	const struct image *parent = READ_ONCE(child->parent);

	return parent && parent->owner == child->owner && kref_read(&parent->ref) == 1;
}

/* Returns true when it was folded. */
static bool fold_parent(struct image *child)
{
	struct image *parent = child->parent;

	if (!may_fold_parent(child) || !refcount_dec_if_one(&parent->ref.refcount))
		return false;
	image_hide(parent);
	fold(child, parent);
	image_free(parent);
	return true;
}

static void on_fold_work(struct work_struct *work)
{
	struct image *image;
	u64 id;

	for (id = 0; (image = image_find_from(&id, may_fold_parent)); id++) {
		while (fold_parent(image))
			cond_resched();
		image_put(image);
		cond_resched();
	}
}

/**
 * image_teardown - at unload; there are no images, but some may wait for RCU
 */
void image_teardown(void)
{
	cancel_delayed_work_sync(&fold_work);
	rcu_barrier();
}
