// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_guest.c - the manuals' consistency rules for a guest in long mode (DEBUG
 * builds only).
 *
 * APM 2 15.5.1 and SDM 3C 27.3.1, in the order of the latter. Mayfly guests have
 * paging and no virtual-8086 mode. They are unrestricted guests, so their selectors
 * may have any RPL (27.3.1.2).
 */
#include <linux/compiler.h>
#include <asm/msr-index.h>
#include <uapi/asm/processor-flags.h>

#include "cpu/state.h"
#include "debug/shadow_guest.h"

#define UPPER_HALF	0xffffffff00000000ull

/* Defined bits. APM 2 3.1.3, SDM 3A 2.5; SDM 3C 27.3.1.1 for EFER. */
#define CR4_DEFINED	0x00f71fffull
#define EFER_DEFINED	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)
#define RFLAGS_RESERVED	0xffffffffffc08028ull

#define TYPE_ACCESSED	0x1
#define TYPE_READ_WRITE	0x2
#define TYPE_CONFORMING	0x4
#define TYPE_CODE	0x8
#define TYPE_LDT	2
#define TYPE_BUSY_TSS	11
#define ATTR_S		0x010
#define ATTR_P		0x080
#define ATTR_L		0x200
#define ATTR_DB		0x400
#define ATTR_G		0x800
#define ATTR_RESERVED	0xe000	/* 0x1000 is SHADOW_UNUSABLE */

#define BLOCKED_STI	1
#define BLOCKED_MOV_SS	2
#define PENDING_BS	(1ull << 14)
#define PENDING_RESERVED 0xfffffffffffeaff0ull

/*
 * MSRs of which a guest has its own on either vendor; no other may be open. SVM:
 * VMLOAD and VMSAVE switch them (15.5.2). VT-x: the VMCS does (27.3.2.1), or the code
 * around a slice.
 */
const u32 shadow_open_msrs[SHADOW_OPEN_MSRS] = {
	0x174, 0x175, 0x176,				/* SYSENTER CS ESP EIP */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,	/* STAR LSTAR CSTAR FMASK */
	0xc0000100, 0xc0000101, 0xc0000102,		/* FS, GS, kernel GS base */
};

#define RULE(name, holds) \
	do { \
		if (!(holds)) \
			return name; \
	} while (0)

