/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmcb.h - a CPU's VMCB, and what is in it.
 */
#ifndef MAYFLY_SVM_VMCB_H
#define MAYFLY_SVM_VMCB_H

#include <linux/percpu.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct mayfly_vcpu_state;
struct page;
struct vcpu;
struct vmcb;
struct vmcb_save_area;

/* APM 2 3.2.4: the value of DR6 when nothing has happened. */
#define DR6_INIT	0xffff0ff0

/*
 * Groups of fields that are as the CPU has left them at the last exit, so that it need
 * not read them again: all that there were first. APM 2 15.15
 */
#define CLEAN_ALL	0x7ffu
#define CLEAN_ASID	(1u << 2)
#define CLEAN_DR	(1u << 6)

/**
 * struct svm_cpu - a CPU's VMCB
 * @vmcb: the VMCB
 * @vmcb_pa: its physical address
 * @host: page for VMSAVE of the host's state
 * @host_pa: its physical address
 * @host_saved: it is the host's state in this slice, but for a new LDT
 * @host_ldt: its LDT's selector
 * @hsave: page where VMRUN keeps the host's state
 * @loaded: id of the VM whose state is in @vmcb, 0 for none
 * @last_user: uid of the vCPU that ran last
 * @generation: of ASIDs; goes up when they are used up
 * @next_asid: next unused tag of this generation
 * @max_asid: largest tag
 * @tsc_aux: the host's TSC_AUX, which never changes
 * @tsc_ratio: in MSR_AMD64_TSC_RATIO, where there is one
 * @enabled: this CPU is ours
 *
 * Each CPU uses only its own, with preemption off. @enabled, and what it implies,
 * changes with interrupts off.
 */
struct svm_cpu {
	struct vmcb *vmcb;
	phys_addr_t vmcb_pa;
	struct page *host;
	phys_addr_t host_pa;
	bool host_saved;
	u16 host_ldt;
	struct page *hsave;
	u64 loaded;
	uid_t last_user;
	u64 generation;
	u32 next_asid;
	u32 max_asid;
	u64 tsc_aux;
	u64 tsc_ratio;
	bool enabled;
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpus);

/* Bitmaps of ports and of MSRs; a set bit intercepts. The same for all guests. */
extern struct page *svm_iopm, *svm_msrpm;

int svm_make_blocks(void);
void svm_free_blocks(void);

void svm_load_state(struct vmcb_save_area *save, const struct mayfly_vcpu_state *state);
void svm_save_state(struct mayfly_vcpu_state *state, const struct vmcb_save_area *save);

void svm_take_new_tag(struct svm_cpu *cpu, struct vcpu *vcpu);
void svm_distrust(struct svm_cpu *cpu);

#endif
