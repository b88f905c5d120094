/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fold.h - what of an image its child does not need.
 *
 * Pure logic over tables, like stage2.h.
 */
#ifndef MAYFLY_FOLD_H
#define MAYFLY_FOLD_H

#include <linux/types.h>

struct stage2;

/**
 * struct fold_sink - told what is found
 * @gone: a page that the image has for itself, a large one or a table, and that the child
 *	cannot reach; it may be freed at once
 * @split: of a large page the child may need parts: from now on it is 512 small ones
 * @context: for both
 */
struct fold_sink {
	void (*gone)(void *context, u64 pa);
	void (*split)(void *context, u64 pa);
	void *context;
};

void fold_compare(const struct stage2 *child, const struct stage2 *image,
		  const struct stage2 *parent, const struct fold_sink *sink);

#endif
