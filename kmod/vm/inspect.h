/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * inspect.h - the rows of VMs and images.
 */
#ifndef MAYFLY_INSPECT_H
#define MAYFLY_INSPECT_H

#include "uapi/mayfly.h"

struct image;
struct vm;

uid_t inspect_uid(uid_t uid);
void inspect_vm(struct vm *vm, struct mayfly_vm_info *info, size_t size);
void inspect_image(const struct image *image, unsigned int lookups,
		   struct mayfly_image_info *info);

#endif
