/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * devpage.h - a guest's device page and its clock.
 */
#ifndef MAYFLY_DEVPAGE_H
#define MAYFLY_DEVPAGE_H

#include <linux/types.h>

struct vm;

bool devpage_clock_is_stable(void);
u64 devpage_guest_now(const struct vm *vm);
void devpage_renew(struct vm *vm);
void devpage_follow_host(struct vm *vm);
void devpage_begin(struct vm *vm);
void devpage_fill(struct vm *vm);

#endif
