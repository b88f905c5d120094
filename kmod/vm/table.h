/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * table.h - all VMs.
 */
#ifndef MAYFLY_TABLE_H
#define MAYFLY_TABLE_H

#include <linux/types.h>

struct vm;
struct vm_template;

struct vm *table_create(const struct vm_template *template, const char *name);
struct vm *table_find(u64 id);
struct vm *table_find_from(u64 *id);
struct vm *table_find_name(const char *name);
void table_forget(struct vm *vm);

int table_setup(void);
void table_teardown(void);

#endif
