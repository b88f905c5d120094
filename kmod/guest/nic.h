/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nic.h - a guest's network device.
 */
#ifndef MAYFLY_NIC_H
#define MAYFLY_NIC_H

#include "vm/life.h"

struct vm;

enum verdict nic_serve(struct vm *vm, u64 *again);
enum verdict nic_receive(struct vm *vm);

#endif
