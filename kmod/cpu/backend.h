/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backend.h - the seam between Mayfly and a CPU vendor.
 *
 * Everything above this seam deals with neutral exits and struct vcpu; everything
 * below it (svm/, vmx/) turns those into control blocks. A backend knows no VM,
 * takes no locks, never touches user memory and never calls upwards.
 */
#ifndef MAYFLY_BACKEND_H
#define MAYFLY_BACKEND_H

#include <linux/static_call.h>
#include <linux/types.h>

struct stage2_format;
struct vcpu;
struct vm_exit;

/**
 * struct backend_ops - one vendor
 * @name: for the log
 * @id: struct mayfly_info.backend
 * @cpu_vendor: MAYFLY_VENDOR_*, whose CPUs have it
 * @kvm: the name of KVM's module for it
 * @stub: the hypercall instruction and a ret, 16 bytes
 * @stage2: format of second-level tables, valid after @setup
 * @setup: allocate per-CPU memory and check the CPU; once at load. May sleep.
 *	0, -ENODEV when it is another vendor's CPU, -EOPNOTSUPP when it lacks
 *	something (said in the log), -ENOMEM.
 * @teardown: undo @setup. May sleep.
 * @enable_cpu: take this CPU; interrupts off. 0, -EBUSY when another hypervisor
 *	has it, -EIO when firmware forbids it.
 * @disable_cpu: give this CPU back, if it was taken; interrupts off
 * @emergency: the same when the machine crashes, from an NMI and for good; NULL
 *	where the kernel does it by itself
 * @load: copy @vcpu into this CPU's control block; interrupts off. 0, or -EAGAIN
 *	when this CPU is not enabled.
 * @run: enter the guest once and describe the exit; interrupts off, NMI safe.
 *	rip and all general registers but rsp in @vcpu->state are valid afterwards,
 *	and may be changed; rflags is valid after MAYFLY_EXIT_EXCEPTION. The rest is
 *	valid only after @save, or after MAYFLY_EXIT_INVALID: then it is the refused
 *	state, without an exception that was pending.
 * @save: copy everything back into @vcpu->state; interrupts off
 */
struct backend_ops {
	const char *name;
	u32 id;
	u32 cpu_vendor;
	const char *kvm;
	u8 stub[16];
	const struct stage2_format *stage2;
	int (*setup)(void);
	void (*teardown)(void);
	int (*enable_cpu)(void);
	void (*disable_cpu)(void);
	void (*emergency)(void);
	int (*load)(struct vcpu *vcpu);
	void (*run)(struct vcpu *vcpu, struct vm_exit *exit);
	void (*save)(struct vcpu *vcpu);
};

extern const struct backend_ops svm_ops, vmx_ops;
/* Known here only for the static call, whose type it gives. */
void svm_run(struct vcpu *vcpu, struct vm_exit *exit);

int backend_setup(void);
u32 backend_cpu_level(void);
void backend_teardown(void);

/* The one in use; set once at load. Its run() is hot: use the static call below. */
extern const struct backend_ops *backend;
DECLARE_STATIC_CALL(backend_run, svm_run);

#endif
