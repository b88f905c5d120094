// SPDX-License-Identifier: GPL-2.0-only
/*
 * state.c - a vCPU's first state, and the judgement of states from outside.
 *
 * SET_STATE lets an unprivileged caller choose every register. What is accepted
 * here must be accepted by every CPU at entry, whatever an emulator may tolerate:
 * the rules are those of APM 2 15.5.1 and SDM 3C 27.3.1, narrowed to what Mayfly
 * guests need (64-bit mode, no debugging, no virtual-8086).
 */
#include <linux/compiler.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <uapi/asm/processor-flags.h>

#include "state.h"

/* Attributes: type, S, DPL, P, L and G as in mayfly_segment_register. */
#define CODE64		0x0a9b	/* accessed code, readable, P, L, G */
#define DATA		0x0c93	/* accessed data, writable, P, D/B, G */
#define TSS_BUSY	0x008b
#define LDT_ABSENT	0x0002

#define ATTR_TYPE	0x000f
#define ATTR_S		0x0010
#define ATTR_DPL	0x0060
#define ATTR_P		0x0080
#define ATTR_L		0x0200
#define ATTR_DB		0x0400
#define ATTR_G		0x0800
#define ATTR_VALID	0x0fff

#define CR0_MUST	(X86_CR0_PE | X86_CR0_NE | X86_CR0_ET | X86_CR0_PG)
#define CR0_MAY		(CR0_MUST | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | \
			 X86_CR0_WP | X86_CR0_AM)
/* MCE: without it a machine check in the guest would be a shutdown. */
#define CR4_MUST	(X86_CR4_PAE | X86_CR4_MCE)
#define CR4_MAY		(CR4_MUST | X86_CR4_DE | X86_CR4_PSE | X86_CR4_TSD | \
			 X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)
#define EFER_MUST	(EFER_LME | EFER_LMA)
#define EFER_MAY	(EFER_MUST | EFER_SCE | EFER_NX)
#define RFLAGS_MAY	(X86_EFLAGS_FIXED | X86_EFLAGS_CF | X86_EFLAGS_PF | \
			 X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | \
			 X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF | \
			 X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | \
			 X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID)

/* 40 bits, as CPUID says, and the two cache bits. */
#define CR3_MAY		0x000000fffffff018ull
#define MXCSR_OFFSET	24
#define MXCSR_DEFAULT	0x1f80
/* Every CPU that can virtualize has DAZ; AMD's bit 17 is not for guests. */
#define MXCSR_MAY	0xffff
#define FCW_DEFAULT	0x037f

/*
 * Those that may be raised: #DE #DB #BR #UD #NM #DF #TS #NP #SS #GP #PF #MF #AC
 * #XM. Not #BP and #OF, which belong to an instruction, nor NMI, #MC or what is
 * reserved.
 */
#define MAY_RAISE	0x000b7de3u

static const struct mayfly_segment_register flat_data = {
	.limit = 0xffffffff, .selector = 0x10, .attributes = DATA,
};

static const struct mayfly_segment_register flat_code = {
	.limit = 0xffffffff, .selector = 0x08, .attributes = CODE64,
};

/**
 * state_init - the state in which every image starts
 * @state: to fill; all zero
 * @rip: first instruction
 * @rsp: first stack pointer
 * @cr3: top page table
 * @rdi: first argument
 */
