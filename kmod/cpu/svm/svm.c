// SPDX-License-Identifier: GPL-2.0-only
/*
 * svm.c - AMD SVM with nested paging.
 *
 * Each CPU has one control block (VMCB). What a guest may do is written into it
 * once, from constants, and never depends on a guest or a caller. A VM's compact
 * state is copied in when it starts to run here and copied out when its slice is
 * over.
 */
#include <linux/cc_platform.h>
#include <linux/gfp.h>
#include <linux/hw_breakpoint.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/svm.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>
#include <asm/virtext.h>

#include "cpu/backend.h"
#include "cpu/state.h"
#include "cpu/svm/entry.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"

/* APM 2 15.10.1 and 15.11: all ports, three times 2048 MSRs at two bits each. */
#define IOPM_ORDER	2
#define MSRPM_ORDER	1

#define DR6_INIT	0xffff0ff0

/* Lengths of the intercepted instructions without prefixes, for CPUs without
 * NRIP save. A guest that adds prefixes there only confuses itself.
 */
#define LENGTH_VMMCALL	3
#define LENGTH_CPUID	2
#define LENGTH_HLT	1
#define LENGTH_MSR	2

/**
 * struct svm_cpu - a CPU's control block
 * @vmcb: the block
 * @vmcb_pa: where it is
 * @host: page for VMSAVE of the host's state
 * @host_pa: where it is
 * @hsave: page VMRUN keeps the host in
 * @loaded: id of the VM whose state is in @vmcb, 0 none
 * @last_user: uid of the vCPU that ran last
 * @generation: of address space tags; goes up when they are used up
 * @next_asid: next unused tag of this generation
 * @max_asid: largest tag
 * @tsc_aux: the host's TSC_AUX during a slice
 * @enabled: this CPU is ours
 */
struct svm_cpu {
	struct vmcb *vmcb;
	phys_addr_t vmcb_pa;
	struct page *host;
	phys_addr_t host_pa;
	struct page *hsave;
	u64 loaded;
	uid_t last_user;
	u64 generation;
	u32 next_asid;
	u32 max_asid;
	u64 tsc_aux;
	bool enabled;
};

static DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
static struct page *iopm, *msrpm;
static bool has_nrips;

/* APM 2 15.25.3: nested tables have the format of long mode tables. */
static struct stage2_format npt_format __ro_after_init = {
	.present = _PAGE_PRESENT,
	.table = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED,
	.leaf = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY,
	.write = _PAGE_RW,
	.execute = 0,
	.no_execute = _PAGE_NX,
	.large = _PAGE_PSE,
	.owned = _PAGE_SOFTW1,
	.cow = _PAGE_SOFTW2,
	.large_pages = true,
	.large_code = true,
};

/* MSRs that VMLOAD and VMSAVE switch; a guest may have those as its own. */
static const u32 own_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR,
	MSR_CSTAR, MSR_SYSCALL_MASK, MSR_IA32_SYSENTER_CS,
	MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

static void pass_msr(u8 *bitmap, u32 msr)
{
	u32 offset = msr & 0x1fff;

	/* APM 2 15.11: 0000_xxxx, c000_xxxx, c001_xxxx at 2 KiB each. */
	if (msr >= 0xc0010000)
		bitmap += 0x1000;
	else if (msr >= 0xc0000000)
		bitmap += 0x800;
	bitmap[offset / 4] &= ~(3u << (offset % 4 * 2));
}

static int make_bitmaps(void)
{
	unsigned int i;

	iopm = alloc_pages(GFP_KERNEL, IOPM_ORDER);
	msrpm = alloc_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!iopm || !msrpm)
		return -ENOMEM;
	memset(page_address(iopm), 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(page_address(msrpm), 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(own_msrs); i++)
		pass_msr(page_address(msrpm), own_msrs[i]);
	return 0;
}

static void intercept(struct vmcb *vmcb, unsigned int bit)
{
	vmcb->control.intercepts[bit / 32] |= 1u << bit % 32;
}

static void mutate_control(struct vmcb_control_area *control)
{
	if (mutation_is(MUTATION_CONTROL))
		control->pause_filter_count = 1;
	if (mutation_is(MUTATION_INTERCEPT))
		control->intercepts[INTERCEPT_EXCEPTION] &= ~(1u << X86_TRAP_AC);
}

