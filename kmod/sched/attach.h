/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * attach.h - run a VM in the caller's own thread.
 */
#ifndef MAYFLY_ATTACH_H
#define MAYFLY_ATTACH_H

#include <linux/types.h>

struct vm;

int attach_run(struct vm *vm, u32 flags, u32 *outcome);

#endif
