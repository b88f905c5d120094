// SPDX-License-Identifier: GPL-2.0-only
/*
 * host.c - the host's registers around a slice, in the VMCS and outside it.
 */
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/vmx.h>

#include "compat.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/host.h"
#include "debug/mutation.h"
#include "uapi/mayfly.h"

/**
 * vmx_host_write - write the state that every exit loads into the current, new VMCS
 * @host: this CPU's; what is in it is forgotten
 *
 * Context: preemption off.
 */
void vmx_host_write(struct vmx_host *host)
{
	int cpu = smp_processor_id();
	struct desc_ptr idt;
	u64 value;

	host->cr3 = host->cr4 = host->rsp = 0;	/* None is 0: they will be written. */
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
	rdmsrq(MSR_GS_BASE, value);
	vmx_write(HOST_GS_BASE, value);
	rdmsrq(MSR_IA32_SYSENTER_CS, value);
	vmx_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrq(MSR_IA32_SYSENTER_ESP, value);
	vmx_write(HOST_IA32_SYSENTER_ESP, value);
	rdmsrq(MSR_IA32_SYSENTER_EIP, value);
	vmx_write(HOST_IA32_SYSENTER_EIP, value);
	rdmsrq(MSR_IA32_CR_PAT, value);
	vmx_write(HOST_IA32_PAT, value);
	rdmsrq(MSR_EFER, value);
	vmx_write(HOST_IA32_EFER, value);
	vmx_write(HOST_RIP, (u64)vmx_exit);
	if (mutation_is(MUTATION_HOST_FIELD))
		vmx_write(HOST_IA32_SYSENTER_CS, vmx_read(HOST_IA32_SYSENTER_CS) ^ 8);
}

/* SDM 3C 28.5 */
static void remember_segments(struct vmx_host *host)
{
	u64 fs_base;

	savesegment(ds, host->ds);
	savesegment(es, host->es);
	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	rdmsrq(MSR_FS_BASE, fs_base);
	vmx_write(HOST_FS_BASE, fs_base);
}

static void restore_segments(const struct vmx_host *host)
{
	u64 base;

	if (host->ds)
		loadsegment(ds, host->ds);
	if (host->es)
		loadsegment(es, host->es);
	if (host->fs) {
		rdmsrq(MSR_FS_BASE, base);
		loadsegment(fs, host->fs);
		wrmsrq(MSR_FS_BASE, base);
	}
	if (host->gs) {
		/* The user's base is in the MSR that swapgs uses. */
		rdmsrq(MSR_KERNEL_GS_BASE, base);
		load_gs_index(host->gs);
		wrmsrq(MSR_KERNEL_GS_BASE, base);
	}
	/* An exit makes the GDT's limit the longest, the TSS's the shortest. */
	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
}

/**
 * vmx_host_leave - begin a slice: switch registers that no interrupt handler needs
 * @host: where the host's selectors and KERNEL_GS_BASE, which is the user's, are kept
 * @state: the guest's registers
 *
 * Context: preemption off, the VMCS is current.
 */
void vmx_host_leave(struct vmx_host *host, const struct mayfly_vcpu_state *state)
{
	remember_segments(host);
	rdmsrq(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	wrmsrq(MSR_KERNEL_GS_BASE, state->kernel_gs_base);
}

/**
 * vmx_host_return - end a slice: restore those registers of the host
 * @host: after vmx_host_leave()
 * @state: where the guest's are kept
 *
 * Context: preemption off.
 */
void vmx_host_return(const struct vmx_host *host, struct mayfly_vcpu_state *state)
{
	rdmsrq(MSR_KERNEL_GS_BASE, state->kernel_gs_base);
	wrmsrq(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	restore_segments(host);
}

/**
 * vmx_switch_perf - stop perf's samples for a guest, or let them go on
 * @guest: stop them
 *
 * perf's samples (PEBS) are written to linear addresses, which in guest mode are the
 * guest's; perf knows which MSRs stop them. An NMI in between starts them again, for
 * this one entry.
 *
 * Return: true when an MSR was changed, so that it must be restored after the exit.
 */
bool vmx_switch_perf(bool guest)
{
	bool switched = false;
	int i, n;
	struct perf_guest_switch_msr *msrs = perf_guest_get_msrs(&n, NULL);

	for (i = 0; i < n; i++) {
		if (likely(msrs[i].host == msrs[i].guest))
			continue;
		wrmsrq(msrs[i].msr, guest ? msrs[i].guest : msrs[i].host);
		switched = true;
	}
	return switched;
}
