/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * inspect.h - read and set a VM's state from outside.
 */
#ifndef MAYFLY_INSPECT_H
#define MAYFLY_INSPECT_H

#include "uapi/mayfly.h"

struct vm;

void inspect_describe(struct vm *vm, struct mayfly_vm_info *info);
void inspect_stat(struct vm *vm, struct mayfly_vm_stat *stat);
int inspect_get_state(struct vm *vm, struct mayfly_vcpu_state *state);
int inspect_set_state(struct vm *vm, const struct mayfly_vcpu_state *state);

#endif
