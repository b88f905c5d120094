/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Exceptions. SDM 3A 6.3.1 */
#define X86_TRAP_UD 6
#define X86_TRAP_GP 13