/* Everything that is the same for all guests, for ever. */
static void init_control(struct vmcb *vmcb)
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
		intercept(vmcb, instructions[i]);
	for (i = 0; i < ARRAY_SIZE(exceptions); i++)
		intercept(vmcb, INTERCEPT_EXCEPTION_OFFSET + exceptions[i]);
	for (i = 0; i < 16; i++) {
		intercept(vmcb, INTERCEPT_DR0_READ + i);
		intercept(vmcb, INTERCEPT_DR0_WRITE + i);
	}
	control->iopm_base_pa = page_to_phys(iopm);
	control->msrpm_base_pa = page_to_phys(msrpm);
	control->int_ctl = V_INTR_MASKING_MASK;
	control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	vmcb->save.g_pat = PAT_ALL_WB;
	vmcb->save.dr6 = DR6_INIT;
	vmcb->save.dr7 = DR7_OFF;
	mutate_control(control);
}

static void mutate_exit(struct vmcb *vmcb)
{
	if (mutation_is(MUTATION_SHUTDOWN) &&
	    vmcb->control.exit_code == SVM_EXIT_SHUTDOWN)
		memset(&vmcb->save, 0xa5, sizeof(vmcb->save));
}

/* One bit each, so that other CPUs never see the rest in between. */
static void mutate_bitmaps(void)
{
	unsigned int msr = 0x800 * 8 + (MSR_TSC_AUX & 0x1fff) * 2;

	assign_bit(msr, page_address(msrpm), !mutation_is(MUTATION_MSR_BITMAP));
	assign_bit(0x80, page_address(iopm), !mutation_is(MUTATION_IO_BITMAP));
}

static int make_cpu(struct svm_cpu *cpu)
{
	struct page *block = alloc_page(GFP_KERNEL | __GFP_ZERO);

	cpu->host = alloc_page(GFP_KERNEL | __GFP_ZERO);
	cpu->hsave = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (block) {
		cpu->vmcb = page_address(block);
		cpu->vmcb_pa = page_to_phys(block);
	}
	if (!block || !cpu->host || !cpu->hsave)
		return -ENOMEM;
	cpu->host_pa = page_to_phys(cpu->host);
	init_control(cpu->vmcb);
	return 0;
}

static void free_cpu(struct svm_cpu *cpu)
{
	if (cpu->vmcb)
		__free_page(virt_to_page(cpu->vmcb));
	if (cpu->host)
		__free_page(cpu->host);
	if (cpu->hsave)
		__free_page(cpu->hsave);
}

static void svm_teardown(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		free_cpu(per_cpu_ptr(&svm_cpus, cpu));
	if (iopm)
		__free_pages(iopm, IOPM_ORDER);
	if (msrpm)
		__free_pages(msrpm, MSRPM_ORDER);
}

static int svm_setup(void)
{
	int cpu, ret;

	if (!cpu_has_svm(NULL))
		return -ENODEV;
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_err("mayfly: no support for hosts with encrypted memory (mem_encrypt=on)\n");
		return -EOPNOTSUPP;
	}
	if (!boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("mayfly: SVM without nested paging\n");
		return -EOPNOTSUPP;
	}
	/* A guest's tables could make the CPU report errors that end the host. */
	if (boot_cpu_has_bug(X86_BUG_AMD_TLB_MMATCH)) {
		pr_err("mayfly: no support for CPUs with erratum 383 (family 10h)\n");
		return -EOPNOTSUPP;
	}
	has_nrips = boot_cpu_has(X86_FEATURE_NRIPS);
	/* Nested tables have as many levels as the host's own. APM 2 15.25.3 */
	npt_format.levels = pgtable_l5_enabled() ? 5 : 4;
	ret = make_bitmaps();
	for_each_possible_cpu(cpu)
		if (!ret)
			ret = make_cpu(per_cpu_ptr(&svm_cpus, cpu));
	if (ret)
		svm_teardown();
	return ret;
}

static int svm_enable_cpu(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);
	u64 efer, vm_cr;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	rdmsrl(MSR_VM_CR, vm_cr);
	if (vm_cr & SVM_VM_CR_SVM_DIS_MASK)
		return -EIO;
	cpu->max_asid = cpuid_ebx(SVM_CPUID_FUNC) - 1;
	cpu->next_asid = cpu->max_asid + 1;	/* Somebody else's tags are in the TLB. */
	cpu->loaded = 0;
	cpu->last_user = NOBODY;	/* Another hypervisor's guest may have been here. */
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, page_to_phys(cpu->hsave));
	cpu->enabled = true;
	return 0;
}

static void svm_disable_cpu(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (!cpu->enabled)
		return;
	cpu->enabled = false;
	cpu_svm_disable();
}

static void load_segment(struct vmcb_seg *to,
			 const struct mayfly_segment_register *from)
{
	to->selector = from->selector;
	to->attrib = from->attributes;
	to->limit = from->limit;
	to->base = from->base;
}

