// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmx.c - Intel VT-x with EPT and VPID.
 *
 * Each CPU has one VMCS, which never leaves it. What a guest may do is written
 * into it once (controls.c). A VM's compact state is copied in when it starts
 * to run here and copied out when its slice is over.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/hw_breakpoint.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/mmu_context.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/virtext.h>
#include <asm/vmx.h>
#include <uapi/asm/vmx.h>

#include "cpu/backend.h"
#include "cpu/state.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/l1d.h"
#include "cpu/vmx/segments.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"

#define PENDING_BS	(1u << 14)
#define MAX_VPID	0xffff

/* EPTP: write-back tables, four levels, no accessed and dirty bits. 25.6.11 */
#define EPTP_FLAGS	(VMX_EPTP_MT_WB | VMX_EPTP_PWL_4)

/* Where there is TDX, these exit unconditionally; the kernel's header is older. */
#ifndef EXIT_REASON_SEAMCALL
#define EXIT_REASON_SEAMCALL	76
#define EXIT_REASON_TDCALL	77
#endif

/* SDM 3C 29.3.2; memory type write-back, whatever the guest's PAT says. */
static struct stage2_format ept_format __ro_after_init = {
	.present = VMX_EPT_RWX_MASK,
	.table = VMX_EPT_RWX_MASK,
	.leaf = VMX_EPT_READABLE_MASK | VMX_EPT_IPAT_BIT |
		6ull << VMX_EPT_MT_EPTE_SHIFT,
	.write = VMX_EPT_WRITABLE_MASK,
	.execute = VMX_EPT_EXECUTABLE_MASK,
	.no_execute = 0,
	.large = 1ull << 7,
	.owned = 1ull << 58,
	.cow = 1ull << 59,
	.levels = 4,
};

/**
 * struct vmx_cpu - a CPU's VMCS and what an exit does not give back
 * @vmxon: page for VMXON
 * @vmcs: the VMCS
 * @launched: VMRESUME it
 * @enabled: this CPU is ours
 * @loaded: id of the VM whose state is in @vmcs, 0 none
 * @last_user: uid of the vCPU that ran last
 * @generation: of tags; goes up when VPIDs are used up
 * @next_vpid: next unused VPID of this generation
 * @host_msrs: the host's vmx_syscall_msrs during a slice
 * @perf_switched: perf's MSRs are other ones during an entry
 * @host_debugctl: the host's DEBUGCTL during an entry
 * @ldt: selector during an entry
 * @ds: selector during a slice
 * @es: selector
 * @fs: selector
 * @gs: selector
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
	u64 host_msrs[VMX_SYSCALL_MSRS];
	bool perf_switched;
	u64 host_debugctl;
	u16 ldt, ds, es, fs, gs;
};

static DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

static struct page *__init make_region(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	if (page)
		*(u32 *)page_address(page) = vmx_controls.revision;
	return page;
}

static void vmx_teardown(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		if (c->vmxon)
			__free_page(c->vmxon);
		if (c->vmcs)
			__free_page(c->vmcs);
	}
	vmx_controls_teardown();
	vmx_l1d_teardown();
}

static int __init vmx_setup(void)
{
	int cpu, ret;

	if (!cpu_has_vmx())
		return -ENODEV;
	if (pgtable_l5_enabled() || !boot_cpu_has(X86_FEATURE_TSC)) {
		pr_err("mayfly: VT-x with five levels of paging is not supported\n");
		return -EOPNOTSUPP;
	}
	ret = vmx_controls_setup();
	ept_format.large_pages = vmx_controls.large_pages;
	/* Some CPUs machine-check on code in large pages (CVE-2018-12207). */
	ept_format.large_code = !boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT);
	shadow_vmx_setup();
	if (!ret)
		ret = vmx_l1d_setup();
	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		if (ret)
			break;
		c->vmxon = make_region();
		c->vmcs = make_region();
		if (!c->vmxon || !c->vmcs)
			ret = -ENOMEM;
	}
	if (ret)
		vmx_teardown();
	return ret;
}

