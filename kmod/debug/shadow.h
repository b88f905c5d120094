/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * shadow.h - a second opinion on every world switch, in DEBUG builds only.
 *
 * The emulators accept control blocks and guest states that hardware refuses, and
 * restore host registers that hardware does not. The expected values are written down
 * here a second time, from the manuals and not from the code that is checked. A check
 * that fires WARNs, unless a rule is being broken on purpose (mutation.h) or a guest
 * reached a bad state by itself; it is counted either way, in the module parameter
 * "shadow_hits".
 */
#ifndef MAYFLY_SHADOW_H
#define MAYFLY_SHADOW_H

#include <linux/bug.h>
#include <linux/compiler_attributes.h>
#include <linux/irqflags.h>
#include <linux/types.h>

struct stage2;
struct vcpu;
struct vmcb;

/* The kinds of checks; their names are in shadow.c. */
enum shadow_check {
	SHADOW_HOST_MSR,	/* a host MSR differs after an exit */
	SHADOW_HOST_CR,		/* a control register */
	SHADOW_HOST_DR,		/* a debug register */
	SHADOW_HOST_TABLE,	/* GDTR, IDTR, TR or LDTR */
	SHADOW_HOST_SEGMENT,	/* a selector, or the base of FS or GS */
	SHADOW_HOST_XSTATE,	/* XCR0 or PKRU */
	SHADOW_HOST_FLAGS,	/* a bit of RFLAGS */
	SHADOW_HOST_FPU,	/* an interrupt finds it taken */
	SHADOW_HOST_FIELD,	/* the exit will load a value that is not the host's */
	SHADOW_CONTROL,		/* a control field has another value */
	SHADOW_INTERCEPT,	/* something is not intercepted */
	SHADOW_MSR_BITMAP,
	SHADOW_IO_BITMAP,
	SHADOW_GUEST_STATE,	/* a state that hardware refuses */
	SHADOW_TAG,		/* a tag that another VM had, not flushed */
	SHADOW_ROOT,		/* an EPT root that another VM had, not flushed */
	SHADOW_STALE,		/* translations from before a change */
	SHADOW_FREED_MAPPED,	/* a page freed while it is mapped */
	SHADOW_FREED_INSIDE,	/* a page freed while its VM is in guest mode */
	SHADOW_FROZEN,		/* an image's tables let VMs write to what they share */
	SHADOW_FOLDED,		/* an image's tables lead to a page that has been freed */
	SHADOW_NODE,		/* a control block in the memory of another CPU's node */
	SHADOW_CHECKS,
};

/* Which host registers must be restored by then, for shadow_host_after(). */
enum shadow_span {
	SHADOW_EXIT_ALL,	/* SVM: everything */
	SHADOW_EXIT_FEW,	/* VT-x: the rest is restored when the slice is over */
	SHADOW_SLICE,		/* from before load to after save */
};

#ifdef MAYFLY_DEBUG
__printf(2, 3) void shadow_report(enum shadow_check check, const char *format, ...);

void shadow_guest_state(const struct vcpu *vcpu, const char *wrong);

void shadow_image(const struct stage2 *s2);
void shadow_folded(const struct stage2 *s2);

void shadow_host_setup(void);
void shadow_host_before(enum shadow_span span);
void shadow_host_after(enum shadow_span span);
void shadow_interrupt(void);

void shadow_svm_bitmaps(const void *iopm, const void *msrpm);
void shadow_svm_entry(const struct vmcb *vmcb, const struct vcpu *vcpu,
		      phys_addr_t iopm, phys_addr_t msrpm);
void shadow_svm_exit(const struct vmcb *vmcb);

/* When the machine goes down, an IPI turns VT-x off: then VMREAD and VMWRITE are #UD. */
static inline void shadow_vmx_access(void)
{
	WARN_ON_ONCE(!irqs_disabled());
}

void shadow_vmx_setup(void);
void shadow_vmx_bitmap(const void *bitmap, bool open);
void shadow_vmx_entry(const struct vcpu *vcpu, phys_addr_t bitmap, bool open);
#else
static inline void shadow_image(const struct stage2 *s2) {}
static inline void shadow_folded(const struct stage2 *s2) {}

static inline void shadow_host_setup(void) {}
static inline void shadow_host_before(enum shadow_span span) {}
static inline void shadow_host_after(enum shadow_span span) {}
static inline void shadow_interrupt(void) {}

static inline void shadow_svm_bitmaps(const void *iopm, const void *msrpm) {}
static inline void shadow_svm_entry(const struct vmcb *vmcb, const struct vcpu *vcpu,
				    phys_addr_t iopm, phys_addr_t msrpm) {}
static inline void shadow_svm_exit(const struct vmcb *vmcb) {}

static inline void shadow_vmx_access(void) {}
static inline void shadow_vmx_setup(void) {}
static inline void shadow_vmx_bitmap(const void *bitmap, bool open) {}
static inline void shadow_vmx_entry(const struct vcpu *vcpu, phys_addr_t bitmap,
				    bool open) {}
#endif

#endif
