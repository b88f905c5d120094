// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmcb.c - VMCBs: what a guest may do, its state, and its tag.
 *
 * Each CPU has one. The controls are written into it once, from constants, and but
 * for the TSC offset never depend on a guest or a caller.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <asm/svm.h>
#include <asm/trapnr.h>

#include "cpu/svm/vmcb.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "debug/mutation.h"

/* APM 2 15.10.1 and 15.11: all ports; three ranges of MSRs, at two bits each. */
#define IOPM_ORDER	2
#define MSRPM_ORDER	1

DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
struct page *svm_iopm, *svm_msrpm;

/* MSRs that VMLOAD and VMSAVE switch; the guest has its own. */
static const u32 own_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR,
	MSR_CSTAR, MSR_SYSCALL_MASK, MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

static void svm_pass_msr(u8 *bitmap, u32 msr)
{
	u32 offset = msr & 0x1fff;

	/* APM 2 15.11: 0000_xxxx, c000_xxxx, c001_xxxx at 2 KiB each. */
	if (msr >= 0xc0010000)
		bitmap += 0x1000;
	else if (msr >= 0xc0000000)
		bitmap += 0x800;
	bitmap[offset / 4] &= ~(3u << (offset % 4 * 2));
}

static int make_svm_bitmaps(void)
{
	unsigned int i;

	svm_iopm = alloc_pages(GFP_KERNEL, IOPM_ORDER);
	svm_msrpm = alloc_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!svm_iopm || !svm_msrpm)
		return -ENOMEM;
	memset(page_address(svm_iopm), 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(page_address(svm_msrpm), 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(own_msrs); i++)
		svm_pass_msr(page_address(svm_msrpm), own_msrs[i]);
	return 0;
}

static void set_intercept(struct vmcb *vmcb, unsigned int bit)
{
	vmcb->control.intercepts[bit / 32] |= 1u << bit % 32;
}

static void mutate_vmcb(struct vmcb_control_area *control)
{
	if (mutation_is(MUTATION_CONTROL))
		control->pause_filter_count = 1;
	if (mutation_is(MUTATION_INTERCEPT))
		control->intercepts[INTERCEPT_EXCEPTION] &= ~(1u << X86_TRAP_AC);
}

/* Writes everything that is the same for all guests, at all times. */
static void init_vmcb(struct vmcb *vmcb)
{
	static const u8 instructions[] = {
		INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
		INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD,
		INTERCEPT_HLT, INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT,
		INTERCEPT_MSR_PROT, INTERCEPT_TASK_SWITCH,
		INTERCEPT_FERR_FREEZE, INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN,
		INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE,
		INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT,
		INTERCEPT_RDTSCP, INTERCEPT_ICEBP, INTERCEPT_WBINVD,
		INTERCEPT_MONITOR, INTERCEPT_MWAIT, INTERCEPT_MWAIT_COND,
		INTERCEPT_XSETBV, INTERCEPT_RDPRU, INTERCEPT_CR0_WRITE,
		INTERCEPT_CR4_WRITE, INTERCEPT_CR8_READ, INTERCEPT_CR8_WRITE,
		INTERCEPT_INVLPGB, INTERCEPT_INVLPGB_ILLEGAL, INTERCEPT_INVPCID,
		INTERCEPT_MCOMMIT, INTERCEPT_TLBSYNC,
	};
	static const u8 exceptions[] = { X86_TRAP_DB, X86_TRAP_AC, X86_TRAP_MC };
	struct vmcb_control_area *control = &vmcb->control;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(instructions); i++)
		set_intercept(vmcb, instructions[i]);
	for (i = 0; i < ARRAY_SIZE(exceptions); i++)
		set_intercept(vmcb, INTERCEPT_EXCEPTION_OFFSET + exceptions[i]);
	for (i = 0; i < 16; i++) {
		set_intercept(vmcb, INTERCEPT_DR0_READ + i);
		set_intercept(vmcb, INTERCEPT_DR0_WRITE + i);
	}
	control->iopm_base_pa = page_to_phys(svm_iopm);
	control->msrpm_base_pa = page_to_phys(svm_msrpm);
	control->int_ctl = V_INTR_MASKING_MASK;
	control->misc_ctl = SVM_MISC_ENABLE_NP;
	vmcb->save.g_pat = PAT_ALL_WB;
	vmcb->save.dr6 = DR6_INIT;
	vmcb->save.dr7 = DR7_OFF;
	mutate_vmcb(control);
}

static int make_vmcb(int number)
{
	struct svm_cpu *cpu = per_cpu_ptr(&svm_cpus, number);
	struct page *block = page_near(number);

	cpu->host = page_near(number);
	cpu->hsave = page_near(number);
	if (block) {
		cpu->vmcb = page_address(block);
		cpu->vmcb_pa = page_to_phys(block);
	}
	if (!block || !cpu->host || !cpu->hsave)
		return -ENOMEM;
	cpu->host_pa = page_to_phys(cpu->host);
	init_vmcb(cpu->vmcb);
	return 0;
}

static void free_vmcb(struct svm_cpu *cpu)
{
	if (cpu->vmcb)
		__free_page(virt_to_page(cpu->vmcb));
	if (cpu->host)
		__free_page(cpu->host);
	if (cpu->hsave)
		__free_page(cpu->hsave);
}

/**
 * svm_free_blocks - undo svm_make_blocks(), even if it failed
 */
void svm_free_blocks(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_vmcb(per_cpu_ptr(&svm_cpus, cpu));
	if (svm_iopm)
		__free_pages(svm_iopm, IOPM_ORDER);
	if (svm_msrpm)
		__free_pages(svm_msrpm, MSRPM_ORDER);
}

