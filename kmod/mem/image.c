// SPDX-License-Identifier: GPL-2.0-only
/*
 * image.c - make images from segments, find them, free them.
 *
 * The kernel knows nothing about ELF: it gets page-aligned pieces of guest memory
 * and a start state. An image is immutable once its descriptor exists; only the
 * hot set is learned later, once.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "mem/image.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "uapi/mayfly_guest.h"

/* Images between two calls of cond_resched(). */
#define LOOK_AT_ONCE	512

static const struct stage2_format *image_format __ro_after_init;
static atomic_long_t nr_images = ATOMIC_LONG_INIT(0);
static atomic64_t last_id = ATOMIC64_INIT(0);
/* By id, from when they are complete. */
static DEFINE_XARRAY_FLAGS(images, XA_FLAGS_ACCOUNT);

/**
 * image_count - images that exist, and have been published
 *
 * Return: how many.
 */
u64 image_count(void)
{
	return atomic_long_read(&nr_images);
}

static struct page *image_page(struct image *image, gfp_t gfp)
{
	struct page *page = pages_alloc(gfp);

	if (page) {
		list_add(&page->lru, &image->pages);
		image->nr_pages++;
	}
	return page;
}

static u64 *image_table(void *context)
{
	struct page *page = image_page(context, MEMORY_SLEEP | __GFP_ZERO);

	return page ? page_address(page) : NULL;
}

