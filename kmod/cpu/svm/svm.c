// SPDX-License-Identifier: GPL-2.0-only
/*
 * svm.c - AMD SVM with nested paging.
 *
 * A vCPU's compact state is copied into this CPU's VMCB (vmcb.c) when it starts to
 * run here, and copied out when its slice is over. exit.c does what happens in
 * between.
 */
#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/svm.h>

#include "compat.h"
#include "cpu/backend.h"
#include "cpu/clock.h"
#include "cpu/svm/srso.h"
#include "cpu/svm/vmcb.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "mem/stage2.h"

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

/* After the point of MSR_AMD64_TSC_RATIO. APM 2 15.30.5 */
#define TSC_RATIO_BITS	32

/* Set while the CPU is ours; newer kernels call it by that name. */
#define BP_SPEC_REDUCE	(1ull << 4)

static bool reduce_speculation __ro_after_init;

static bool kernel_bars_predictions(void)
{
	return boot_cpu_has(X86_FEATURE_SRSO) || boot_cpu_has(X86_FEATURE_SRSO_ALIAS) ||
	       boot_cpu_has(X86_FEATURE_ENTRY_IBPB) || boot_cpu_has(X86_FEATURE_IBPB_ON_VMEXIT);
}

static int __init choose_against_srso(void)
{
	enum srso needs = SRSO_NOTHING;

	if (boot_cpu_data.extended_cpuid_level >= 0x80000021 && !cpu_mitigations_off())
		needs = srso_needs(boot_cpu_data.x86, cpuid_eax(0x80000021));
	reduce_speculation = needs == SRSO_REDUCE;
	if (needs != SRSO_BARRIER || kernel_bars_predictions())
		return 0;
	pr_err("mayfly: guests could steer this host's returns (SRSO), and its kernel does nothing against it; newer microcode or a newer kernel does\n");
	return -EOPNOTSUPP;
}

static void set_bp_spec_reduce(bool on)
{
	u64 config;

	if (!reduce_speculation)
		return;
	rdmsrq(MSR_ZEN4_BP_CFG, config);
	wrmsrq(MSR_ZEN4_BP_CFG, on ? config | BP_SPEC_REDUCE : config & ~BP_SPEC_REDUCE);
}

/* APM 3 E.4.1. The kernel's own flag may be cleared where firmware forbids SVM. */
#define CPUID_80000001_ECX_SVM	(1u << 2)

static int __init svm_setup(void)
{
	int ret;

	if (!(cpuid_ecx(0x80000001) & CPUID_80000001_ECX_SVM))
		return -ENODEV;
	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_err("mayfly: no support for hosts with encrypted memory (mem_encrypt=on)\n");
		return -EOPNOTSUPP;
	}
	if (boot_cpu_has(X86_FEATURE_SVM) && !boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("mayfly: SVM without nested paging\n");
		return -EOPNOTSUPP;
	}
	/* A guest's tables could make the CPU report errors that end the host. */
	if (boot_cpu_has_bug(X86_BUG_AMD_TLB_MMATCH)) {
		pr_err("mayfly: no support for CPUs with erratum 383 (family 10h)\n");
		return -EOPNOTSUPP;
	}
	/* Nested tables have as many levels as the host's own. APM 2 15.25.3 */
	npt_format.levels = pgtable_l5_enabled() ? 5 : 4;
	if (boot_cpu_has(X86_FEATURE_TSCRATEMSR))
		clock_ratio_bits = TSC_RATIO_BITS;
	ret = choose_against_srso();
	if (!ret)
		ret = svm_make_blocks();
	if (ret)
		svm_free_blocks();
	return ret;
}

/* Only guests feel it, but it is not in the VMCB. Where there is no such MSR it is always 1. */
static void set_tsc_ratio(struct svm_cpu *cpu, u64 ratio)
{
	if (clock_ratio_bits)
		wrmsrq(MSR_AMD64_TSC_RATIO, ratio);
	cpu->tsc_ratio = ratio;
}

static int svm_enable_cpu(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);
	u64 efer, vm_cr;

	rdmsrq(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	rdmsrq(MSR_VM_CR, vm_cr);
	if (vm_cr & SVM_VM_CR_SVM_DIS_MASK)
		return -EIO;
	cpu->max_asid = cpuid_ebx(SVM_CPUID_FUNC) - 1;
	cpu->next_asid = cpu->max_asid + 1;	/* The TLB may have others' tags. */
	cpu->loaded = 0;
	cpu->last_user = NOBODY;	/* Another hypervisor may have run guests. */
	if (cpu_feature_enabled(X86_FEATURE_RDPID))
		rdmsrq(MSR_TSC_AUX, cpu->tsc_aux);
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	wrmsrq(MSR_VM_HSAVE_PA, page_to_phys(cpu->hsave));
	/* Another hypervisor may have left its last guest's. */
	set_tsc_ratio(cpu, clock_ratio(0));
	set_bp_spec_reduce(true);
	compat_perf_counts_guests(true);
	cpu->enabled = true;
	return 0;
}

