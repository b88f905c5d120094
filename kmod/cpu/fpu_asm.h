/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fpu_asm.h - move a guest's FPU image in and out of the registers.
 *
 * Only between kernel_fpu_begin_mask(0) and kernel_fpu_end(). Guests have x87
 * and SSE and no XSAVE, so the 512-byte legacy image is all there is.
 */
#ifndef MAYFLY_FPU_ASM_H
#define MAYFLY_FPU_ASM_H

#include <asm/cpufeature.h>

/*
 * AMD's FXRSTOR leaves the last x87 instruction and data pointers alone unless
 * an exception is pending. The guest would see another process's pointers, so point
 * them at our own data first. @anchor is any address in the L1 cache.
 */
static inline void fpu_load_guest(const void *image, const int *anchor)
{
	/*
	 * Guests have no AVX, but the upper halves of its registers may be the host's.
	 * Many CPUs run SSE instructions slowly while any of them is not zero.
	 */
	if (cpu_feature_enabled(X86_FEATURE_AVX))
		asm volatile("vzeroupper");
	if (static_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		asm volatile("fnclex\n\t"
			     "emms\n\t"
			     "fildl %0" : : "m" (*anchor));
	/* memory: 512 bytes are read. */
	asm volatile("fxrstor64 (%0)" : : "r" (image) : "memory");
}

static inline void fpu_save_guest(void *image)
{
	/* memory: 512 bytes are written. */
	asm volatile("fxsave64 (%0)" : : "r" (image) : "memory");
}

#endif