static void write_host(int cpu)
{
	struct desc_ptr idt;
	u64 value;

	vmx_write(HOST_CR0, read_cr0());
	vmx_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmx_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmx_write(HOST_DS_SELECTOR, 0);
	vmx_write(HOST_ES_SELECTOR, 0);
	vmx_write(HOST_FS_SELECTOR, 0);
	vmx_write(HOST_GS_SELECTOR, 0);
	vmx_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmx_write(HOST_TR_BASE, (u64)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmx_write(HOST_GDTR_BASE, (u64)get_cpu_gdt_ro(cpu));
	store_idt(&idt);
	vmx_write(HOST_IDTR_BASE, idt.address);
	rdmsrl(MSR_GS_BASE, value);
	vmx_write(HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmx_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmx_write(HOST_IA32_SYSENTER_ESP, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmx_write(HOST_IA32_SYSENTER_EIP, value);
	rdmsrl(MSR_IA32_CR_PAT, value);
	vmx_write(HOST_IA32_PAT, value);
	rdmsrl(MSR_EFER, value);
	vmx_write(HOST_IA32_EFER, value);
	vmx_write(HOST_RIP, (u64)vmx_exit);
	if (mutation_is(MUTATION_HOST_FIELD))
		vmx_write(HOST_IA32_SYSENTER_CS, vmx_read(HOST_IA32_SYSENTER_CS) ^ 8);
}

/* A VMCS as new, with everything in it that no guest changes. */
static void renew_vmcs(struct vmx_cpu *cpu)
{
	phys_addr_t vmcs = page_to_phys(cpu->vmcs);

	vmx_clear(vmcs);
	memset(page_address(cpu->vmcs), 0, PAGE_SIZE);
	*(u32 *)page_address(cpu->vmcs) = vmx_controls.revision;
	vmx_load(vmcs);
	vmx_controls_write();
	write_host(smp_processor_id());
	cpu->launched = false;
	cpu->loaded = 0;
	cpu->next_vpid = MAX_VPID + 1;	/* The next one to take a tag flushes all. */
}

static int vmx_enable_cpu(void)
{
	const u64 wanted = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);
	u64 feature_control;
	int ret;

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	rdmsrl(MSR_IA32_FEAT_CTL, feature_control);
	if ((feature_control & wanted) != wanted)
		return -EIO;
	/* Some CPUs trace no more while VT-x is on, and perf must not try. SDM 3D A.6 */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	ret = vmx_on(page_to_phys(cpu->vmxon));
	if (ret) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return ret;
	}
	cpu->last_user = NOBODY;	/* Another hypervisor's guest may have been here. */
	renew_vmcs(cpu);
	cpu->enabled = true;
	return 0;
}

static void vmx_disable_cpu(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (!cpu->enabled)
		return;
	cpu->enabled = false;
	vmx_clear(page_to_phys(cpu->vmcs));
	vmx_off();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

/* Between two instructions of the functions above, if it must be. */
static void vmx_emergency(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (cpu->enabled) {
		cpu->enabled = false;
		vmx_clear(page_to_phys(cpu->vmcs));
	}
	__cpu_emergency_vmxoff();
}

static u64 eptp_of(const struct vcpu *vcpu)
{
	return __pa(vcpu->s2->root) | EPTP_FLAGS;
}

static void load_state(const struct vcpu *vcpu)
{
	const struct mayfly_vcpu_state *state = &vcpu->state;

	vmx_load_segments(state);
	vmx_write(GUEST_CR0, state->cr0);
	vmx_write(CR0_READ_SHADOW, state->cr0);
	vmx_write(GUEST_CR3, state->cr3);
	vmx_write(GUEST_CR4, state->cr4 | X86_CR4_VMXE);
	vmx_write(CR4_READ_SHADOW, state->cr4);
	vmx_write(GUEST_IA32_EFER, state->efer);
	vmx_write(GUEST_SYSENTER_CS, state->sysenter_cs);
	vmx_write(GUEST_SYSENTER_ESP, state->sysenter_esp);
	vmx_write(GUEST_SYSENTER_EIP, state->sysenter_eip);
	vmx_write(TSC_OFFSET, vcpu->tsc_offset);
	vmx_write(EPT_POINTER, eptp_of(vcpu));
}

/* The order of vmx_syscall_msrs. */
static void switch_msrs_in(struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state)
{
	unsigned int i;

	for (i = 0; i < VMX_SYSCALL_MSRS; i++)
		rdmsrl(vmx_syscall_msrs[i], cpu->host_msrs[i]);
	wrmsrl(MSR_STAR, state->star);
	wrmsrl(MSR_LSTAR, state->lstar);
	wrmsrl(MSR_CSTAR, state->cstar);
	wrmsrl(MSR_SYSCALL_MASK, state->sfmask);
	wrmsrl(MSR_KERNEL_GS_BASE, state->kernel_gs_base);
}

static void switch_msrs_out(struct vmx_cpu *cpu, struct mayfly_vcpu_state *state)
{
	unsigned int i;

	rdmsrl(MSR_STAR, state->star);
	rdmsrl(MSR_LSTAR, state->lstar);
	rdmsrl(MSR_CSTAR, state->cstar);
	rdmsrl(MSR_SYSCALL_MASK, state->sfmask);
	rdmsrl(MSR_KERNEL_GS_BASE, state->kernel_gs_base);
	for (i = 0; i < VMX_SYSCALL_MSRS; i++)
		wrmsrl(vmx_syscall_msrs[i], cpu->host_msrs[i]);
}

/* What an exit clears and no interrupt handler needs: selectors. SDM 3C 28.5 */
static void remember_host(struct vmx_cpu *cpu)
{
	u64 fs_base;

	savesegment(ds, cpu->ds);
	savesegment(es, cpu->es);
	savesegment(fs, cpu->fs);
	savesegment(gs, cpu->gs);
	rdmsrl(MSR_FS_BASE, fs_base);
	vmx_write(HOST_FS_BASE, fs_base);
}

static void restore_host(struct vmx_cpu *cpu)
{
	u64 base;

	if (cpu->ds)
		loadsegment(ds, cpu->ds);
	if (cpu->es)
		loadsegment(es, cpu->es);
	if (cpu->fs) {
		rdmsrl(MSR_FS_BASE, base);
		loadsegment(fs, cpu->fs);
		wrmsrl(MSR_FS_BASE, base);
	}
	if (cpu->gs) {
		/* The user's base is where swapgs will find it. */
		rdmsrl(MSR_KERNEL_GS_BASE, base);
		load_gs_index(cpu->gs);
		wrmsrl(MSR_KERNEL_GS_BASE, base);
	}
	/* The exit has made both as long as they can be, or as short. */
	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
}

/*
 * perf's samples (PEBS) go to linear addresses, which in a guest are the guest's;
 * perf knows which MSRs stop them. An NMI in between starts them again, for this
 * one entry. True when there was something to do, and so will be after the exit.
 */
static bool switch_perf(bool guest)
{
	bool switched = false;
	int i, n;
	struct perf_guest_switch_msr *msrs = perf_guest_get_msrs(&n, NULL);

	for (i = 0; i < n; i++) {
		if (likely(msrs[i].host == msrs[i].guest))
			continue;
		wrmsrl(msrs[i].msr, guest ? msrs[i].guest : msrs[i].host);
		switched = true;
	}
	return switched;
}

/*
 * What an exit clears and interrupts between two entries may change: a kernel
 * thread's address space goes with its user, and the LDT with it; perf turns
 * branch traces on and off. To load a value from before would bring back tables
 * and buffers that have been freed. SDM 3C 28.5
 */
static void host_before_entry(struct vmx_cpu *cpu)
{
	cpu->perf_switched = cpu_feature_enabled(X86_FEATURE_PEBS) && switch_perf(true);
	asm volatile("sldt %0" : "=rm" (cpu->ldt));
	cpu->host_debugctl = native_read_msr(MSR_IA32_DEBUGCTLMSR);
}

static void host_after_exit(const struct vmx_cpu *cpu)
{
	if (unlikely(cpu->ldt))
		asm volatile("lldt %0" : : "rm" (cpu->ldt));
	if (unlikely(cpu->host_debugctl))
		update_debugctlmsr(cpu->host_debugctl);
	/* DR7. SDM 3C 28.5.1 */
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (unlikely(cpu->perf_switched))
		switch_perf(false);
}

/*
 * A VPID nobody has used in this generation has no linear mappings; the EPT's
 * own mappings are tagged by its root, which may have been another VM's.
 */
static void take_new_tag(struct vmx_cpu *cpu, struct vcpu *vcpu)
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

/* With another rule to break, all that is made once is made again. */
static void mutate(struct vmx_cpu *cpu)
{
	if (!mutation_is_new())
		return;
	vmx_controls_mutate();
	renew_vmcs(cpu);
}

static int vmx_load_vcpu(struct vcpu *vcpu)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (!cpu->enabled)
		return -EAGAIN;
	mutate(cpu);
	remember_host(cpu);
	switch_msrs_in(cpu, &vcpu->state);
	change_user(&cpu->last_user, vcpu->uid);
	if (cpu->loaded != vcpu->id || vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->state_changed) {
		load_state(vcpu);
		vmx_write(VIRTUAL_PROCESSOR_ID, vcpu->tag.asid);
		cpu->loaded = vcpu->id;
		vcpu->state_changed = false;
	}
	if (vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->tag.generation != cpu->generation)
		take_new_tag(cpu, vcpu);
	shadow_vmx_bitmap(page_address(vmx_controls.msr_bitmap));
	return 0;
}

static void save_state(struct mayfly_vcpu_state *state)
{
	vmx_save_segments(state);
	state->cr3 = vmx_read(GUEST_CR3);
	state->sysenter_cs = vmx_read(GUEST_SYSENTER_CS);
	state->sysenter_esp = vmx_read(GUEST_SYSENTER_ESP);
	state->sysenter_eip = vmx_read(GUEST_SYSENTER_EIP);
}

static void vmx_save_vcpu(struct vcpu *vcpu)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (cpu->enabled && cpu->loaded == vcpu->id)
		save_state(&vcpu->state);
	switch_msrs_out(cpu, &vcpu->state);
	restore_host(cpu);
}

