/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#include <string.h>
#include <sys/types.h>

static inline ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = 0;
	return from[length] ? -7 /* E2BIG */ : (ssize_t)length;
}
