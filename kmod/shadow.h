/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * shadow.h - a second opinion on every world switch, in DEBUG builds only.
 *
 * The emulators accept control blocks and guest states that hardware refuses, and
 * put back host registers that hardware leaves behind. What is checked here is
 * written down a second time, from the manuals and not from the code that is
 * checked. A check that fires WARNs, unless a rule is being broken on purpose
 * (mutation.h); it is counted either way, in the module parameter "shadow_hits".
 */
#ifndef MAYFLY_SHADOW_H
#define MAYFLY_SHADOW_H

#include <linux/compiler_attributes.h>
#include <linux/types.h>

/* The kinds of checks; their names are in shadow.c. */
enum shadow_check {
	SHADOW_TAG,		/* a tag another VM had, not flushed */
	SHADOW_ROOT,		/* a top table another VM had, not flushed */
	SHADOW_STALE,		/* translations from before a change */
	SHADOW_FREED_MAPPED,	/* a page freed while it is mapped */
	SHADOW_FREED_INSIDE,	/* a page freed while its VM is in guest mode */
	SHADOW_CHECKS,
};

#ifdef MAYFLY_DEBUG
__printf(2, 3) void shadow_report(enum shadow_check check, const char *format, ...);
#endif

#endif