static void save_segment(struct mayfly_segment_register *to,
			 const struct vmcb_seg *from)
{
	to->selector = from->selector;
	to->attributes = from->attrib & 0xfff;
	to->limit = from->limit;
	to->base = from->base;
}

static void load_state(struct vmcb_save_area *save,
		       const struct mayfly_vcpu_state *state)
{
	load_segment(&save->cs, &state->cs);
	load_segment(&save->ss, &state->ss);
	load_segment(&save->ds, &state->ds);
	load_segment(&save->es, &state->es);
	load_segment(&save->fs, &state->fs);
	load_segment(&save->gs, &state->gs);
	load_segment(&save->ldtr, &state->ldtr);
	load_segment(&save->tr, &state->tr);
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

static void save_state(struct mayfly_vcpu_state *state,
		       const struct vmcb_save_area *save)
{
	save_segment(&state->cs, &save->cs);
	save_segment(&state->ss, &save->ss);
	save_segment(&state->ds, &save->ds);
	save_segment(&state->es, &save->es);
	save_segment(&state->fs, &save->fs);
	save_segment(&state->gs, &save->gs);
	save_segment(&state->ldtr, &save->ldtr);
	save_segment(&state->tr, &save->tr);
	/* A null SS keeps its DPL, and that is the CPL. APM 2 15.5.1 */
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

/* A tag nobody has used in this generation: nothing stale can be under it. */
static void take_new_tag(struct svm_cpu *cpu, struct vcpu *vcpu)
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
}

/* A debugger that steps the calling thread by branches does not step the guest. */
static void hide_block_stepping(bool hide)
{
	if (likely(!test_thread_flag(TIF_BLOCKSTEP)))
		return;
	if (hide)
		update_debugctlmsr(get_debugctlmsr() & ~DEBUGCTLMSR_BTF);
	else
		update_debugctlmsr(get_debugctlmsr() | DEBUGCTLMSR_BTF);
}

static void load_vcpu(struct svm_cpu *cpu, struct vcpu *vcpu)
{
	struct vmcb_control_area *control = &cpu->vmcb->control;

	load_state(&cpu->vmcb->save, &vcpu->state);
	control->tsc_offset = vcpu->tsc_offset;
	control->nested_cr3 = __pa(vcpu->s2->root);
	control->asid = vcpu->tag.asid;
	cpu->loaded = vcpu->id;
	vcpu->state_changed = false;
}

/* RDPID cannot be intercepted: it would tell a guest which CPU it is on. */
static void hide_cpu_number(struct svm_cpu *cpu)
{
	if (!cpu_feature_enabled(X86_FEATURE_RDPID))
		return;
	rdmsrl(MSR_TSC_AUX, cpu->tsc_aux);
	wrmsrl(MSR_TSC_AUX, 0);
}

static void show_cpu_number(const struct svm_cpu *cpu)
{
	if (cpu_feature_enabled(X86_FEATURE_RDPID))
		wrmsrl(MSR_TSC_AUX, cpu->tsc_aux);
}

/*
 * After a shutdown the save area is undefined (APM 2 15.14.3), after a refused
 * entry the tags may not have been flushed: start afresh with the next VM.
 */
static void distrust(struct svm_cpu *cpu)
{
	clear_page(cpu->vmcb);
	init_control(cpu->vmcb);
	cpu->loaded = 0;
	cpu->generation++;	/* Whose tag was to be flushed has none. */
	cpu->next_asid = cpu->max_asid + 1;
}

/* With another rule to break, all that is made once is made again. */
static void mutate(struct svm_cpu *cpu)
{
	if (!mutation_is_new())
		return;
	mutate_bitmaps();
	distrust(cpu);
}

static int svm_load(struct vcpu *vcpu)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (!cpu->enabled)
		return -EAGAIN;
	mutate(cpu);
	hide_block_stepping(true);
	hide_cpu_number(cpu);
	change_user(&cpu->last_user, vcpu->uid);
	if (cpu->loaded != vcpu->id || vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->state_changed)
		load_vcpu(cpu, vcpu);
	if (vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->tag.generation != cpu->generation)
		take_new_tag(cpu, vcpu);
	shadow_svm_bitmaps(page_address(iopm), page_address(msrpm));
	return 0;
}

static void svm_save(struct vcpu *vcpu)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (cpu->loaded == vcpu->id)
		save_state(&vcpu->state, &cpu->vmcb->save);
	show_cpu_number(cpu);
	hide_block_stepping(false);
}

