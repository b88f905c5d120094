/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A host-physical address is an address of this process. */
#include <linux/types.h>

#define PAGE_SIZE 4096ul
#define __va(address) ((void *)(unsigned long)(address))
#define __pa(pointer) ((u64)(unsigned long)(pointer))
