/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cold.h - VMs that sleep keep only what they have written.
 */
#ifndef MAYFLY_COLD_H
#define MAYFLY_COLD_H

#include <linux/types.h>

struct pool;
struct vm;

void cold_offer(struct vm *vm);
void cold_withdraw(struct vm *vm);
unsigned int cold_chill_first(struct pool *pool, unsigned long before);
int __must_check cold_warm(struct vm *vm, gfp_t gfp);
void cold_forget(struct vm *vm);
bool cold_is(const struct vm *vm);
u64 cold_count(void);
u64 cold_warmed(void);

#endif
