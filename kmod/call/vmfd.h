/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmfd.h - VM descriptors.
 */
#ifndef MAYFLY_VMFD_H
#define MAYFLY_VMFD_H

struct vm;

struct file *vmfd_file(struct vm *vm);

#endif