/* Reserved encodings of a memory type: 2, 3 and 8 to 255. */
static bool pat_is_valid(u64 pat)
{
	for (; pat; pat >>= 8) {
		u8 type = pat;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/**
 * shadow_guest_wrong - would both vendors refuse this state?
 * @g: about to be entered
 * @phys_bits: of the CPU's physical addresses
 *
 * Return: the rule that is broken, or NULL.
 */
const char *shadow_guest_wrong(const struct shadow_guest *g, unsigned int phys_bits)
{
	RULE("CR0 upper half", !(g->cr0 & UPPER_HALF));
	RULE("CR0.NW without CD", g->cr0 & X86_CR0_CD || !(g->cr0 & X86_CR0_NW));
	RULE("CR0.PG without PE", g->cr0 & X86_CR0_PE || !(g->cr0 & X86_CR0_PG));
	RULE("CR3 beyond the physical address", !(g->cr3 >> phys_bits));
	RULE("CR4 reserved bits", !(g->cr4 & ~CR4_DEFINED));
	RULE("EFER reserved bits", !(g->efer & ~(u64)EFER_DEFINED));
	RULE("EFER.LMA", !(g->efer & EFER_LMA) ==
			 !(g->efer & EFER_LME && g->cr0 & X86_CR0_PG));
	RULE("long mode without PAE", !(g->efer & EFER_LMA) || g->cr4 & X86_CR4_PAE);
	RULE("CS with L and D", !(g->efer & EFER_LMA) ||
				(g->cs.attributes & (ATTR_L | ATTR_DB)) !=
					(ATTR_L | ATTR_DB));
	RULE("DR6 upper half", !(g->dr6 & UPPER_HALF));
	RULE("DR7 upper half", !(g->dr7 & UPPER_HALF));
	RULE("PAT", pat_is_valid(g->pat));
	RULE("RFLAGS", !(g->rflags & RFLAGS_RESERVED) && g->rflags & X86_EFLAGS_FIXED);
	RULE("RFLAGS.VM", !(g->rflags & X86_EFLAGS_VM));
	return NULL;
}

static unsigned int shadow_dpl(const struct mayfly_segment_register *s)
{
	return s->attributes >> 5 & 3;
}

static bool is_usable(const struct mayfly_segment_register *s)
{
	return !(s->attributes & SHADOW_UNUSABLE);
}

/* Bits 11 to 0 of the limit are ones with G, and 31 to 20 are zeros without. */
static bool limit_is_valid(const struct mayfly_segment_register *s)
{
	if ((s->limit & 0xfff) != 0xfff && s->attributes & ATTR_G)
		return false;
	return s->limit < 0x100000 || s->attributes & ATTR_G;
}

static bool segment_is_present(const struct mayfly_segment_register *s, u16 kind)
{
	return s->attributes & ATTR_P && !(s->attributes & ATTR_RESERVED) &&
	       (s->attributes & ATTR_S) == kind && limit_is_valid(s);
}

static bool shadow_code_is_valid(const struct mayfly_segment_register *cs, unsigned int cpl)
{
	if (!segment_is_present(cs, ATTR_S) || !(cs->attributes & TYPE_CODE) ||
	    !(cs->attributes & TYPE_ACCESSED))
		return false;
	return cs->attributes & TYPE_CONFORMING ? shadow_dpl(cs) <= cpl : shadow_dpl(cs) == cpl;
}

static bool shadow_stack_is_valid(const struct mayfly_segment_register *ss)
{
	return !is_usable(ss) ||
	       (segment_is_present(ss, ATTR_S) && !(ss->base & UPPER_HALF) &&
		(ss->attributes & (TYPE_CODE | TYPE_READ_WRITE | TYPE_ACCESSED)) ==
		(TYPE_READ_WRITE | TYPE_ACCESSED));
}

static bool shadow_data_is_valid(const struct mayfly_segment_register *s)
{
	u16 type = s->attributes & 0xf;

	if (!is_usable(s))
		return true;
	if (!segment_is_present(s, ATTR_S) || !(type & TYPE_ACCESSED))
		return false;
	return !(type & TYPE_CODE) || type & TYPE_READ_WRITE;
}

static bool system_is_valid(const struct mayfly_segment_register *s, u16 type)
{
	return segment_is_present(s, 0) && (s->attributes & 0xf) == type &&
	       !(s->selector & 4) && state_canonical(s->base);
}

static const char *wrong_segment(const struct shadow_guest *g)
{
	RULE("CS", is_usable(&g->cs) && shadow_code_is_valid(&g->cs, shadow_dpl(&g->ss)));
	RULE("CS base", !(g->cs.base & UPPER_HALF));
	RULE("SS", shadow_stack_is_valid(&g->ss));
	RULE("DS", shadow_data_is_valid(&g->ds));
	RULE("DS base", !is_usable(&g->ds) || !(g->ds.base & UPPER_HALF));
	RULE("ES", shadow_data_is_valid(&g->es));
	RULE("ES base", !is_usable(&g->es) || !(g->es.base & UPPER_HALF));
	RULE("FS", shadow_data_is_valid(&g->fs) && state_canonical(g->fs.base));
	RULE("GS", shadow_data_is_valid(&g->gs) && state_canonical(g->gs.base));
	RULE("TR", is_usable(&g->tr) && system_is_valid(&g->tr, TYPE_BUSY_TSS));
	RULE("LDTR", !is_usable(&g->ldtr) || system_is_valid(&g->ldtr, TYPE_LDT));
	RULE("GDTR", state_canonical(g->gdtr.base) && g->gdtr.limit <= 0xffff);
	RULE("IDTR", state_canonical(g->idtr.base) && g->idtr.limit <= 0xffff);
	return NULL;
}

/* Bit 47 may differ from those above: an instruction may end at that boundary. */
static bool rip_is_valid(const struct shadow_guest *g)
{
	if (!(g->cs.attributes & ATTR_L))
		return !(g->rip & UPPER_HALF);
	return g->rip >> 48 == 0 || g->rip >> 48 == 0xffff;
}

static const char *wrong_shadow(const struct shadow_guest *g)
{
	bool blocked = g->interruptibility & (BLOCKED_STI | BLOCKED_MOV_SS);
	bool step = g->rflags & X86_EFLAGS_TF;

	RULE("interruptibility", g->interruptibility <= BLOCKED_MOV_SS);
	RULE("blocked by STI without IF", !(g->interruptibility & BLOCKED_STI) ||
					  g->rflags & X86_EFLAGS_IF);
	RULE("pending debug exceptions", !(g->pending_debug & PENDING_RESERVED));
	RULE("pending single step", !blocked ||
				    !(g->pending_debug & PENDING_BS) == !step);
	return NULL;
}

/**
 * shadow_guest_wrong_vmx - would VT-x refuse this state for another reason?
 * @g: about to be entered
 *
 * Return: the rule that is broken, or NULL.
 */
const char *shadow_guest_wrong_vmx(const struct shadow_guest *g)
{
	const char *wrong = wrong_segment(g);

	if (wrong)
		return wrong;
	RULE("IA-32e mode", g->efer & EFER_LMA);
	RULE("SYSENTER_ESP", state_canonical(g->sysenter_esp));
	RULE("SYSENTER_EIP", state_canonical(g->sysenter_eip));
	RULE("RIP", rip_is_valid(g));
	return wrong_shadow(g);
}