static int load_page(struct image *image, u64 gpa, u64 source, size_t length,
		     u32 flags)
{
	const struct stage2_format *format = image->s2.format;
	u64 *entry = stage2_own(&image->s2, gpa, STAGE2_SMALL, image_table,
				image);
	struct page *page;
	u64 leaf;

	if (!entry || pages_host_is_short())
		return -ENOMEM;
	page = image_page(image, MEMORY_SLEEP | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	if (copy_from_user(page_address(page), u64_to_user_ptr(source), length))
		return -EFAULT;
	leaf = stage2_leaf(format, page_to_phys(page), false,
			   flags & MAYFLY_SEGMENT_EXECUTE);
	if (flags & MAYFLY_SEGMENT_WRITE)
		leaf |= format->cow;
	stage2_set(&image->s2, entry, leaf);
	return owner_account(image->owner, &image->charged, image_bytes(image));
}

static int load_segment(struct image *image, const struct mayfly_segment *segment)
{
	u64 done;
	int ret;

	for (done = 0; done < segment->length; done += PAGE_SIZE) {
		if (signal_pending(current))
			return -EINTR;
		ret = load_page(image, segment->gpa + done,
				segment->source + done,
				min_t(u64, PAGE_SIZE, segment->length - done),
				segment->flags);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/* Checks a segment; @end is that of the one before, and becomes its own. */
static int check_segment(const struct mayfly_segment *segment, u64 *end)
{
	u64 last;

	if (segment->reserved ||
	    segment->flags & ~(MAYFLY_SEGMENT_WRITE | MAYFLY_SEGMENT_EXECUTE))
		return -EINVAL;
	if (!segment->length || !PAGE_ALIGNED(segment->gpa) ||
	    segment->gpa < *end || segment->gpa >= MAYFLY_MEMORY_MAX ||
	    segment->length > MAYFLY_MEMORY_MAX - segment->gpa)
		return -EINVAL;
	if (check_add_overflow(segment->source, segment->length, &last))
		return -EFAULT;
	*end = PAGE_ALIGN(segment->gpa + segment->length);
	return 0;
}

static int load_segments(struct image *image,
			 const struct mayfly_segment *segments, u32 n)
{
	u64 end = MAYFLY_GPA_IMAGE;
	u32 i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = check_segment(&segments[i], &end);
		if (ret)
			return ret;
	}
	image->memory_min = max(image->memory_min, end);
	if (image->memory_min > MAYFLY_MEMORY_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		ret = load_segment(image, &segments[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/* The guest's top page table must be in the image, or nothing would ever run. */
static bool start_is_sane(const struct image *image)
{
	u64 cr3 = image->start.state.cr3;

	return PAGE_ALIGNED(cr3) && cr3 < MAYFLY_MEMORY_MAX &&
	       stage2_look(&image->s2, cr3).leaf;
}

static int fill_image(struct image *image, const struct mayfly_image_create *create)
{
	struct mayfly_segment *segments;
	int ret;

	image->s2.root = image_table(image);
	if (!image->s2.root)
		return -ENOMEM;
	segments = memdup_user(u64_to_user_ptr(create->segments),
			       array_size(create->nr_segments, sizeof(*segments)));
	if (IS_ERR(segments))
		return PTR_ERR(segments);
	ret = load_segments(image, segments, create->nr_segments);
	kfree(segments);
	if (!ret && !start_is_sane(image))
		ret = -EINVAL;
	return ret;
}

static u64 default_memory(const struct mayfly_image_create *create,
			  const struct image *image)
{
	return create->memory_default ?: max(MAYFLY_MEMORY_DEFAULT, image->memory_min);
}

static bool create_is_sane(const struct mayfly_image_create *create)
{
	return !(create->flags & ~MAYFLY_IMAGE_SAME_TSC) &&
	       !memchr_inv(create->reserved, 0, sizeof(create->reserved)) &&
	       create->nr_segments && create->nr_segments <= MAYFLY_MAX_SEGMENTS &&
	       create->label[0] && memchr(create->label, 0, sizeof(create->label)) &&
	       PAGE_ALIGNED(create->memory_min) && PAGE_ALIGNED(create->memory_default) &&
	       create->memory_default <= MAYFLY_MEMORY_MAX;
}

/**
 * image_prepare - begin to make an image
 * @owner: its owner
 *
 * Context: may sleep.
 * Return: an empty one, which nobody finds before image_publish(), or NULL without
 * memory.
 */
struct image *image_prepare(struct owner *owner)
{
	struct image *image = kzalloc(sizeof(*image), MEMORY_SLEEP);

	if (!image)
		return NULL;
	kref_init(&image->ref);
	image->owner = owner;
	owner_get(owner);
	INIT_LIST_HEAD(&image->pages);
	image->s2.format = image_format;
	image->id = atomic64_inc_return(&last_id);
	if (!xa_reserve(&images, image->id, GFP_KERNEL | __GFP_NORETRY))
		return image;
	image_free(image);
	return NULL;
}

/**
 * image_inherit - an image is derived from another one, and has pages of it
 * @image: from image_prepare()
 * @parent: its parent; the caller's reference goes over to @image
 */
void image_inherit(struct image *image, struct image *parent)
{
	image->parent = parent;
	image->snapshot = true;
	WRITE_ONCE(parent->inherited, true);
	image->profile = parent->profile;
	image->cpu_vendor = parent->cpu_vendor;
	image->cpu_level = parent->cpu_level;
	image->same_tsc = parent->same_tsc;
	memcpy(image->label, parent->label, sizeof(image->label));
}

/**
 * image_publish - let others find an image
 * @image: complete
 */
void image_publish(struct image *image)
{
	image->created_ns = ktime_get_boottime_ns();
	atomic_long_inc(&nr_images);
	/* Its place has been reserved. */
	WARN_ON_ONCE(xa_err(xa_store(&images, image->id, image, GFP_NOWAIT)));
}

static void describe_image(struct image *image, const struct mayfly_image_create *create,
			   const struct image_start *start)
{
	image->start = *start;
	image->memory_min = create->memory_min;
	image->profile = create->profile;
	image->cpu_level = create->cpu_level;
	image->same_tsc = create->flags & MAYFLY_IMAGE_SAME_TSC;
	strscpy(image->label, create->label, sizeof(image->label));
}

/**
 * image_create - load an image
 * @create: copied from the caller; its rip, profile and CPU level have been checked
 * @start: what its VMs begin with
 * @owner: its owner
 * @cpu_vendor: MAYFLY_VENDOR_* that its guests see
 *
 * Context: may sleep; reads the caller's memory.
 * Return: the image with one reference, or an ERR_PTR as MAYFLY_IMAGE_CREATE
 * documents.
 */
struct image *image_create(const struct mayfly_image_create *create,
			   const struct image_start *start, struct owner *owner,
			   u32 cpu_vendor)
{
	struct image *image;
	int ret;

	if (!create_is_sane(create))
		return ERR_PTR(-EINVAL);
	image = image_prepare(owner);
	if (!image)
		return ERR_PTR(-ENOMEM);
	describe_image(image, create, start);
	image->cpu_vendor = cpu_vendor;
	ret = fill_image(image, create);
	image->memory_default = default_memory(create, image);
	if (!ret && image->memory_default < image->memory_min)
		ret = -EINVAL;
	if (ret) {
		image_hide(image);
		image_free(image);
		return ERR_PTR(ret);
	}
	image_publish(image);
	return image;
}

/**
 * image_find - look up an id
 * @id: from user space
 *
 * Return: the image with a reference, or NULL. Permission is not checked.
 */
struct image *image_find(u64 id)
{
	struct image *image;

	rcu_read_lock();
	image = xa_load(&images, id);
	if (image && !kref_get_unless_zero(&image->ref))
		image = NULL;
	rcu_read_unlock();
	return image;
}

/* Looks at a few; @index is then the last one's. Returns one with a reference, or NULL. */
static struct image *find_among_some(unsigned long *index, bool *more,
				     bool (*wanted)(const struct image *image))
{
	struct image *image, *found = NULL;
	unsigned int n = 0;

	rcu_read_lock();
	image = xa_find(&images, index, ULONG_MAX, XA_PRESENT);
	while (image && !found && n++ < LOOK_AT_ONCE) {
		if ((!wanted || wanted(image)) && kref_get_unless_zero(&image->ref))
			found = image;
		else
			image = xa_find_after(&images, index, ULONG_MAX, XA_PRESENT);
	}
	*more = image;
	rcu_read_unlock();
	return found;
}

/**
 * image_find_from - the first image at or after an id
 * @id: where to start; out: its id
 * @wanted: is it one of those that are looked for? Called under RCU, without a reference.
 *	NULL for all
 *
 * Context: may sleep.
 * Return: the image with a reference, or NULL when there are no more.
 */
struct image *image_find_from(u64 *id, bool (*wanted)(const struct image *image))
{
	unsigned long index = *id;
	struct image *image;
	bool more;

	do {
		image = find_among_some(&index, &more, wanted);
		cond_resched();
	} while (!image && more);
	*id = index;
	return image;
}

/**
 * image_bytes - what an image holds
 * @image: the image
 *
 * Return: bytes of its pages and tables.
 */
u64 image_bytes(const struct image *image)
{
	return READ_ONCE(image->nr_pages) * PAGE_SIZE;
}

/**
 * image_parent_id - what an image is derived from
 * @image: the image
 *
 * Return: the parent's id, 0 if there is none. A parent that has been folded is none.
 */
u64 image_parent_id(const struct image *image)
{
	const struct image *parent;
	u64 id;

	rcu_read_lock();
	parent = READ_ONCE(image->parent);
	id = parent ? parent->id : 0;
	rcu_read_unlock();
	return id;
}

/**
 * image_hide - from now on nobody finds an image
 * @image: without references
 *
 * Context: any.
 */
void image_hide(struct image *image)
{
	xa_erase(&images, image->id);
}

static void free_image_struct(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct image, rcu));
}

/**
 * image_free - free an image, but not its parent
 * @image: nobody finds or uses it
 *
 * Context: may sleep.
 */
void image_free(struct image *image)
{
	struct page *page, *next;
	unsigned int n = 0;

	list_for_each_entry_safe(page, next, &image->pages, lru) {
		list_del(&page->lru);
		pages_free(page);
		if (++n % PAGES_FREE_BATCH == 0)
			cond_resched();
	}
	owner_charge(image->owner, -(s64)image->charged);
	owner_put(image->owner);
	if (image->created_ns)
		atomic_long_dec(&nr_images);
	/* kfree_rcu() would keep it for seconds, at its owner's cost. */
	call_rcu(&image->rcu, free_image_struct);
}

/**
 * image_setup - at load
 * @format: of second-level tables
 */
void image_setup(const struct stage2_format *format)
{
	image_format = format;
}

/**
 * image_learn_hot - learn the hot set: what the first VM wrote before it first waited
 * @image: its image
 * @pages: the VM's pages
 *
 * If there are too many pages, none are remembered: the hot set is for guests that
 * write only a few.
 *
 * Context: any; the VM is claimed by the caller.
 */
void image_learn_hot(struct image *image, const struct list_head *pages)
{
	unsigned int n = 0;
	struct page *page;

	if (atomic_cmpxchg(&image->hot_claimed, 0, 1))
		return;
	list_for_each_entry(page, pages, lru) {
		if (!pages_is_guests(page))
			continue;
		if (n == IMAGE_HOT_MAX || pages_is_large(page))
			return;
		image->hot[n++] = pages_gpa(page) >> PAGE_SHIFT;
	}
	smp_store_release(&image->nr_hot, n);
}
