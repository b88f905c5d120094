/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * collapse.h - many small pages become a large one.
 */
#ifndef MAYFLY_COLLAPSE_H
#define MAYFLY_COLLAPSE_H

#include <linux/types.h>

struct vm_memory;

void memory_collapse(struct vm_memory *memory, u64 gpa);

#endif
