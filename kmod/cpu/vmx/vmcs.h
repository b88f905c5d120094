/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmcs.h - a CPU's VMCS, and the vCPU in it.
 */
#ifndef MAYFLY_VMX_VMCS_H
#define MAYFLY_VMX_VMCS_H

#include <linux/percpu.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "cpu/vmx/controls.h"
#include "cpu/vmx/host.h"

struct mayfly_vcpu_state;
struct page;
struct vcpu;

/**
 * struct vmx_cpu - a CPU's VMCS
 * @vmxon: page for VMXON
 * @vmcs: the VMCS
 * @launched: enter it with VMRESUME, not VMLAUNCH
 * @enabled: this CPU is ours
 * @loaded: id of the VM whose state is in @vmcs, 0 for none
 * @last_user: uid of the vCPU that ran last
 * @generation: of VPIDs; goes up when they are used up
 * @next_vpid: next unused VPID of this generation
 * @rip: the guest's, in @vmcs
 * @tsc_ratio: in @vmcs, where the CPU can scale a guest's TSC
 * @blocked: interrupts or NMIs may be, in @vmcs
 * @injected: an exception, at the last entry
 * @syscalls_open: the guest in @vmcs can make system calls, see syscalls.c
 * @host_syscalls: the host's vmx_syscall_msrs
 * @host: host registers that an exit does not restore
 *
 * Each CPU uses only its own, with preemption off. @enabled, and what it implies,
 * changes with interrupts off.
 */
struct vmx_cpu {
	struct page *vmxon;
	struct page *vmcs;
	bool launched;
	bool enabled;
	u64 loaded;
	uid_t last_user;
	u64 generation;
	u32 next_vpid;
	u64 rip;
	u64 tsc_ratio;
	bool blocked;
	bool injected;
	bool syscalls_open;
	u64 host_syscalls[VMX_SYSCALL_MSRS];
	struct vmx_host host;
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpus);

int vmx_make_vmcs(void);
void vmx_free_vmcs(void);
void vmx_renew_vmcs(struct vmx_cpu *cpu);

void vmx_load_state(struct vmx_cpu *cpu, const struct vcpu *vcpu);
void vmx_save_state(struct mayfly_vcpu_state *state);
void vmx_take_new_tag(struct vmx_cpu *cpu, struct vcpu *vcpu);

#endif
