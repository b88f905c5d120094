/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * state.h - what a vCPU's registers may hold.
 *
 * Pure logic, unit-tested on the build machine.
 */
#ifndef MAYFLY_STATE_H
#define MAYFLY_STATE_H

#include <linux/types.h>
#include <uapi/asm/processor-flags.h>
#include "uapi/mayfly.h"

void state_init(struct mayfly_vcpu_state *state, u64 rip, u64 rsp, u64 cr3,
		u64 rdi);
void state_init_fpu(u8 *fpu);
bool state_fpu_is_valid(const u8 *fpu);
unsigned int state_wrong_field(const struct mayfly_vcpu_state *s);

/* No field has this offset. */
#define STATE_ALL_RIGHT		sizeof(struct mayfly_vcpu_state)

/* Would every CPU accept it, so that it is safe to enter the guest with it? */
static inline bool state_is_valid(const struct mayfly_vcpu_state *state)
{
	return state_wrong_field(state) == STATE_ALL_RIGHT;
}

/*
 * Do exceptions of this vector push an error code? #DF #TS #NP #SS #GP #PF #AC.
 * APM 2 8.2, SDM 3A 6.13
 */
static inline bool state_has_error_code(u32 vector)
{
	const u32 those = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 |
			  1u << 14 | 1u << 17;

	return those >> vector & 1;
}

/* Can the guest's own settings make an access raise #AC? SDM 3A 6.15 */
static inline bool state_checks_alignment(const struct mayfly_vcpu_state *state, u8 cpl)
{
	return cpl == 3 && state->cr0 & X86_CR0_AM && state->rflags & X86_EFLAGS_AC;
}

/* Makes an exception pending: it is raised at the next entry. */
static inline void state_raise(struct mayfly_vcpu_state *state, u32 vector,
			       u32 error_code)
{
	state->flags |= MAYFLY_STATE_EXCEPTION;
	state->exception = vector;
	state->error_code = error_code;
}

/* The pending exception has been handed to the CPU. */
static inline void state_raised(struct mayfly_vcpu_state *state)
{
	state->flags &= ~MAYFLY_STATE_EXCEPTION;
	state->exception = 0;
	state->error_code = 0;
}

/*
 * Of a linear address: 48, or 57 on CPUs with five-level paging. These check addresses
 * so, and let a guest with four levels write MSRs so. SDM 3A 4.5.3, 3C 27.3.1.2
 */
extern unsigned int state_linear_bits;

/*
 * Bits of MXCSR that FXRSTOR takes. AMD's CPUs have one more than Intel's, MM, which
 * guests can set without being told that it is there. APM 1 4.2.2
 */
extern u32 state_mxcsr_bits;

/* Are the bits of an address that the CPU does not translate like the last it does? */
static inline bool state_canonical(u64 address)
{
	unsigned int unused = 64 - state_linear_bits;

	return (u64)((s64)(address << unused) >> unused) == address;
}

#endif
