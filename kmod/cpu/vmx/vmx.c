// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmx.c - Intel VT-x with EPT and VPID.
 *
 * A vCPU's compact state is copied into this CPU's VMCS (vmcs.c) when it starts to
 * run here, and copied out when its slice is over. exit.c does what happens in
 * between.
 */
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>
#include <asm/vmx.h>

#include "cpu/backend.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/exit.h"
#include "cpu/vmx/host.h"
#include "cpu/vmx/l1d.h"
#include "cpu/vmx/syscalls.h"
#include "cpu/vmx/vmcs.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "mem/stage2.h"

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

/* SDM 2A, CPUID. The kernel's own flag is cleared where firmware forbids VT-x. */
#define CPUID_1_ECX_VMX		(1u << 5)

static void vmx_teardown(void)
{
	vmx_free_vmcs();
	vmx_controls_teardown();
	vmx_l1d_teardown();
}

static int __init vmx_setup(void)
{
	int ret;

	if (!(cpuid_ecx(1) & CPUID_1_ECX_VMX))
		return -ENODEV;
	ret = vmx_controls_setup();
	ept_format.large_pages = vmx_controls.large_pages;
	/* Some CPUs machine-check on code in large pages (CVE-2018-12207). */
	ept_format.large_code = !boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT);
	shadow_vmx_setup();
	if (!ret)
		ret = vmx_l1d_setup();
	if (!ret)
		ret = vmx_make_vmcs();
	if (ret)
		vmx_teardown();
	return ret;
}

static int vmx_enable_cpu(void)
{
	const u64 wanted = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);
	u64 feature_control;
	int ret;

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	rdmsrq(MSR_IA32_FEAT_CTL, feature_control);
	if ((feature_control & wanted) != wanted)
		return -EIO;
	/* Some CPUs cannot trace while VT-x is on; perf must not try. SDM 3D A.6 */
	intel_pt_handle_vmx(1);
	if (!mutation_is(MUTATION_VMXON))
		cr4_set_bits(X86_CR4_VMXE);
	ret = vmx_on(page_to_phys(cpu->vmxon));
	if (ret) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return ret;
	}
	cpu->last_user = NOBODY;	/* Another hypervisor may have run guests. */
	vmx_syscalls_read_host(cpu);
	vmx_renew_vmcs(cpu);
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

/* May interrupt the functions above between any two instructions. */
static void vmx_emergency(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (cpu->enabled) {
		cpu->enabled = false;
		vmx_clear(page_to_phys(cpu->vmcs));
	}
	if (__read_cr4() & X86_CR4_VMXE) {
		vmx_off_if_on();
		cr4_clear_bits(X86_CR4_VMXE);
	}
}

/* After the mutation has changed: rebuild everything that is made once. */
static void vmx_mutate(struct vmx_cpu *cpu)
{
	if (!mutation_is_new())
		return;
	vmx_controls_mutate();
	vmx_renew_vmcs(cpu);
}

static int vmx_load_vcpu(struct vcpu *vcpu)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (!cpu->enabled)
		return -EAGAIN;
	vmx_mutate(cpu);
	vmx_host_leave(&cpu->host, &vcpu->state);
	vmx_syscalls_load(cpu, &vcpu->state);
	change_user(&cpu->last_user, vcpu->uid);
	if (cpu->loaded != vcpu->id || vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->state_changed) {
		vmx_load_state(cpu, vcpu);
		vmx_syscalls_write_efer(cpu, &vcpu->state);
		vmx_write(VIRTUAL_PROCESSOR_ID, vcpu->tag.asid);
		cpu->loaded = vcpu->id;
		vcpu->state_changed = false;
	}
	if (vcpu->tag.cpu != smp_processor_id() ||
	    vcpu->tag.generation != cpu->generation)
		vmx_take_new_tag(cpu, vcpu);
	shadow_vmx_bitmap(page_address(vmx_controls_bitmap(cpu->syscalls_open)),
			  cpu->syscalls_open);
	return 0;
}

static void vmx_save_vcpu(struct vcpu *vcpu)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	if (cpu->enabled && cpu->loaded == vcpu->id)
		vmx_save_state(&vcpu->state);
	vmx_syscalls_save(cpu, &vcpu->state);
	vmx_host_return(&cpu->host, &vcpu->state);
}

const struct backend_ops vmx_ops = {
	.name = "VT-x",
	.id = 2,
	.cpu_vendor = MAYFLY_VENDOR_INTEL,
	.kvm = "kvm_intel",
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