/**
 * svm_make_blocks - at load: make a VMCB for each CPU, and the bitmaps
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM with some of it done.
 */
int __init svm_make_blocks(void)
{
	int cpu, ret = make_svm_bitmaps();

	for_each_possible_cpu(cpu)
		if (!ret)
			ret = make_vmcb(cpu);
	return ret;
}

static void svm_load_segment(struct vmcb_seg *to,
			     const struct mayfly_segment_register *from)
{
	to->selector = from->selector;
	to->attrib = from->attributes;
	to->limit = from->limit;
	to->base = from->base;
}

static void svm_save_segment(struct mayfly_segment_register *to,
			     const struct vmcb_seg *from)
{
	to->selector = from->selector;
	to->attributes = from->attrib & 0xfff;
	to->limit = from->limit;
	to->base = from->base;
}

/**
 * svm_load_state - copy a vCPU's state into a VMCB
 * @save: the VMCB's save area
 * @state: the state; svm_run() copies the registers that change at each exit
 */
void svm_load_state(struct vmcb_save_area *save, const struct mayfly_vcpu_state *state)
{
	svm_load_segment(&save->cs, &state->cs);
	svm_load_segment(&save->ss, &state->ss);
	svm_load_segment(&save->ds, &state->ds);
	svm_load_segment(&save->es, &state->es);
	svm_load_segment(&save->fs, &state->fs);
	svm_load_segment(&save->gs, &state->gs);
	svm_load_segment(&save->ldtr, &state->ldtr);
	svm_load_segment(&save->tr, &state->tr);
	save->gdtr.base = state->gdtr.base;
	save->gdtr.limit = state->gdtr.limit;
	save->idtr.base = state->idtr.base;
	save->idtr.limit = state->idtr.limit;
	save->cpl = state->ss.attributes >> 5 & 3;
	save->efer = state->efer | EFER_SVME;
	save->cr0 = state->cr0;
	save->cr2 = state->cr2;
	save->cr3 = state->cr3;
	save->cr4 = state->cr4;
	save->star = state->star;
	save->lstar = state->lstar;
	save->cstar = state->cstar;
	save->sfmask = state->sfmask;
	save->kernel_gs_base = state->kernel_gs_base;
	save->sysenter_cs = state->sysenter_cs;
	save->sysenter_esp = state->sysenter_esp;
	save->sysenter_eip = state->sysenter_eip;
}

/**
 * svm_save_state - copy a vCPU's state back from a VMCB
 * @state: to fill
 * @save: the VMCB's save area
 */
void svm_save_state(struct mayfly_vcpu_state *state, const struct vmcb_save_area *save)
{
	svm_save_segment(&state->cs, &save->cs);
	svm_save_segment(&state->ss, &save->ss);
	svm_save_segment(&state->ds, &save->ds);
	svm_save_segment(&state->es, &save->es);
	svm_save_segment(&state->fs, &save->fs);
	svm_save_segment(&state->gs, &save->gs);
	svm_save_segment(&state->ldtr, &save->ldtr);
	svm_save_segment(&state->tr, &save->tr);
	/* A null SS keeps its DPL, which is the CPL. APM 2 15.5.1 */
	state->ss.attributes &= ~0x60;
	state->ss.attributes |= save->cpl << 5;
	state->gdtr.base = save->gdtr.base;
	state->gdtr.limit = save->gdtr.limit & 0xffff;
	state->idtr.base = save->idtr.base;
	state->idtr.limit = save->idtr.limit & 0xffff;
	state->cr0 = save->cr0;
	state->cr2 = save->cr2;
	state->cr3 = save->cr3;
	state->star = save->star;
	state->lstar = save->lstar;
	state->cstar = save->cstar;
	state->sfmask = save->sfmask;
	state->kernel_gs_base = save->kernel_gs_base;
	state->sysenter_cs = save->sysenter_cs;
	state->sysenter_esp = save->sysenter_esp;
	state->sysenter_eip = save->sysenter_eip;
}

/**
 * svm_take_new_tag - give a vCPU a tag that is unused in this generation
 * @cpu: this CPU's
 * @vcpu: the vCPU; nothing stale can be cached under its new tag
 *
 * Context: preemption off.
 */
void svm_take_new_tag(struct svm_cpu *cpu, struct vcpu *vcpu)
{
	if (cpu->next_asid > cpu->max_asid) {
		cpu->generation++;
		cpu->next_asid = 1;
		if (!mutation_is(MUTATION_SKIP_FLUSH))
			cpu->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	vcpu->tag = (struct vcpu_tag){
		.cpu = smp_processor_id(),
		.asid = cpu->next_asid++,
		.generation = cpu->generation,
		.flushed = vcpu->s2->changes,
	};
	cpu->vmcb->control.asid = vcpu->tag.asid;
	cpu->vmcb->control.clean &= ~CLEAN_ASID;
}

/**
 * svm_distrust - reset a VMCB to its initial state
 * @cpu: this CPU's
 *
 * After a shutdown the save area is undefined (APM 2 15.14.3); after a refused
 * entry the tags may not have been flushed. The next VM gets a fresh VMCB.
 *
 * Context: preemption off.
 */
void svm_distrust(struct svm_cpu *cpu)
{
	clear_page(cpu->vmcb);
	init_vmcb(cpu->vmcb);
	cpu->loaded = 0;
	cpu->generation++;	/* All tags become invalid: a flush may be lost. */
	cpu->next_asid = cpu->max_asid + 1;
}
