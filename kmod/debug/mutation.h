/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mutation.h - break a rule on purpose, in DEBUG builds only.
 *
 * A check that has never fired proves nothing. Root writes one of these numbers
 * to the module parameter "mutation", and the module does that one thing wrong
 * until 0 is written: a test then sees the check fire.
 */
#ifndef MAYFLY_MUTATION_H
#define MAYFLY_MUTATION_H

#include <linux/types.h>

enum mutation {
	MUTATION_NONE,
	MUTATION_GUEST_CS,	/* guests start with a CS that no CPU accepts */
	/* After an exit, the host does not get back: */
	MUTATION_HOST_MSR,	/* CSTAR */
	MUTATION_HOST_CR,	/* CR8 */
	MUTATION_HOST_DR,	/* DR0 */
	MUTATION_HOST_GDTR,	/* its limit */
	MUTATION_HOST_IDTR,	/* its limit; SVM */
	MUTATION_HOST_SELECTOR,	/* DS */
	MUTATION_HOST_BASE,	/* of FS */
	MUTATION_HOST_XCR0,
	MUTATION_HOST_PKRU,
	MUTATION_HOST_FLAGS,	/* AC */
	MUTATION_HOST_FIELD,	/* an exit loads another SYSENTER_CS; VT-x */
	MUTATION_KEEP_FPU,	/* interrupts find the guest's FPU */
	/* In the control block: */
	MUTATION_CONTROL,	/* a field that does not affect a well-behaved guest */
	MUTATION_INTERCEPT,	/* #AC is not intercepted */
	MUTATION_MSR_BITMAP,	/* TSC_AUX can be read */
	MUTATION_SYSCALLS,	/* SYSCALL is on and finds the host's MSRs; VT-x */
	MUTATION_TSC_RATIO,	/* a guest's TSC is as fast as the last one's; VT-x */
	MUTATION_IO_BITMAP,	/* port 0x80 is open; VT-x: no exits for ports */
	MUTATION_CLEAN,		/* what has changed is said to be as it was; SVM */
	MUTATION_SHUTDOWN,	/* a shutdown leaves rubbish as the guest's state; SVM */
	/* What the host does: */
	MUTATION_VMXON,		/* VMXON raises #UD; VT-x */
	MUTATION_TSC_KHZ,	/* it finds out that its TSC is twice as fast */
	/* What the hardware does: */
	MUTATION_SPLIT_LOCK,	/* a guest's exception is taken for the host's #AC */
	MUTATION_BROKEN_PAGE,	/* each guest page is said to be broken */
	/* Translations: */
	MUTATION_SKIP_TAG,	/* a changed VM keeps its tag */
	MUTATION_SKIP_FLUSH,	/* tags are reused without a flush */
	MUTATION_SKIP_INVEPT,	/* a new tag, an old EPT root, no flush; VT-x */
	MUTATION_FREE_MAPPED,	/* a page is freed before its entry is changed */
	MUTATION_FREE_INSIDE,	/* a page is freed before its VM is known to have left */
	/* Snapshots: */
	MUTATION_FREEZE,	/* what the image shares can still be written */
	MUTATION_GENERATION,	/* a clone has its original's */
	MUTATION_FOLD,		/* what two images share is freed with the older one */
	/* Networks: */
	MUTATION_SENDER,	/* a guest's packets may bear any source */
	MUTATION_RING,		/* more may be available than a ring has */
	MUTATION_PORT,		/* a VM that has ended still gets packets */
	/* Chosen when the module is loaded: */
	MUTATION_NODE,		/* all control blocks are in the first node's memory */
};

#ifdef MAYFLY_DEBUG
bool mutation_is(enum mutation mutation);
bool mutation_is_new(void);
#else
static inline bool mutation_is(enum mutation mutation) { return false; }
static inline bool mutation_is_new(void) { return false; }
#endif

#endif
