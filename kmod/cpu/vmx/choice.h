/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * choice.h - which of a word's controls are on.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_VMX_CHOICE_H
#define MAYFLY_VMX_CHOICE_H

#include <linux/types.h>

/**
 * struct vmx_choice - what we want of a word of controls
 * @want: must be on
 * @like: is on if the CPU has it
 * @unwanted: must not be on
 */
struct vmx_choice {
	u32 want, like, unwanted;
};

/*
 * @capability: of the CPU, low half: controls that it forces, high half: those that it
 * has. SDM 3D A.3. Returns false if the CPU does not allow the choice.
 */
static inline bool vmx_choose(u64 capability, struct vmx_choice choice, u32 *result)
{
	u32 must = (u32)capability, may = (u32)(capability >> 32);

	*result = choice.want | (choice.like & may) | must;
	return !(choice.want & ~may) && !(must & choice.unwanted);
}

#endif
