/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trap.h - what Mayfly does for a guest.
 */
#ifndef MAYFLY_TRAP_H
#define MAYFLY_TRAP_H

#include "vm/life.h"

struct vm;
struct vm_exit;

enum verdict trap_handle(struct vm *vm, const struct vm_exit *exit);
void trap_finish_wait(struct vm *vm);

#endif
