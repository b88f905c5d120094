/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * run.h - the run function: a VM and a thread become a running guest.
 */
#ifndef MAYFLY_RUN_H
#define MAYFLY_RUN_H

#include <linux/types.h>
#include "trap.h"

struct vm;

enum verdict run_slice(struct vm *vm, const bool *over, bool stop_on_output);
enum verdict run_fetch_memory(struct vm *vm);
bool run_is_wanted_outside(void);

#endif