static void prepare_exception(struct mayfly_vcpu_state *state)
{
	u32 info = state->exception | INTR_TYPE_HARD_EXCEPTION | INTR_INFO_VALID_MASK;

	if (!(state->flags & MAYFLY_STATE_EXCEPTION))
		return;
	if (state_has_error_code(state->exception)) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmx_write(VM_ENTRY_EXCEPTION_ERROR_CODE, state->error_code);
	}
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, info);
	state_raised(state);
}

/* SDM 3C 27.3.1.5: shadow, IF, TF and the pending single step must agree. */
static void prepare_shadow(const struct mayfly_vcpu_state *state)
{
	bool shadow = state->flags & MAYFLY_STATE_SHADOW;
	u32 kind = state->rflags & X86_EFLAGS_IF ? GUEST_INTR_STATE_STI :
						   GUEST_INTR_STATE_MOV_SS;

	vmx_write(GUEST_INTERRUPTIBILITY_INFO, shadow ? kind : 0);
	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS,
		  shadow && state->rflags & X86_EFLAGS_TF ? PENDING_BS : 0);
}

static void before_entry(struct vmx_cpu *cpu, struct vcpu *vcpu)
{
	struct mayfly_vcpu_state *state = &vcpu->state;

	vmx_write(GUEST_RSP, state->regs[MAYFLY_RSP]);
	/* In compatibility mode what follows the last byte below 4 GiB is at 0. */
	if (unlikely(state->rip >> 32 == 1) &&
	    !(vmx_read(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK))
		state->rip = (u32)state->rip;
	vmx_write(GUEST_RIP, state->rip);
	vmx_write(GUEST_RFLAGS, state->rflags);
	vmx_write(HOST_CR3, __read_cr3());
	vmx_write(HOST_CR4, cr4_read_shadow());
	vmx_write(VMX_PREEMPTION_TIMER_VALUE, vmx_controls.timer);
	prepare_shadow(state);
	prepare_exception(state);
	if (native_read_cr2() != state->cr2)
		native_write_cr2(state->cr2);
	if (unlikely(vcpu->tag.flushed != vcpu->s2->changes) &&
	    !mutation_is(MUTATION_SKIP_TAG))
		take_new_tag(cpu, vcpu);
}

/* An exit in the middle of raising an exception: raise it again. 28.2.4 */
static void resume_exception(u32 info, struct mayfly_vcpu_state *state)
{
	/* What an instruction raises, the instruction raises again. */
	if ((info & VECTORING_INFO_TYPE_MASK) != INTR_TYPE_HARD_EXCEPTION)
		return;
	state_raise(state, info & VECTORING_INFO_VECTOR_MASK,
		    info & VECTORING_INFO_DELIVER_CODE_MASK ?
			    vmx_read(IDT_VECTORING_ERROR_CODE) : 0);
}

static void after_exit(struct vcpu *vcpu)
{
	struct mayfly_vcpu_state *state = &vcpu->state;
	u32 vectoring = vmx_read(IDT_VECTORING_INFO_FIELD);

	state->regs[MAYFLY_RSP] = vmx_read(GUEST_RSP);
	state->rip = vmx_read(GUEST_RIP);
	state->rflags = vmx_read(GUEST_RFLAGS);
	state->cr2 = native_read_cr2();
	state->flags = vmx_read(GUEST_INTERRUPTIBILITY_INFO) &
				       (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS) ?
			       MAYFLY_STATE_SHADOW : 0;
	if (unlikely(vectoring & VECTORING_INFO_VALID_MASK))
		resume_exception(vectoring, state);
}

static void exception_exit(struct vm_exit *exit)
{
	u32 info = vmx_read(VM_EXIT_INTR_INFO);
	u32 vector = info & INTR_INFO_VECTOR_MASK;
	u32 type = info & INTR_INFO_INTR_TYPE_MASK;

	if (type == INTR_TYPE_NMI_INTR) {
		exit->reason = MAYFLY_EXIT_INTERRUPT;
		vmx_do_nmi();
	} else if (type == INTR_TYPE_PRIV_SW_EXCEPTION) {
		denied(exit, X86_TRAP_UD);	/* ICEBP, whose vector is #DB's */
	} else if (vector == X86_TRAP_MC) {
		machine_check(exit);
	} else {
		exit->reason = MAYFLY_EXIT_EXCEPTION;
		exit->vector = vector;
	}
}

static void memory_exit(struct vm_exit *exit)
{
	u64 qualification = vmx_read(EXIT_QUALIFICATION);

	exit->reason = MAYFLY_EXIT_MEMORY;
	exit->gpa = vmx_read(GUEST_PHYSICAL_ADDRESS);
	exit->write = qualification & EPT_VIOLATION_ACC_WRITE;
	exit->execute = qualification & EPT_VIOLATION_ACC_INSTR;
}

static void describe(struct vm_exit *exit)
{
	u32 reason = vmx_read(VM_EXIT_REASON);

	*exit = (struct vm_exit){
		.cpl = vmx_read(GUEST_SS_AR_BYTES) >> 5 & 3,
		.length = vmx_read(VM_EXIT_INSTRUCTION_LEN),
		.refused = reason & VMX_EXIT_REASONS_FAILED_VMENTRY,
		.detail = reason,
	};
	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_PREEMPTION_TIMER:
	case EXIT_REASON_INIT_SIGNAL:
	case EXIT_REASON_SIPI_SIGNAL:
		exit->reason = MAYFLY_EXIT_INTERRUPT;
		break;
	case EXIT_REASON_EXCEPTION_NMI:
		exception_exit(exit);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		memory_exit(exit);
		break;
	case EXIT_REASON_VMCALL:
		exit->reason = MAYFLY_EXIT_HYPERCALL;
		break;
	case EXIT_REASON_CPUID:
		exit->reason = MAYFLY_EXIT_CPUID;
		break;
	case EXIT_REASON_HLT:
		exit->reason = MAYFLY_EXIT_HLT;
		break;
	case EXIT_REASON_MSR_READ:
		exit->reason = MAYFLY_EXIT_MSR;
		break;
	case EXIT_REASON_MSR_WRITE:
		exit->reason = MAYFLY_EXIT_MSR;
		exit->write = true;
		break;
	case EXIT_REASON_CR_ACCESS:
	case EXIT_REASON_DR_ACCESS:
	case EXIT_REASON_IO_INSTRUCTION:
	case EXIT_REASON_RDPMC:
	case EXIT_REASON_WBINVD:
	case EXIT_REASON_INVD:
		denied(exit, X86_TRAP_GP);
		break;
	case EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_INVPCID:
	case EXIT_REASON_RDTSCP:
	case EXIT_REASON_MWAIT_INSTRUCTION:
	case EXIT_REASON_MONITOR_INSTRUCTION:
	case EXIT_REASON_XSETBV:
	case EXIT_REASON_SEAMCALL:
	case EXIT_REASON_TDCALL:
		denied(exit, X86_TRAP_UD);
		break;
	case EXIT_REASON_TRIPLE_FAULT:
		exit->reason = MAYFLY_EXIT_SHUTDOWN;
		break;
	case EXIT_REASON_MCE_DURING_VMENTRY | VMX_EXIT_REASONS_FAILED_VMENTRY:
		/* The host hears of it from nobody else. SDM 3C 27.9 */
		machine_check(exit);
		break;
	default:
		/* Entry failures among them: which rule was broken. SDM 3C 27.8 */
		exit->reason = MAYFLY_EXIT_INVALID;
		exit->detail |= vmx_read(EXIT_QUALIFICATION) << 32;
		break;
	}
}

