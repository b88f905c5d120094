/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Stands in for the kernel's header when a pure part of the module is built here. */
#include <string.h>
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
