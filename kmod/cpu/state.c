// SPDX-License-Identifier: GPL-2.0-only
/*
 * state.c - a vCPU's first state, and the checks of states from outside.
 *
 * SET_STATE lets an unprivileged caller choose every register. A state accepted here
 * must be accepted by every CPU at entry, whatever an emulator may tolerate: the
 * rules are those of APM 2 15.5.1 and SDM 3C 27.3.1, narrowed to the needs of Mayfly
 * guests (64-bit mode, no debugging, no virtual-8086).
 */
#include <linux/compiler.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <uapi/asm/processor-flags.h>

#include "cpu/state.h"
#include "uapi/mayfly_guest.h"

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

/* The 36 bits of MAYFLY_MEMORY_MAX, which every CPU has, and the two cache bits. */
#define CR3_MAY		0x0000000ffffff018ull
#define MXCSR_OFFSET	24
#define MXCSR_DEFAULT	0x1f80
#define FCW_DEFAULT	0x037f

/*
 * Exceptions that may be raised: #DE #DB #BR #UD #NM #DF #TS #NP #SS #GP #PF #MF #AC
 * #XM. Not #BP and #OF, which belong to an instruction, nor NMI, #MC or reserved
 * vectors.
 */
#define MAY_RAISE	0x000b7de3u

unsigned int state_linear_bits = 48;
u32 state_mxcsr_bits = 0xffff;

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
}

/**
 * state_init_fpu - the FPU with which every image starts
 * @fpu: an FXSAVE image to fill; all zero
 */
void state_init_fpu(u8 *fpu)
{
	u16 fcw = FCW_DEFAULT;
	u32 mxcsr = MXCSR_DEFAULT;

	memcpy(fpu, &fcw, sizeof(fcw));
	memcpy(fpu + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
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

/* SDM 3C 27.3.1.2: DS and ES have bases of 32 bits, although nothing uses them. */
static bool low_data_is_valid(const struct mayfly_segment_register *s)
{
	return data_is_valid(s) && (is_empty(s) || s->base <= 0xffffffff);
}

/* Accessed, non-conforming or conforming 64-bit code at SS's DPL, the CPL. */
static bool code_is_valid(const struct mayfly_segment_register *cs, unsigned int cpl)
{
	if (cs->attributes & ~ATTR_VALID || cs->base || is_empty(cs) ||
	    !(cs->attributes & ATTR_S) || (cs->attributes & 0x9) != 0x9 ||
	    (cs->attributes & (ATTR_L | ATTR_DB)) != ATTR_L ||
	    !segment_limit_fits(cs) || (cs->selector & 3) != cpl)
		return false;
	return cs->attributes & 0x4 ? dpl(cs) <= cpl : dpl(cs) == cpl;
}

static bool stack_is_valid(const struct mayfly_segment_register *ss)
{
	if (ss->attributes & ~ATTR_VALID || ss->base || (ss->selector & 3) != dpl(ss))
		return false;
	if (is_empty(ss))
		return true;
	return (ss->attributes & ATTR_S) && (ss->attributes & 0xb) == 0x3 &&
	       segment_limit_fits(ss);
}

static bool task_is_valid(const struct mayfly_segment_register *tr)
{
	return (tr->attributes & ~ATTR_G) == TSS_BUSY && !(tr->selector & 4) &&
	       state_canonical(tr->base) && segment_limit_fits(tr) &&
	       tr->limit >= 0x67;
}

static bool ldt_is_valid(const struct mayfly_segment_register *ldtr)
{
	if (ldtr->attributes & ~ATTR_VALID || !state_canonical(ldtr->base))
		return false;
	if (is_empty(ldtr))
		return true;
	return (ldtr->attributes & (ATTR_TYPE | ATTR_S)) == LDT_ABSENT &&
	       !(ldtr->selector & 4) && segment_limit_fits(ldtr);
}

static bool table_is_valid(const struct mayfly_table_register *table)
{
	return state_canonical(table->base) && table->limit <= 0xffff &&
	       !table->reserved;
}

static bool within(u64 value, u64 must, u64 may)
{
	return (value & must) == must && !(value & ~may);
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

/* HLT has one too: when a device whose rate is limited can send more. */
static bool deadline_is_valid(const struct mayfly_vcpu_state *state)
{
	return state->waiting != MAYFLY_WAITING_NOT || !state->deadline;
}

/**
 * state_fpu_is_valid - could FXRSTOR load it?
 * @fpu: an FXSAVE image from outside, already in kernel memory
 *
 * Return: false if it would raise #GP.
 */
bool state_fpu_is_valid(const u8 *fpu)
{
	u32 mxcsr;

	memcpy(&mxcsr, fpu + MXCSR_OFFSET, sizeof(mxcsr));
	return !(mxcsr & ~state_mxcsr_bits);
}

#define RULE(field, holds) \
	do { \
		if (!(holds)) \
			return offsetof(struct mayfly_vcpu_state, field); \
	} while (0)

/**
 * state_wrong_field - which register would a CPU refuse?
 * @s: from outside and already in kernel memory, or refused by a CPU
 *
 * Return: the register's offset in struct mayfly_vcpu_state, or STATE_ALL_RIGHT.
 */
unsigned int state_wrong_field(const struct mayfly_vcpu_state *s)
{
	RULE(flags, !(s->flags & ~(MAYFLY_STATE_EXCEPTION | MAYFLY_STATE_SHADOW)));
	RULE(rip, state_canonical(s->rip));
	RULE(rflags, within(s->rflags, X86_EFLAGS_FIXED, RFLAGS_MAY));
	RULE(cr0, within(s->cr0, CR0_MUST, CR0_MAY));
	RULE(cr3, within(s->cr3, 0, CR3_MAY));
	RULE(cr4, within(s->cr4, CR4_MUST, CR4_MAY));
	RULE(efer, within(s->efer, EFER_MUST, EFER_MAY));
	RULE(ss, stack_is_valid(&s->ss));
	RULE(cs, code_is_valid(&s->cs, dpl(&s->ss)));
	RULE(ds, low_data_is_valid(&s->ds));
	RULE(es, low_data_is_valid(&s->es));
	RULE(fs, data_is_valid(&s->fs));
	RULE(gs, data_is_valid(&s->gs));
	RULE(ldtr, ldt_is_valid(&s->ldtr));
	RULE(tr, task_is_valid(&s->tr));
	RULE(gdtr, table_is_valid(&s->gdtr));
	RULE(idtr, table_is_valid(&s->idtr));
	RULE(lstar, state_canonical(s->lstar));
	RULE(cstar, state_canonical(s->cstar));
	RULE(sfmask, s->sfmask <= 0xffffffff);
	RULE(kernel_gs_base, state_canonical(s->kernel_gs_base));
	RULE(sysenter_cs, s->sysenter_cs <= 0xffffffff);
	RULE(sysenter_esp, state_canonical(s->sysenter_esp));
	RULE(sysenter_eip, state_canonical(s->sysenter_eip));
	RULE(exception, exception_is_valid(s));
	RULE(waiting, s->waiting <= MAYFLY_WAITING_HLT);
	RULE(deadline, deadline_is_valid(s));
	RULE(clock_seq, !(s->clock_seq & 1));
	return STATE_ALL_RIGHT;
}