static void vmx_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);
	bool refused;

	/* Taken away since vmx_load_vcpu(): the machine is going down. */
	if (unlikely(!cpu->enabled)) {
		*exit = (struct vm_exit){ .reason = MAYFLY_EXIT_INTERRUPT };
		return;
	}
	before_entry(cpu, vcpu);
	shadow_vmx_entry(vcpu, page_to_phys(vmx_controls.msr_bitmap));
	tlbmodel_enter_ept(vcpu->s2, vcpu->id, vcpu->tag.asid);
	host_before_entry(cpu);
	shadow_host_before(SHADOW_EXIT_FEW);
	if (static_cpu_has_bug(X86_BUG_L1TF))
		vmx_l1d_flush();
	refused = vmx_enter(vcpu->state.regs, cpu->launched);
	host_after_exit(cpu);
	tlbmodel_leave(vcpu->s2);
	shadow_host_after(SHADOW_EXIT_FEW);
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	if (unlikely(refused)) {
		*exit = (struct vm_exit){
			.reason = MAYFLY_EXIT_INVALID,
			.refused = true,
			.detail = vmx_read(VM_INSTRUCTION_ERROR),
		};
	} else {
		describe(exit);
		/* An entry that failed later has changed nothing either. */
		if (likely(!exit->refused)) {
			cpu->launched = true;
			after_exit(vcpu);
		}
	}
	if (unlikely(exit->reason == MAYFLY_EXIT_INVALID)) {
		save_state(&vcpu->state);
		/* It says nothing about a guest that can be trusted any more. */
		renew_vmcs(cpu);
	}
}

const struct backend_ops vmx_ops = {
	.name = "VT-x",
	.id = 2,
	.stub = { 0x0f, 0x01, 0xc1, 0xc3,	/* vmcall; ret */
		  0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
		  0xcc, 0xcc },
	.stage2 = &ept_format,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.enable_cpu = vmx_enable_cpu,
	.disable_cpu = vmx_disable_cpu,
	.emergency = vmx_emergency,
	.load = vmx_load_vcpu,
	.run = vmx_run,
	.save = vmx_save_vcpu,
};
