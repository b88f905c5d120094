/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * access.h - a VM's registers and memory, for its owner.
 */
#ifndef MAYFLY_ACCESS_H
#define MAYFLY_ACCESS_H

#include "uapi/mayfly.h"

struct vm;

/**
 * struct access_state - all there is to a vCPU
 * @registers: with the pending events
 * @fpu: an FXSAVE image
 */
struct access_state {
	struct mayfly_vcpu_state registers;
	u8 fpu[MAYFLY_FXSAVE_SIZE];
};

int __must_check access_open(struct vm *vm, int (*claim)(struct vm *vm));
void access_close(struct vm *vm);
int access_get_state(struct vm *vm, struct access_state *state);
int access_set_state(struct vm *vm, struct access_state *state, size_t registers,
		     bool fpu);
int access_read(struct vm *vm, u64 gpa, void *buffer, size_t length);
int access_write(struct vm *vm, u64 gpa, const void *buffer, size_t length);

#endif
