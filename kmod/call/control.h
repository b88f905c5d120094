/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * control.h - the CONTROL call, on one VM or on many.
 */
#ifndef MAYFLY_CONTROL_H
#define MAYFLY_CONTROL_H

struct mayfly_control;
struct vm;

int control_one(struct vm *vm, struct mayfly_control *control, const void *holder);
int control_many(struct mayfly_control *control);

#endif
