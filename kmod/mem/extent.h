/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * extent.h - which pages an image has.
 *
 * Pure logic over tables, like stage2.h.
 */
#ifndef MAYFLY_EXTENT_H
#define MAYFLY_EXTENT_H

#include <linux/types.h>
#include "uapi/mayfly.h"

struct stage2;

bool extent_look(const struct stage2 *s2, const struct stage2 *base, u64 gpa,
		 struct mayfly_extent *extent);

#endif
