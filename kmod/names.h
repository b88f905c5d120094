/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * names.h - names are unique among an owner's VMs.
 */
#ifndef MAYFLY_NAMES_H
#define MAYFLY_NAMES_H

#include <linux/types.h>

struct vm;
struct vm_key;

bool names_valid(const char *name);
u64 names_automatic(const char *name);
void names_give(struct vm_key *key, u64 id, const char *name);
int __must_check names_add(struct vm *vm);
void names_remove(struct vm *vm);
struct vm *names_find(uid_t uid, const char *name);
int names_setup(void);
void names_teardown(void);

#endif
