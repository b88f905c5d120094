/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backend.h - the seam between Mayfly and a CPU vendor.
 *
 * Everything above this line speaks of neutral exits and of struct
 * mayfly_vcpu_state; everything below it (svm.c, vmx.c) turns those into
 * control blocks. A backend never takes a VM's locks, never touches user memory
 * and never calls upwards.
 */
#ifndef MAYFLY_BACKEND_H
#define MAYFLY_BACKEND_H

#include <linux/static_call.h>
#include <linux/types.h>
#include "stage2.h"

struct vm;

/**
 * struct vm_exit - why the CPU left guest mode, in neutral words
 * @reason: MAYFLY_EXIT_*
 * @length: bytes of the instruction that was intercepted, 0 where none was
 * @vector: MAYFLY_EXIT_EXCEPTION and MAYFLY_EXIT_DENIED: exception to raise
 * @write: MAYFLY_EXIT_MEMORY and MAYFLY_EXIT_MSR: it was a write
 * @execute: MAYFLY_EXIT_MEMORY: it was an instruction fetch
 * @refused: MAYFLY_EXIT_INVALID: the CPU did not enter at all
 * @cpl: current privilege level of the guest
 * @gpa: MAYFLY_EXIT_MEMORY: guest-physical address
 * @detail: vendor's exit code and what qualifies it, for people only
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

/**
 * struct vm_tag - where a VM's cached translations may be
 * @cpu: CPU of the last entry, -1 before the first
 * @generation: that CPU's tag generation at the time
 * @asid: tag in that generation
 * @flushed: value of the VM's tlb_gen that the tag is clean of
 */
struct vm_tag {
	int cpu;
	u32 asid;
	u64 generation;
	u64 flushed;
};

/**
 * struct backend_ops - one vendor
 * @name: for the log
 * @id: struct mayfly_info.backend
 * @stub: the hypercall instruction and a ret, 16 bytes
 * @stage2: format of second-level tables
 * @setup: allocate per-CPU memory and look at the CPU; once at load. May sleep.
 *	0, -ENODEV when it is another vendor's CPU, -EOPNOTSUPP when it lacks
 *	something (said in the log), -ENOMEM.
 * @teardown: undo @setup. May sleep.
 * @levels: levels of second-level tables
 * @large_pages: may leaves be of 2 MiB?
 * @large_code: may code be in them? Otherwise they become small ones first.
 * @enable_cpu: take this CPU; interrupts off. 0, -EBUSY when somebody else has
 *	it, -EIO when firmware forbids it.
 * @disable_cpu: give this CPU back, if it was taken; interrupts off
 * @emergency: the same when the machine crashes, from an NMI and for ever; NULL
 *	where the kernel does it by itself
 * @load: bring @vm into this CPU's control block; preemption off. 0, or -EAGAIN
 *	when this CPU is not enabled.
 * @run: enter the guest once and describe the exit; interrupts off, NMI safe.
 *	rax, rsp, rip, rflags and all other general registers in @vm->state are
 *	true afterwards; the rest is only after @save, or after
 *	MAYFLY_EXIT_INVALID, when it is what was refused, but for an exception
 *	that was to be raised.
 * @save: bring everything back into @vm->state; preemption off
 */
struct backend_ops {
	const char *name;
	u32 id;
	u8 stub[16];
	const struct stage2_format *stage2;
	int (*setup)(void);
	void (*teardown)(void);
	int (*levels)(void);
	bool (*large_pages)(void);
	bool (*large_code)(void);
	int (*enable_cpu)(void);
	void (*disable_cpu)(void);
	void (*emergency)(void);
	int (*load)(struct vm *vm);
	void (*run)(struct vm *vm, struct vm_exit *exit);
	void (*save)(struct vm *vm);
};

extern const struct backend_ops svm_ops, vmx_ops;
void svm_run(struct vm *vm, struct vm_exit *exit);

/* The one in use; set once at load. Its run() is on the hot path: call it so. */
extern const struct backend_ops *backend;
DECLARE_STATIC_CALL(backend_run, svm_run);

#endif
