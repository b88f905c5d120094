/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
