/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vcpu.h - a virtual CPU and its exits: all that a backend sees of a VM.
 */
#ifndef MAYFLY_VCPU_H
#define MAYFLY_VCPU_H

#include <linux/types.h>
#include <linux/uidgid.h>

#include "mem/stage2.h"
#include "uapi/mayfly.h"

/**
 * struct vcpu_tag - where a vCPU's cached translations may be
 * @cpu: CPU of the last entry, -1 before the first
 * @generation: that CPU's tag generation at the time
 * @asid: tag in that generation: ASID or VPID
 * @flushed: value of stage2.changes up to which the tag holds nothing stale
 */
struct vcpu_tag {
	int cpu;
	u32 asid;
	u64 generation;
	u64 flushed;
};

/**
 * struct vcpu - registers, and what they need to become a running guest
 * @fpu: an FXSAVE image; comes first, so that it is aligned
 * @state: registers; its events are not used, see vm->pending
 * @tag: the backend's
 * @s2: the VM's second-level tables
 * @id: of its VM; never reused for another
 * @uid: of the VM's owner; guests of one owner may see each other's predictions
 * @state_changed: the control block is out of date
 * @exits: counted by MAYFLY_EXIT_*
 *
 * Only the claimant may use it. @s2, @id and @uid are immutable.
 */
struct vcpu {
	u8 fpu[MAYFLY_FXSAVE_SIZE];
	struct mayfly_vcpu_state state;
	struct vcpu_tag tag;
	struct stage2 *s2;
	u64 id;
	uid_t uid;
	bool state_changed;
	u64 exits[MAYFLY_EXIT_REASONS];
};

/**
 * struct vm_exit - why the CPU left guest mode, in neutral terms
 * @reason: MAYFLY_EXIT_*
 * @length: bytes of the instruction, where it is one that is answered
 * @vector: MAYFLY_EXIT_EXCEPTION and MAYFLY_EXIT_DENIED: exception to raise
 * @write: MAYFLY_EXIT_MEMORY and MAYFLY_EXIT_MSR: it was a write
 * @execute: MAYFLY_EXIT_MEMORY: it was an instruction fetch
 * @refused: MAYFLY_EXIT_INVALID: the CPU did not enter at all
 * @cpl: MAYFLY_EXIT_HYPERCALL and MAYFLY_EXIT_EXCEPTION: privilege level of the guest
 * @gpa: MAYFLY_EXIT_MEMORY: guest-physical address
 * @detail: the vendor's exit code and qualification, for people only
 */
struct vm_exit {
	u8 reason;
	u8 length;
	u8 vector;
	bool write;
	bool execute;
	bool refused;
	u8 cpl;
	u64 gpa;
	u64 detail;
};

static inline void vcpu_init(struct vcpu *vcpu, struct stage2 *s2)
{
	vcpu->tag.cpu = -1;
	vcpu->state_changed = true;
	vcpu->s2 = s2;
}

#endif
