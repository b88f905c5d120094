/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * names.h - what VMs may be called.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_NAMES_H
#define MAYFLY_NAMES_H

#include <linux/types.h>

bool names_valid(const char *name);
u64 names_automatic(const char *name);
void names_write(char *to, size_t size, u64 id, const char *name);

#endif
