/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * shadow_guest.h - would hardware enter a guest in this state?
 *
 * Pure logic, unit-tested on the build machine. state.h checks states that come from
 * outside; this is about any state that a running guest can reach: it may load
 * segments, and leave 64-bit mode for compatibility mode.
 */
#ifndef MAYFLY_SHADOW_GUEST_H
#define MAYFLY_SHADOW_GUEST_H

#include <linux/types.h>
#include "uapi/mayfly.h"

/* Bit 16 of VT-x's access rights, in our attributes: the register is unusable. */
#define SHADOW_UNUSABLE	0x1000

/* The registers that the rules are about. */
struct shadow_guest {
	u64 cr0, cr3, cr4, efer, rflags, rip, dr6, dr7, pat;
	u64 sysenter_esp, sysenter_eip;
	struct mayfly_segment_register cs, ss, ds, es, fs, gs, ldtr, tr;
	struct mayfly_table_register gdtr, idtr;
	u32 interruptibility;	/* VT-x: bit 0 STI, bit 1 MOV SS */
	u64 pending_debug;	/* VT-x */
};

#define SHADOW_OPEN_MSRS	10
extern const u32 shadow_open_msrs[SHADOW_OPEN_MSRS];

const char *shadow_guest_wrong(const struct shadow_guest *g, unsigned int phys_bits);
const char *shadow_guest_wrong_vmx(const struct shadow_guest *g);

#endif