static void prepare_exception(struct vmcb_control_area *control,
			      struct mayfly_vcpu_state *state)
{
	if (!(state->flags & MAYFLY_STATE_EXCEPTION))
		return;
	control->event_inj = state->exception | SVM_EVTINJ_TYPE_EXEPT |
			     SVM_EVTINJ_VALID;
	if (state_has_error_code(state->exception))
		control->event_inj |= SVM_EVTINJ_VALID_ERR;
	control->event_inj_err = state->error_code;
	state_raised(state);
}

/* An exit in the middle of raising an exception: raise it again. 15.7.2 */
static void resume_exception(const struct vmcb_control_area *control,
			     struct mayfly_vcpu_state *state)
{
	u32 info = control->exit_int_info;
	u32 vector = info & SVM_EXITINTINFO_VEC_MASK;

	if ((info & SVM_EXITINTINFO_TYPE_MASK) != SVM_EXITINTINFO_TYPE_EXEPT)
		return;	/* INT n is executed again. */
	if (vector == X86_TRAP_BP || vector == X86_TRAP_OF)
		return;	/* So are INT3 and INTO. */
	state_raise(state, vector, info & SVM_EXITINTINFO_VALID_ERR ?
					   control->exit_int_info_err : 0);
}

static void debug_exception(struct vm_exit *exit)
{
	/* #VMEXIT leaves the guest's DR6 behind; the host would take it for its own. */
	set_debugreg(DR6_RESERVED, 6);
	exit->reason = MAYFLY_EXIT_EXCEPTION;
	exit->vector = X86_TRAP_DB;
}

static u8 length_of(const struct vmcb *vmcb, u8 otherwise)
{
	return has_nrips ? vmcb->control.next_rip - vmcb->save.rip : otherwise;
}

static void memory_exit(const struct vmcb_control_area *control,
			struct vm_exit *exit)
{
	/* APM 2 15.25.6: exit_info_1 is a page-fault error code. */
	exit->reason = MAYFLY_EXIT_MEMORY;
	exit->gpa = control->exit_info_2;
	exit->write = control->exit_info_1 & X86_PF_WRITE;
	exit->execute = control->exit_info_1 & X86_PF_INSTR;
}

static void instruction(struct vm_exit *exit, u8 reason, u8 length)
{
	exit->reason = reason;
	exit->length = length;
}

static void describe(const struct vmcb *vmcb, struct vm_exit *exit)
{
	const struct vmcb_control_area *control = &vmcb->control;
	u32 code = control->exit_code;

	*exit = (struct vm_exit){ .cpl = vmcb->save.cpl, .detail = code };
	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
		exit->reason = MAYFLY_EXIT_INTERRUPT;
		break;
	case SVM_EXIT_NPF:
		memory_exit(control, exit);
		break;
	case SVM_EXIT_VMMCALL:
		instruction(exit, MAYFLY_EXIT_HYPERCALL,
			    length_of(vmcb, LENGTH_VMMCALL));
		break;
	case SVM_EXIT_CPUID:
		instruction(exit, MAYFLY_EXIT_CPUID, length_of(vmcb, LENGTH_CPUID));
		break;
	case SVM_EXIT_HLT:
		instruction(exit, MAYFLY_EXIT_HLT, length_of(vmcb, LENGTH_HLT));
		break;
	case SVM_EXIT_MSR:
		instruction(exit, MAYFLY_EXIT_MSR, length_of(vmcb, LENGTH_MSR));
		exit->write = control->exit_info_1;
		break;
	case SVM_EXIT_EXCP_BASE + X86_TRAP_DB:
		debug_exception(exit);
		break;
	case SVM_EXIT_EXCP_BASE + X86_TRAP_AC:
		exit->reason = MAYFLY_EXIT_EXCEPTION;
		exit->vector = X86_TRAP_AC;
		break;
	case SVM_EXIT_EXCP_BASE + X86_TRAP_MC:
		machine_check(exit);
		break;
	case SVM_EXIT_WRITE_CR0:
	case SVM_EXIT_WRITE_CR4:
	case SVM_EXIT_READ_CR8:
	case SVM_EXIT_WRITE_CR8:
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
	case SVM_EXIT_IOIO:
	case SVM_EXIT_RDPMC:
	case SVM_EXIT_WBINVD:
	case SVM_EXIT_INVD:
		denied(exit, X86_TRAP_GP);
		break;
	case SVM_EXIT_RDTSC:	/* QEMU 7.2 reports RDTSCP so */
	case SVM_EXIT_RDTSCP:
	case SVM_EXIT_RSM:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_ICEBP:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_MWAIT_COND:
	case SVM_EXIT_XSETBV:
	case SVM_EXIT_RDPRU:
	case SVM_EXIT_INVPCID:
		denied(exit, X86_TRAP_UD);
		break;
	case SVM_EXIT_SHUTDOWN:
		exit->reason = MAYFLY_EXIT_SHUTDOWN;
		break;
	default:
		exit->reason = MAYFLY_EXIT_INVALID;
		break;
	}
}

