/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * imagefd.h - image descriptors.
 */
#ifndef MAYFLY_IMAGEFD_H
#define MAYFLY_IMAGEFD_H

struct file;
struct image;
struct vm;

long imagefd_create(void __user *user);
long imagefd_open(void __user *user);
long imagefd_snapshot(struct vm *vm, void __user *user);
struct image *imagefd_image(struct file *file);

#endif
