/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - where the kernels that we build for differ.
 *
 * Kbuild looks into the kernel's headers and defines HAS_*; a version number does not
 * tell, as distributions carry changes back. No other file asks what the kernel has.
 */
#ifndef MAYFLY_COMPAT_H
#define MAYFLY_COMPAT_H

/* The NMI handler for an NMI that has ended guest mode. Renamed in 6.12. */
#ifdef HAS_EXC_NMI_KVM_VMX
#define asm_exc_nmi_after_guest	asm_exc_nmi_kvm_vmx
#else
#define asm_exc_nmi_after_guest	asm_exc_nmi_noist
#endif

#ifndef __ASSEMBLY__

#include <linux/shrinker.h>
#include <linux/slab.h>

/* Before 6.7 a crashing kernel turned SVM off by itself, whoever had turned it on. */
#ifdef HAS_VIRTEXT
#define CRASH_TURNS_SVM_OFF	1
#else
#define CRASH_TURNS_SVM_OFF	0
#endif

typedef unsigned long shrinker_function(struct shrinker *shrinker,
					struct shrink_control *control);

/* Since 6.7 the kernel allocates shrinkers. */
static inline struct shrinker *compat_shrinker_register(shrinker_function *count,
							shrinker_function *scan)
{
	struct shrinker *shrinker;

#ifdef HAS_SHRINKER_ALLOC
	shrinker = shrinker_alloc(0, "mayfly");
#else
	shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
#endif
	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
#ifdef HAS_SHRINKER_ALLOC
	shrinker_register(shrinker);
#else
	if (register_shrinker(shrinker, "mayfly")) {
		kfree(shrinker);
		return NULL;
	}
#endif
	return shrinker;
}

static inline void compat_shrinker_unregister(struct shrinker *shrinker)
{
#ifdef HAS_SHRINKER_ALLOC
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}

#endif
#endif
