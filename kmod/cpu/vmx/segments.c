// SPDX-License-Identifier: GPL-2.0-only
/*
 * segments.c - segment registers between the neutral state and the VMCS.
 *
 * The fields of one segment register lie two apart from those of the next, in the
 * order ES CS SS DS FS GS LDTR TR. Access rights (SDM 3C 25.4.1) have AVL to G
 * four bits higher than our attributes, and a separate bit for "unusable".
 */
#include <linux/kernel.h>
#include <asm/vmx.h>

#include "cpu/vmx/asm.h"
#include "cpu/vmx/segments.h"
#include "uapi/mayfly.h"

#define RIGHTS_UNUSABLE	0x10000
#define ATTR_P		0x80
#define ATTR_DPL	0x60

static u32 rights_of(u16 attributes)
{
	if (!(attributes & ATTR_P))	/* A null SS still holds the CPL. */
		return RIGHTS_UNUSABLE | (attributes & ATTR_DPL);
	return (attributes & 0xff) | (attributes & 0xf00) << 4;
}

static u16 attributes_of(u32 rights)
{
	u16 attributes = (rights & 0xff) | (rights >> 4 & 0xf00);

	return rights & RIGHTS_UNUSABLE ? attributes & ~ATTR_P : attributes;
}

static void write_segment(int i, const struct mayfly_segment_register *segment)
{
	vmx_write(GUEST_ES_SELECTOR + 2 * i, segment->selector);
	vmx_write(GUEST_ES_LIMIT + 2 * i, segment->limit);
	vmx_write(GUEST_ES_AR_BYTES + 2 * i, rights_of(segment->attributes));
	vmx_write(GUEST_ES_BASE + 2 * i, segment->base);
}

static void read_segment(int i, struct mayfly_segment_register *segment)
{
	segment->selector = vmx_read(GUEST_ES_SELECTOR + 2 * i);
	segment->limit = vmx_read(GUEST_ES_LIMIT + 2 * i);
	segment->attributes = attributes_of(vmx_read(GUEST_ES_AR_BYTES + 2 * i));
	segment->base = vmx_read(GUEST_ES_BASE + 2 * i);
}

/**
 * vmx_load_segments - write all segment and table registers of the guest
 * @state: their source
 *
 * Context: the CPU's VMCS is current.
 */
void vmx_load_segments(const struct mayfly_vcpu_state *state)
{
	write_segment(0, &state->es);
	write_segment(1, &state->cs);
	write_segment(2, &state->ss);
	write_segment(3, &state->ds);
	write_segment(4, &state->fs);
	write_segment(5, &state->gs);
	write_segment(6, &state->ldtr);
	write_segment(7, &state->tr);
	vmx_write(GUEST_GDTR_BASE, state->gdtr.base);
	vmx_write(GUEST_GDTR_LIMIT, state->gdtr.limit);
	vmx_write(GUEST_IDTR_BASE, state->idtr.base);
	vmx_write(GUEST_IDTR_LIMIT, state->idtr.limit);
}

/**
 * vmx_save_segments - read all segment and table registers of the guest
 * @state: to fill
 *
 * Context: the CPU's VMCS is current.
 */
void vmx_save_segments(struct mayfly_vcpu_state *state)
{
	read_segment(0, &state->es);
	read_segment(1, &state->cs);
	read_segment(2, &state->ss);
	read_segment(3, &state->ds);
	read_segment(4, &state->fs);
	read_segment(5, &state->gs);
	read_segment(6, &state->ldtr);
	read_segment(7, &state->tr);
	state->gdtr.base = vmx_read(GUEST_GDTR_BASE);
	state->gdtr.limit = vmx_read(GUEST_GDTR_LIMIT);
	state->idtr.base = vmx_read(GUEST_IDTR_BASE);
	state->idtr.limit = vmx_read(GUEST_IDTR_LIMIT);
}
