/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * spawn.h - the SPAWN call.
 */
#ifndef MAYFLY_SPAWN_H
#define MAYFLY_SPAWN_H

struct file;
struct image;
struct mayfly_spawn;

int spawn(struct mayfly_spawn *spawn, struct image *image, struct file **file);

#endif