static void before_entry(struct svm_cpu *cpu, struct vcpu *vcpu)
{
	struct vmcb *vmcb = cpu->vmcb;
	struct mayfly_vcpu_state *state = &vcpu->state;

	vmcb->save.rax = state->regs[MAYFLY_RAX];
	vmcb->save.rsp = state->regs[MAYFLY_RSP];
	vmcb->save.rip = state->rip;
	vmcb->save.rflags = state->rflags;
	vmcb->save.dr6 = DR6_INIT;
	vmcb->control.event_inj = 0;
	vmcb->control.int_state = state->flags & MAYFLY_STATE_SHADOW ?
					  SVM_INTERRUPT_SHADOW_MASK : 0;
	if (unlikely(state->flags))
		prepare_exception(&vmcb->control, state);
	if (unlikely(vcpu->tag.flushed != vcpu->s2->changes) &&
	    !mutation_is(MUTATION_SKIP_TAG))
		take_new_tag(cpu, vcpu);
}

static void after_exit(struct svm_cpu *cpu, struct vcpu *vcpu)
{
	struct vmcb *vmcb = cpu->vmcb;
	struct mayfly_vcpu_state *state = &vcpu->state;

	/* Not before: an entry that was called off has flushed nothing. */
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	state->regs[MAYFLY_RAX] = vmcb->save.rax;
	state->regs[MAYFLY_RSP] = vmcb->save.rsp;
	state->rip = vmcb->save.rip;
	state->rflags = vmcb->save.rflags;
	/* Its exception, if it had one, has been taken over by the CPU. */
	state->flags = vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK ?
			       MAYFLY_STATE_SHADOW : 0;
	if (unlikely(vmcb->control.exit_int_info & SVM_EXITINTINFO_VALID))
		resume_exception(&vmcb->control, state);
}

/* The guest does not go on, and it may be the control block's fault. */
static void last_exit(struct svm_cpu *cpu, struct vcpu *vcpu, struct vm_exit *exit)
{
	/* Who was refused has changed nothing; QEMU saves another rip. */
	exit->refused = cpu->vmcb->control.exit_code == (u32)SVM_EXIT_ERR;
	/* After a shutdown there is nothing true to be saved. */
	if (exit->reason == MAYFLY_EXIT_INVALID) {
		if (!exit->refused)
			after_exit(cpu, vcpu);
		save_state(&vcpu->state, &cpu->vmcb->save);
	}
	distrust(cpu);
}

/* Not static only for the static call, whose type it gives. */
void svm_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	/* Taken away since svm_load(): the machine is going down. */
	if (unlikely(!cpu->enabled)) {
		*exit = (struct vm_exit){ .reason = MAYFLY_EXIT_INTERRUPT };
		return;
	}
	before_entry(cpu, vcpu);
	amd_clear_divider();
	/* Each time: an interrupt may have changed LDTR since the last one. */
	svm_save_host(cpu->host_pa);
	shadow_svm_entry(cpu->vmcb, vcpu, page_to_phys(iopm), page_to_phys(msrpm));
	tlbmodel_enter(vcpu->s2, vcpu->id, vcpu->tag.asid,
		       cpu->vmcb->control.tlb_ctl == TLB_CONTROL_FLUSH_ALL_ASID);
	shadow_host_before(SHADOW_EXIT_ALL);
	svm_enter(cpu->vmcb_pa, vcpu->state.regs, cpu->host_pa);
	tlbmodel_leave(vcpu->s2);
	/* #VMEXIT has cleared DR7. APM 2 15.6 */
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	shadow_host_after(SHADOW_EXIT_ALL);
	/* VMSCAPE: the guest trained what user space will be predicted with. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	mutate_exit(cpu->vmcb);
	describe(cpu->vmcb, exit);
	if (likely(exit->reason < MAYFLY_EXIT_SHUTDOWN))
		after_exit(cpu, vcpu);
	else
		last_exit(cpu, vcpu, exit);
}

const struct backend_ops svm_ops = {
	.name = "SVM",
	.id = 1,
	.stub = { 0x0f, 0x01, 0xd9, 0xc3,	/* vmmcall; ret */
		  0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
		  0xcc, 0xcc },
	.stage2 = &npt_format,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.enable_cpu = svm_enable_cpu,
	.disable_cpu = svm_disable_cpu,
	.load = svm_load,
	.run = svm_run,
	.save = svm_save,
};
