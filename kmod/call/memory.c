// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.c - the call MEMORY, on whatever has guest memory.
 */
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/memory.h"
#include "mem/pages.h"
#include "uapi/mayfly.h"

/* One page or less at once: nothing is kept while the caller's memory is touched. */
static int copy_piece(const struct memory_target *target, const struct mayfly_memory *args,
		      void *page, size_t length)
{
	void __user *user = u64_to_user_ptr(args->buffer + args->done);
	u64 gpa = args->gpa + args->done;
	int ret;

	if (args->flags & MAYFLY_MEMORY_WRITE)
		return copy_from_user(page, user, length) ?
			       -EFAULT : target->write(target->object, gpa, page, length);
	ret = target->read(target->object, gpa, page, length);
	if (!ret && copy_to_user(user, page, length))
		ret = -EFAULT;
	return ret;
}

static int copy_pieces(const struct memory_target *target, struct mayfly_memory *args,
		       void *page)
{
	int ret = 0;

	while (args->done < args->length && !ret) {
		size_t n = min_t(u64, args->length - args->done,
				 PAGE_SIZE - offset_in_page(args->gpa + args->done));

		if (signal_pending(current))
			return -ERESTARTNOHAND;
		ret = copy_piece(target, args, page, n);
		if (!ret)
			args->done += n;
		cond_resched();
	}
	return ret;
}

static bool args_are_sane(const struct memory_target *target,
			  const struct mayfly_memory *args)
{
	return !(args->flags & ~(target->write ? MAYFLY_MEMORY_WRITE : 0u)) && !args->unused &&
	       !memchr_inv(args->reserved, 0, sizeof(args->reserved));
}

/**
 * memory_call - MEMORY
 * @user: the caller's argument
 * @target: what is read or written
 *
 * Context: may sleep.
 * Return: as MAYFLY_MEMORY documents.
 */
long memory_call(void __user *user, const struct memory_target *target)
{
	struct mayfly_memory args;
	void *page;
	long ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!args_are_sane(target, &args))
		return -EINVAL;
	page = (void *)__get_free_page(MEMORY_SLEEP);
	if (!page)
		return -ENOMEM;
	args.done = 0;
	ret = copy_pieces(target, &args, page);
	free_page((unsigned long)page);
	if (copy_to_user(user, &args, sizeof(args)) && !ret)
		ret = -EFAULT;
	return ret;
}
