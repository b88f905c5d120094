/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * memory.h - the call MEMORY, on whatever has guest memory.
 */
#ifndef MAYFLY_CALL_MEMORY_H
#define MAYFLY_CALL_MEMORY_H

#include <linux/types.h>

/**
 * struct memory_target - what is read or written
 * @object: for the functions
 * @read: copies bytes out, one page or less
 * @write: copies bytes in, or NULL for what cannot be written
 */
struct memory_target {
	void *object;
	int (*read)(void *object, u64 gpa, void *buffer, size_t length);
	int (*write)(void *object, u64 gpa, const void *buffer, size_t length);
};

long memory_call(void __user *user, const struct memory_target *target);

#endif