void state_init(struct mayfly_vcpu_state *state, u64 rip, u64 rsp, u64 cr3,
		u64 rdi)
{
	u16 fcw = FCW_DEFAULT;
	u32 mxcsr = MXCSR_DEFAULT;

	state->rip = rip;
	state->regs[MAYFLY_RSP] = rsp;
	state->regs[MAYFLY_RDI] = rdi;
	state->rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	state->cr0 = CR0_MUST | X86_CR0_MP | X86_CR0_WP;
	state->cr3 = cr3;
	state->cr4 = CR4_MUST | X86_CR4_DE | X86_CR4_PGE | X86_CR4_OSFXSR |
		     X86_CR4_OSXMMEXCPT;
	state->efer = EFER_MAY;
	state->cs = flat_code;
	state->ss = flat_data;
	state->ds = flat_data;
	state->es = flat_data;
	state->fs = flat_data;
	state->gs = flat_data;
	state->ldtr.attributes = LDT_ABSENT;
	state->tr.limit = 0x67;
	state->tr.attributes = TSS_BUSY;
	memcpy(state->fpu, &fcw, sizeof(fcw));
	memcpy(state->fpu + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
}

static bool segment_limit_fits(const struct mayfly_segment_register *s)
{
	if (s->attributes & ATTR_G)
		return (s->limit & 0xfff) == 0xfff;
	return s->limit <= 0xfffff;
}

static unsigned int dpl(const struct mayfly_segment_register *s)
{
	return (s->attributes & ATTR_DPL) >> 5;
}

static bool is_empty(const struct mayfly_segment_register *s)
{
	return !(s->attributes & ATTR_P);
}

static bool data_is_valid(const struct mayfly_segment_register *s)
{
	if (s->attributes & ~ATTR_VALID || !state_canonical(s->base))
		return false;
	if (is_empty(s))
		return true;
	/* Accessed data, or accessed readable code. */
	if (!(s->attributes & ATTR_S) || !(s->attributes & 1) ||
	    (s->attributes & 0xa) == 0x8)
		return false;
	/* SDM 3C 27.3.1.2: RPL may not exceed DPL unless conforming code. */
	if ((s->attributes & ATTR_TYPE) < 12 && (s->selector & 3) > dpl(s))
		return false;
	return segment_limit_fits(s);
}

static bool code_and_stack_are_valid(const struct mayfly_vcpu_state *state)
{
	const struct mayfly_segment_register *cs = &state->cs, *ss = &state->ss;
	unsigned int cpl = dpl(ss);

	/* Accessed, non-conforming or conforming 64-bit code. */
	if (cs->attributes & ~ATTR_VALID || cs->base || is_empty(cs) ||
	    !(cs->attributes & ATTR_S) || (cs->attributes & 0x9) != 0x9 ||
	    (cs->attributes & (ATTR_L | ATTR_DB)) != ATTR_L ||
	    !segment_limit_fits(cs))
		return false;
	if (cs->attributes & 0x4 ? dpl(cs) > cpl : dpl(cs) != cpl)
		return false;
	if ((cs->selector & 3) != cpl || (ss->selector & 3) != cpl)
		return false;
	if (ss->attributes & ~ATTR_VALID || ss->base)
		return false;
	if (is_empty(ss))
		return true;
	return (ss->attributes & ATTR_S) && (ss->attributes & 0xb) == 0x3 &&
	       segment_limit_fits(ss);
}

static bool system_segments_are_valid(const struct mayfly_vcpu_state *state)
{
	const struct mayfly_segment_register *tr = &state->tr, *ldtr = &state->ldtr;

	if ((tr->attributes & ~ATTR_G) != TSS_BUSY || tr->selector & 4 ||
	    !state_canonical(tr->base) || !segment_limit_fits(tr) ||
	    tr->limit < 0x67)
		return false;
	if (ldtr->attributes & ~ATTR_VALID || !state_canonical(ldtr->base))
		return false;
	if (is_empty(ldtr))
		return true;
	return (ldtr->attributes & (ATTR_TYPE | ATTR_S)) == LDT_ABSENT &&
	       !(ldtr->selector & 4) && segment_limit_fits(ldtr);
}

static bool tables_are_valid(const struct mayfly_vcpu_state *state)
{
	return state_canonical(state->gdtr.base) && state->gdtr.limit <= 0xffff &&
	       !state->gdtr.reserved && state_canonical(state->idtr.base) &&
	       state->idtr.limit <= 0xffff && !state->idtr.reserved;
}

static bool within(u64 value, u64 must, u64 may)
{
	return (value & must) == must && !(value & ~may);
}

static bool control_is_valid(const struct mayfly_vcpu_state *state)
{
	return within(state->cr0, CR0_MUST, CR0_MAY) &&
	       within(state->cr4, CR4_MUST, CR4_MAY) &&
	       within(state->efer, EFER_MUST, EFER_MAY) &&
	       within(state->rflags, X86_EFLAGS_FIXED, RFLAGS_MAY) &&
	       !(state->cr3 & ~CR3_MAY) && state_canonical(state->rip);
}

static bool msrs_are_valid(const struct mayfly_vcpu_state *state)
{
	return state_canonical(state->lstar) && state_canonical(state->cstar) &&
	       state_canonical(state->kernel_gs_base) &&
	       state_canonical(state->sysenter_esp) &&
	       state_canonical(state->sysenter_eip) &&
	       state->sfmask <= 0xffffffff && state->sysenter_cs <= 0xffffffff;
}

static bool exception_is_valid(const struct mayfly_vcpu_state *state)
{
	if (!(state->flags & MAYFLY_STATE_EXCEPTION))
		return !state->exception && !state->error_code;
	if (state->exception > 31 || !(MAY_RAISE >> state->exception & 1))
		return false;
	if (!state_has_error_code(state->exception))
		return !state->error_code;
	return state->error_code <= 0xffff;
}

static bool fpu_is_valid(const struct mayfly_vcpu_state *state)
{
	u32 mxcsr;

	memcpy(&mxcsr, state->fpu + MXCSR_OFFSET, sizeof(mxcsr));
	return !(mxcsr & ~MXCSR_MAY);
}

static bool is_zero(const u64 *words, int n)
{
	while (n--)
		if (words[n])
			return false;
	return true;
}

/**
 * state_is_valid - would every CPU accept this?
 * @state: from outside, already in kernel memory
 *
 * Return: true when it is safe to enter the guest with it.
 */
bool state_is_valid(const struct mayfly_vcpu_state *state)
{
	return !state->vcpu &&
	       !(state->flags & ~(MAYFLY_STATE_EXCEPTION | MAYFLY_STATE_SHADOW)) &&
	       is_zero(state->reserved, sizeof(state->reserved) / sizeof(u64)) &&
	       control_is_valid(state) && code_and_stack_are_valid(state) &&
	       data_is_valid(&state->ds) && data_is_valid(&state->es) &&
	       data_is_valid(&state->fs) && data_is_valid(&state->gs) &&
	       system_segments_are_valid(state) && tables_are_valid(state) &&
	       msrs_are_valid(state) && exception_is_valid(state) &&
	       fpu_is_valid(state);
}
