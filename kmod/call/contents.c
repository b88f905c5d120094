// SPDX-License-Identifier: GPL-2.0-only
/*
 * contents.c - what is in an image, for those who save it.
 *
 * Images do not change, so nobody has to wait for anybody.
 */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/contents.h"
#include "call/memory.h"
#include "call/state.h"
#include "mem/extent.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/pages.h"
#include "uapi/mayfly_guest.h"
#include "vm/access.h"

static int get_state(void *object, const struct mayfly_state *args,
		     struct access_state *state)
{
	const struct image *image = object;

	state->registers = image->start.state;
	memcpy(state->fpu, image->start.fpu, sizeof(state->fpu));
	return state_put(args, state);
}

/**
 * contents_state - the GET_STATE call on an image
 * @image: the image
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_GET_STATE documents.
 */
long contents_state(struct image *image, void __user *user)
{
	return state_call(user, get_state, image);
}

static int read_page(void *object, u64 gpa, void *buffer, size_t length)
{
	const struct image *image = object;
	u64 leaf, end;

	if (gpa < MAYFLY_GPA_IMAGE || check_add_overflow(gpa, (u64)length, &end) ||
	    end > MAYFLY_MEMORY_MAX)
		return -EFAULT;
	leaf = stage2_look(&image->s2, gpa).leaf;
	if (!leaf) {
		memset(buffer, 0, length);
		return 0;
	}
	return pages_read(memory_page(leaf), offset_in_page(gpa), buffer, length) ?
		       0 : -EFAULT;
}

/**
 * contents_memory - the MEMORY call on an image
 * @image: the image
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_MEMORY documents.
 */
long contents_memory(struct image *image, void __user *user)
{
	const struct memory_target target = { .object = image, .read = read_page };

	return memory_call(user, &target);
}

/* Those that a caller has room for, one after the other. */
struct list {
	struct mayfly_extents *args;
	struct mayfly_extent last;	/* may still grow */
	u32 written;
};

/* Returns 0 or -EFAULT. */
static int write_last(struct list *list)
{
	struct mayfly_extent __user *to = u64_to_user_ptr(list->args->extents);

	if (!list->last.length)
		return 0;
	if (copy_to_user(to + list->written, &list->last, sizeof(list->last)))
		return -EFAULT;
	list->written++;
	list->last.length = 0;
	return 0;
}

static bool continues(const struct mayfly_extent *last, const struct mayfly_extent *next)
{
	return last->length && last->gpa + last->length == next->gpa &&
	       last->flags == next->flags;
}

/* Returns 0, -EFAULT, -ERESTARTNOHAND. */
static int list_extents(const struct stage2 *s2, const struct stage2 *base, struct list *list)
{
	struct mayfly_extents *args = list->args;
	struct mayfly_extent next;
	bool listed;
	int ret;

	while (args->gpa < MAYFLY_MEMORY_MAX) {
		if (signal_pending(current))
			return -ERESTARTNOHAND;
		listed = extent_look(s2, base, args->gpa, &next);
		if (listed && continues(&list->last, &next)) {
			list->last.length += next.length;
		} else if (listed) {
			ret = write_last(list);
			if (ret)
				return ret;
			if (list->written == args->count)
				return 0;
			list->last = next;
		}
		args->gpa = next.gpa + next.length;
		cond_resched();
	}
	return write_last(list);
}

static bool extents_are_sane(const struct mayfly_extents *args)
{
	return PAGE_ALIGNED(args->gpa) && args->gpa <= MAYFLY_MEMORY_MAX && args->count &&
	       args->count <= MAYFLY_MAX_BATCH && !args->flags && !args->unused &&
	       !memchr_inv(args->reserved, 0, sizeof(args->reserved));
}

/**
 * contents_extents - the EXTENTS call
 * @image: the image
 * @base: the image whose pages are left out, or NULL
 * @args: copied from the caller; his answer
 *
 * Context: may sleep.
 * Return: as MAYFLY_EXTENTS documents.
 */
int contents_extents(const struct image *image, const struct image *base,
		     struct mayfly_extents *args)
{
	struct list list = { .args = args };
	int ret;

	if (!extents_are_sane(args))
		return -EINVAL;
	ret = list_extents(&image->s2, base ? &base->s2 : NULL, &list);
	/* What was looked at last may have been more. */
	args->gpa = min_t(u64, args->gpa, MAYFLY_MEMORY_MAX);
	args->count = list.written;
	return ret;
}
