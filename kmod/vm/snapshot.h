/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * snapshot.h - a VM becomes an image, and goes on.
 */
#ifndef MAYFLY_SNAPSHOT_H
#define MAYFLY_SNAPSHOT_H

#include <linux/types.h>

struct image;
struct owner;
struct vm;

struct image *snapshot_make(struct vm *vm, struct owner *owner);
struct image *snapshot_await(struct vm *vm, struct owner *owner);
void snapshot_fulfil(struct vm *vm, gfp_t gfp);

#endif
