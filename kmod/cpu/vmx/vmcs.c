// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmcs.c - VMCSs: how they are made, the vCPU in them, and its tag.
 *
 * Each CPU has one VMCS, which never leaves it. The controls are written into it
 * once (controls.c).
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/vmx.h>

#include "cpu/clock.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/segments.h"
#include "cpu/vmx/vmcs.h"
#include "debug/mutation.h"

#define MAX_VPID	0xffff

/* EPTP: write-back tables, four levels, no accessed and dirty bits. 25.6.11 */
#define EPTP_FLAGS	(VMX_EPTP_MT_WB | VMX_EPTP_PWL_4)

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

static struct page *__init make_region(int cpu)
{
	struct page *page = page_near(cpu);

	if (page)
		*(u32 *)page_address(page) = vmx_controls.revision;
	return page;
}

/**
 * vmx_free_vmcs - undo vmx_make_vmcs(), even if it failed
 */
void vmx_free_vmcs(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		if (c->vmxon)
			__free_page(c->vmxon);
		if (c->vmcs)
			__free_page(c->vmcs);
	}
}

/**
 * vmx_make_vmcs - at load: allocate the pages that each CPU needs
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM with some of it done.
 */
int __init vmx_make_vmcs(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		c->vmxon = make_region(cpu);
		c->vmcs = make_region(cpu);
		if (!c->vmxon || !c->vmcs)
			return -ENOMEM;
	}
	return 0;
}

/* Where there is no such field it is always 1. SDM 3C 26.3 */
static void set_tsc_ratio(struct vmx_cpu *cpu, u64 ratio)
{
	if (clock_ratio_bits)
		vmx_write(TSC_MULTIPLIER, ratio);
	cpu->tsc_ratio = ratio;
}

/**
 * vmx_renew_vmcs - reset a VMCS, and write everything that is the same for all guests
 * @cpu: this CPU's, which is in VMX operation
 *
 * Context: preemption off. The VMCS is current afterwards.
 */
void vmx_renew_vmcs(struct vmx_cpu *cpu)
{
	phys_addr_t vmcs = page_to_phys(cpu->vmcs);

	vmx_clear(vmcs);
	memset(page_address(cpu->vmcs), 0, PAGE_SIZE);
	*(u32 *)page_address(cpu->vmcs) = vmx_controls.revision;
	vmx_load(vmcs);
	vmx_controls_write(cpu->syscalls_open);
	set_tsc_ratio(cpu, clock_ratio(0));
	vmx_host_write(&cpu->host);
	cpu->launched = false;
	cpu->loaded = 0;
	cpu->next_vpid = MAX_VPID + 1;	/* The next new tag flushes all. */
}

static u64 eptp_of(const struct vcpu *vcpu)
{
	return __pa(vcpu->s2->root) | EPTP_FLAGS;
}

/**
 * vmx_load_state - copy a vCPU into the current VMCS
 * @cpu: this CPU's
 * @vcpu: the vCPU; vmx_run() handles what has to be known after each exit, and
 *	vmx_syscalls_write_efer() EFER
 */
void vmx_load_state(struct vmx_cpu *cpu, const struct vcpu *vcpu)
{
	const struct mayfly_vcpu_state *state = &vcpu->state;
	u64 tsc_ratio = clock_ratio(state->tsc_khz);

	vmx_load_segments(state);
	vmx_write(GUEST_RSP, state->regs[MAYFLY_RSP]);
	vmx_write(GUEST_RIP, state->rip);
	vmx_write(GUEST_RFLAGS, state->rflags);
	cpu->rip = state->rip;
	cpu->blocked = true;	/* Another guest's may have been. */
	vmx_write(GUEST_CR0, state->cr0);
	vmx_write(CR0_READ_SHADOW, state->cr0);
	vmx_write(GUEST_CR3, state->cr3);
	vmx_write(GUEST_CR4, state->cr4 | X86_CR4_VMXE);
	vmx_write(CR4_READ_SHADOW, state->cr4);
	vmx_write(GUEST_SYSENTER_CS, state->sysenter_cs);
	vmx_write(GUEST_SYSENTER_ESP, state->sysenter_esp);
	vmx_write(GUEST_SYSENTER_EIP, state->sysenter_eip);
	vmx_write(TSC_OFFSET, state->tsc_offset);
	if (unlikely(tsc_ratio != cpu->tsc_ratio) && !mutation_is(MUTATION_TSC_RATIO))
		set_tsc_ratio(cpu, tsc_ratio);
	vmx_write(EPT_POINTER, eptp_of(vcpu));
}

/**
 * vmx_save_state - copy a vCPU's state back from the current VMCS
 * @state: to fill
 */
void vmx_save_state(struct mayfly_vcpu_state *state)
{
	vmx_save_segments(state);
	state->regs[MAYFLY_RSP] = vmx_read(GUEST_RSP);
	state->rflags = vmx_read(GUEST_RFLAGS);
	state->cr3 = vmx_read(GUEST_CR3);
	state->sysenter_cs = vmx_read(GUEST_SYSENTER_CS);
	state->sysenter_esp = vmx_read(GUEST_SYSENTER_ESP);
	state->sysenter_eip = vmx_read(GUEST_SYSENTER_EIP);
}

/**
 * vmx_take_new_tag - give a vCPU a tag that is unused in this generation
 * @cpu: this CPU's
 * @vcpu: the vCPU
 *
 * A new VPID has no linear mappings; guest-physical mappings are tagged by the EPT's
 * root, which may have been another VM's.
 *
 * Context: preemption off, the VMCS is current.
 */
void vmx_take_new_tag(struct vmx_cpu *cpu, struct vcpu *vcpu)
{
	if (cpu->next_vpid > MAX_VPID) {
		cpu->generation++;
		cpu->next_vpid = 1;	/* 0 is the host's. */
		if (!mutation_is(MUTATION_SKIP_FLUSH))
			vmx_invvpid_all();
		vmx_invept(VMX_ALL, 0);
	}
	if (!mutation_is(MUTATION_SKIP_INVEPT))
		vmx_invept(VMX_ONE, eptp_of(vcpu));
	vcpu->tag = (struct vcpu_tag){
		.cpu = smp_processor_id(),
		.asid = cpu->next_vpid++,
		.generation = cpu->generation,
		.flushed = vcpu->s2->changes,
	};
	vmx_write(VIRTUAL_PROCESSOR_ID, vcpu->tag.asid);
}
