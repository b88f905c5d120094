/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * names.h - what VMs and images may be called.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_NAMES_H
#define MAYFLY_NAMES_H

#include <linux/types.h>

#include "uapi/mayfly.h"

/**
 * struct names_key - a name is unique among its owner's VMs, or images
 * @uid: owner
 * @name: zero-padded
 */
struct names_key {
	u32 uid;
	char name[MAYFLY_NAME_SIZE];
};

bool names_valid(const char *name);
u64 names_automatic(const char *name);
void names_write(char *to, size_t size, u64 id, const char *name);

#endif
