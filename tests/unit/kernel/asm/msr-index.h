/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* EFER. APM 2 3.1.7 */
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NX (1u << 11)
