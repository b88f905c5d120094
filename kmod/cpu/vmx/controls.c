// SPDX-License-Identifier: GPL-2.0-only
/*
 * controls.c - what a guest may do with VT-x: the controls, the exceptions and
 * the MSRs. Chosen once, at load; nothing here depends on a guest or a caller.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/trapnr.h>
#include <asm/tsc.h>
#include <asm/vmx.h>

#include "cpu/clock.h"
#include "cpu/vendor.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/choice.h"
#include "cpu/vmx/controls.h"
#include "debug/mutation.h"

/* The longest time in guest mode without an exit. */
#define TIMER_MS	1
/* In IA32_VMX_MISC: the number of the TSC bit that it counts (SDM 3D A.6). */
#define TIMER_RATE	0x1f
/* After the point of the TSC multiplier (SDM 3C 26.3). */
#define TSC_MULTIPLIER_BITS 48

/* Hyper-V's nested VT-x has no such timer. Without it a slice's own ends the slice. */
static const struct vmx_choice pin_choice = {
	.want = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING,
	.like = PIN_BASED_VMX_PREEMPTION_TIMER,
};

static const struct vmx_choice cpu_choice = {
	.want = CPU_BASED_USE_TSC_OFFSETTING | CPU_BASED_HLT_EXITING |
		CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING |
		CPU_BASED_RDPMC_EXITING | CPU_BASED_CR8_LOAD_EXITING |
		CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING |
		CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS |
		CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
	/* A CPU with only the old capability MSRs may force them. */
	.unwanted = CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING |
		    CPU_BASED_INVLPG_EXITING,
};

/*
 * Unrestricted, not for guests without paging, which CR0 keeps out, but because other
 * guests cannot be entered with the SS that SYSCALL leaves where STAR has an RPL. A CPU
 * that cannot intercept RDRAND, RDSEED or ENCLS does not have it.
 */
static const struct vmx_choice cpu2_choice = {
	.want = SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID |
		SECONDARY_EXEC_WBINVD_EXITING | SECONDARY_EXEC_UNRESTRICTED_GUEST,
	.like = SECONDARY_EXEC_RDRAND_EXITING | SECONDARY_EXEC_RDSEED_EXITING |
		SECONDARY_EXEC_ENCLS_EXITING | SECONDARY_EXEC_TSC_SCALING,
};

static const struct vmx_choice exit_choice = {
	.want = VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_PAT |
		VM_EXIT_LOAD_IA32_EFER | VM_EXIT_SAVE_DEBUG_CONTROLS,
};

static const struct vmx_choice entry_choice = {
	.want = VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER |
		VM_ENTRY_LOAD_DEBUG_CONTROLS,
};

#define EXCEPTIONS	(1u << X86_TRAP_DB | 1u << X86_TRAP_AC | 1u << X86_TRAP_MC)

#define EPT_VPID_WANTED	(VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | \
			 VMX_EPT_INVEPT_BIT | VMX_EPT_EXTENT_CONTEXT_BIT | \
			 VMX_EPT_EXTENT_GLOBAL_BIT | \
			 (u64)(VMX_VPID_INVVPID_BIT | \
			       VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT) << 32)

struct vmx_controls vmx_controls;

const u32 vmx_syscall_msrs[VMX_SYSCALL_MSRS] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
};

/*
 * The VMCS switches these, and host.c the one that SWAPGS uses. The guest has its own of
 * these and of the above.
 */
static const u32 own_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP, MSR_KERNEL_GS_BASE,
};

static int __init choose_control(u32 *result, const char *what, struct vmx_choice choice,
				 u32 msr, u32 true_msr)
{
	u64 basic, capability;

	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	rdmsrq(basic & VMX_BASIC_TRUE_CTLS ? true_msr : msr, capability);
	if (vmx_choose(capability, choice, result))
		return 0;
	pr_err("mayfly: VT-x lacks %s controls: %#x wanted, %#x unwanted, the CPU has %#llx\n",
	       what, choice.want, choice.unwanted, capability);
	return -EOPNOTSUPP;
}

static int __init choose_controls(void)
{
	u64 basic, misc, ept_vpid;
	int ret;

	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	vmx_controls.revision = basic & 0x7fffffff;
	ret = choose_control(&vmx_controls.pin, "pin-based", pin_choice,
			     MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS);
	if (!ret)
		ret = choose_control(&vmx_controls.cpu, "primary", cpu_choice,
				     MSR_IA32_VMX_PROCBASED_CTLS,
				     MSR_IA32_VMX_TRUE_PROCBASED_CTLS);
	if (!ret)
		ret = choose_control(&vmx_controls.cpu2, "secondary", cpu2_choice,
				     MSR_IA32_VMX_PROCBASED_CTLS2,
				     MSR_IA32_VMX_PROCBASED_CTLS2);
	if (!ret)
		ret = choose_control(&vmx_controls.exit, "exit", exit_choice,
				     MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS);
	if (!ret)
		ret = choose_control(&vmx_controls.entry, "entry", entry_choice,
				     MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS);
	if (ret)
		return ret;
	rdmsrq(MSR_IA32_VMX_EPT_VPID_CAP, ept_vpid);
	if (~ept_vpid & EPT_VPID_WANTED) {
		pr_err("mayfly: VT-x lacks EPT or VPID features: %#llx missing\n",
		       ~ept_vpid & EPT_VPID_WANTED);
		return -EOPNOTSUPP;
	}
	vmx_controls.large_pages = ept_vpid & VMX_EPT_2MB_PAGE_BIT;
	if (vmx_controls.cpu2 & SECONDARY_EXEC_TSC_SCALING)
		clock_ratio_bits = TSC_MULTIPLIER_BITS;
	rdmsrq(MSR_IA32_VMX_MISC, misc);
	vmx_controls.timer = (u64)tsc_khz * TIMER_MS >>
			     (misc & TIMER_RATE);
	return 0;
}