static void svm_off(void)
{
	u64 efer;

	wrmsrq(MSR_VM_HSAVE_PA, 0);
	rdmsrq(MSR_EFER, efer);
	wrmsrq(MSR_EFER, efer & ~EFER_SVME);
}

static void svm_disable_cpu(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (!cpu->enabled)
		return;
	cpu->enabled = false;
	svm_off();
	set_tsc_ratio(cpu, clock_ratio(0));
	set_bp_spec_reduce(false);
	compat_perf_counts_guests(false);
}

/*
 * May interrupt the functions above between any two instructions, and no world switch:
 * with GIF clear, no NMI comes. But the crash itself may be one's, and then INIT and NMIs
 * wait for STGI, which is undefined where SVM is off already. APM 2 15.17
 */
static void svm_emergency(void)
{
	this_cpu_ptr(&svm_cpus)->enabled = false;
	asm volatile("1: stgi\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b) : : : "memory");
	svm_off();
}

/* A debugger that steps the calling thread by branches must not step the guest. */
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
	u64 tsc_ratio = clock_ratio(vcpu->state.tsc_khz);

	svm_load_state(&cpu->vmcb->save, &vcpu->state);
	control->tsc_offset = vcpu->state.tsc_offset;
	if (unlikely(tsc_ratio != cpu->tsc_ratio))
		set_tsc_ratio(cpu, tsc_ratio);
	control->nested_cr3 = __pa(vcpu->s2->root);
	control->asid = vcpu->tag.asid;
	if (!mutation_is(MUTATION_CLEAN))
		control->clean = 0;
	cpu->loaded = vcpu->id;
	vcpu->state_changed = false;
}

/* RDPID cannot be intercepted: it would tell a guest which CPU it is on. */
static void hide_cpu_number(void)
{
	if (cpu_feature_enabled(X86_FEATURE_RDPID))
		wrmsrq(MSR_TSC_AUX, 0);
}

static void show_cpu_number(const struct svm_cpu *cpu)
{
	if (cpu_feature_enabled(X86_FEATURE_RDPID))
		wrmsrq(MSR_TSC_AUX, cpu->tsc_aux);
}

/* One bit each, so that other CPUs never see the rest half-made. */
static void mutate_svm_bitmaps(void)
{
	unsigned int msr = 0x800 * 8 + (MSR_TSC_AUX & 0x1fff) * 2;

	assign_bit(msr, page_address(svm_msrpm), !mutation_is(MUTATION_MSR_BITMAP));
	assign_bit(0x80, page_address(svm_iopm), !mutation_is(MUTATION_IO_BITMAP));
}

/* After the mutation has changed: rebuild everything that is made once. */
static void svm_mutate(struct svm_cpu *cpu)
{
	if (!mutation_is_new())
		return;
	mutate_svm_bitmaps();
	svm_distrust(cpu);
}

static int svm_load(struct vcpu *vcpu)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (!cpu->enabled)
		return -EAGAIN;
	svm_mutate(cpu);
	hide_block_stepping(true);
	hide_cpu_number();
	cpu->host_saved = false;
	change_user(&cpu->last_user, vcpu->uid);
	if (cpu->loaded != vcpu->id || vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->state_changed)
		load_vcpu(cpu, vcpu);
	if (vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->tag.generation != cpu->generation)
		svm_take_new_tag(cpu, vcpu);
	shadow_svm_bitmaps(page_address(svm_iopm), page_address(svm_msrpm));
	return 0;
}

static void svm_save(struct vcpu *vcpu)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (cpu->loaded == vcpu->id)
		svm_save_state(&vcpu->state, &cpu->vmcb->save);
	show_cpu_number(cpu);
	hide_block_stepping(false);
}

const struct backend_ops svm_ops = {
	.name = "SVM",
	.id = 1,
	.cpu_vendor = MAYFLY_VENDOR_AMD,
	.kvm = "kvm_amd",
	.stub = { 0x0f, 0x01, 0xd9, 0xc3,	/* vmmcall; ret */
		  0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
		  0xcc, 0xcc },
	.stage2 = &npt_format,
	.setup = svm_setup,
	.teardown = svm_free_blocks,
	.enable_cpu = svm_enable_cpu,
	.disable_cpu = svm_disable_cpu,
	.emergency = CRASH_TURNS_SVM_OFF ? NULL : svm_emergency,
	.load = svm_load,
	.run = svm_run,
	.save = svm_save,
};
