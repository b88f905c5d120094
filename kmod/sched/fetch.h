/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fetch.h - memory for VMs that have to wait for it.
 */
#ifndef MAYFLY_FETCH_H
#define MAYFLY_FETCH_H

#include "vm/life.h"

struct pool;
struct vm;

enum verdict fetch_memory(struct vm *vm);
void fetch_serve(struct pool *pool);

#endif