static void __init pass_msr(u8 *bitmap, u32 msr)
{
	/* SDM 3C 25.6.9: reads low, reads high, writes low, writes high. */
	u8 *reads = bitmap + (msr >= 0xc0000000 ? 0x400 : 0);
	u32 bit = msr & 0x1fff;

	reads[bit / 8] &= ~(1 << bit % 8);
	reads[0x800 + bit / 8] &= ~(1 << bit % 8);
}

static struct page * __init make_bitmap(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	unsigned int i;

	if (!page)
		return NULL;
	memset(page_address(page), 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(own_msrs); i++)
		pass_msr(page_address(page), own_msrs[i]);
	return page;
}

static int __init make_bitmaps(void)
{
	unsigned int i;

	vmx_controls.closed_bitmap = make_bitmap();
	vmx_controls.msr_bitmap = make_bitmap();
	if (!vmx_controls.closed_bitmap || !vmx_controls.msr_bitmap)
		return -ENOMEM;
	for (i = 0; i < VMX_SYSCALL_MSRS; i++)
		pass_msr(page_address(vmx_controls.msr_bitmap), vmx_syscall_msrs[i]);
	return 0;
}

/**
 * vmx_controls_setup - at load: choose the controls; can this CPU do what we need?
 *
 * Context: may sleep.
 * Return: 0, -EOPNOTSUPP when it cannot (said in the log), -ENOMEM.
 */
int __init vmx_controls_setup(void)
{
	int ret = choose_controls();

	return ret ?: make_bitmaps();
}

/**
 * vmx_controls_teardown - at unload, or when the setup failed
 */
void vmx_controls_teardown(void)
{
	if (vmx_controls.closed_bitmap)
		__free_page(vmx_controls.closed_bitmap);
	if (vmx_controls.msr_bitmap)
		__free_page(vmx_controls.msr_bitmap);
}

/**
 * vmx_controls_open_syscalls - let the guest have system calls, or notice the next one
 * @open: it has its MSRs
 */
void vmx_controls_open_syscalls(bool open)
{
	u32 exceptions = EXCEPTIONS | (open ? 0 : 1u << X86_TRAP_UD);

	if (mutation_is(MUTATION_INTERCEPT))
		exceptions &= ~(1u << X86_TRAP_AC);
	vmx_write(MSR_BITMAP, page_to_phys(vmx_controls_bitmap(open)));
	vmx_write(EXCEPTION_BITMAP, exceptions);
}

static void mutate_controls(void)
{
	if (mutation_is(MUTATION_CONTROL))
		vmx_write(CR3_TARGET_COUNT, 1);
	if (mutation_is(MUTATION_IO_BITMAP))
		vmx_write(CPU_BASED_VM_EXEC_CONTROL,
			  vmx_controls.cpu & ~CPU_BASED_UNCOND_IO_EXITING);
}

/**
 * vmx_controls_write - write the controls into the current VMCS, which is new
 * @open: system calls are open
 */
void vmx_controls_write(bool open)
{
	vmx_write(PIN_BASED_VM_EXEC_CONTROL, vmx_controls.pin);
	vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx_controls.cpu);
	vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx_controls.cpu2);
	vmx_write(VM_EXIT_CONTROLS, vmx_controls.exit);
	vmx_write(VM_ENTRY_CONTROLS, vmx_controls.entry);
	vmx_controls_open_syscalls(open);
	vmx_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmx_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	if (vmx_controls.cpu2 & SECONDARY_EXEC_ENCLS_EXITING)
		vmx_write(ENCLS_EXITING_BITMAP, ~0ull);
	vmx_write(CR3_TARGET_COUNT, 0);
	vmx_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_write(CR0_GUEST_HOST_MASK, ~0ull);
	vmx_write(CR4_GUEST_HOST_MASK, ~0ull);
	vmx_write(VMCS_LINK_POINTER, ~0ull);
	vmx_write(GUEST_IA32_DEBUGCTL, 0);
	vmx_write(GUEST_IA32_PAT, PAT_ALL_WB);
	vmx_write(GUEST_DR7, DR7_OFF);
	vmx_write(GUEST_ACTIVITY_STATE, 0);
	/* Exits do not save how much of it is left. */
	if (vmx_controls.pin & PIN_BASED_VMX_PREEMPTION_TIMER)
		vmx_write(VMX_PREEMPTION_TIMER_VALUE, vmx_controls.timer);
	mutate_controls();
}

/* One bit, so that other CPUs never see the rest half-made. */
static void mutate_bitmap(struct page *bitmap)
{
	assign_bit(0x400 * 8 + (MSR_TSC_AUX & 0x1fff), page_address(bitmap),
		   !mutation_is(MUTATION_MSR_BITMAP));
}

/**
 * vmx_controls_mutate - rebuild the bitmaps of MSRs after the mutation changed
 */
void vmx_controls_mutate(void)
{
	mutate_bitmap(vmx_controls.msr_bitmap);
	mutate_bitmap(vmx_controls.closed_bitmap);
}
