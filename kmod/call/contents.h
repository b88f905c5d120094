/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * contents.h - what is in an image, for those who save it.
 */
#ifndef MAYFLY_CONTENTS_H
#define MAYFLY_CONTENTS_H

struct image;
struct mayfly_extents;

long contents_state(struct image *image, void __user *user);
long contents_memory(struct image *image, void __user *user);
int contents_extents(const struct image *image, const struct image *base,
		     struct mayfly_extents *args);

#endif
