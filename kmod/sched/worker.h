/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * worker.h - the threads that run a pool's VMs.
 */
#ifndef MAYFLY_WORKER_H
#define MAYFLY_WORKER_H

struct owner;
struct pool;

int __must_check worker_make_first(struct pool *pool, struct owner *owner);
void worker_add(struct pool *pool);
void worker_stop_all(struct pool *pool);

#endif
