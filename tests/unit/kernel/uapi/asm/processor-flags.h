/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The user-space copy of the same header. */
#include <asm/processor-flags.h>
