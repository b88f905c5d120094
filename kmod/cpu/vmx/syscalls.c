// SPDX-License-Identifier: GPL-2.0-only
/*
 * syscalls.c - STAR, LSTAR, CSTAR and SFMASK: switched for guests that use them.
 *
 * They are not in the VMCS, and to switch them takes eight WRMSRs and four RDMSRs a slice.
 * Most guests make no system calls, and theirs are zero. As long as they are, system calls
 * are closed: the host's values stay, the MSRs are intercepted, and SYSCALL and SYSRET,
 * which would use them, raise #UD, which is intercepted too. A guest that does any of
 * these has them opened, and does it again. At its next slice they are closed again if
 * they are still zero.
 */
#include <asm/msr.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "cpu/vcpu.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/syscalls.h"
#include "cpu/vmx/vmcs.h"
#include "debug/mutation.h"

/**
 * vmx_syscalls_read_host - when a CPU is taken: read the host's MSRs
 * @cpu: this CPU's
 *
 * The kernel sets them once for each CPU.
 *
 * Context: preemption off, no guest's MSRs are loaded.
 */
void vmx_syscalls_read_host(struct vmx_cpu *cpu)
{
	unsigned int i;

	for (i = 0; i < VMX_SYSCALL_MSRS; i++)
		rdmsrq(vmx_syscall_msrs[i], cpu->host_syscalls[i]);
}

/**
 * vmx_syscalls_write_efer - write a guest's EFER into the current VMCS
 * @cpu: this CPU's
 * @state: the guest's registers
 *
 * Without SCE while system calls are closed.
 */
void vmx_syscalls_write_efer(const struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state)
{
	u64 off = cpu->syscalls_open || mutation_is(MUTATION_SYSCALLS) ? 0 : EFER_SCE;

	vmx_write(GUEST_IA32_EFER, state->efer & ~off);
}

static void load_msrs(const struct mayfly_vcpu_state *state)
{
	wrmsrq(MSR_STAR, state->star);
	wrmsrq(MSR_LSTAR, state->lstar);
	wrmsrq(MSR_CSTAR, state->cstar);
	wrmsrq(MSR_SYSCALL_MASK, state->sfmask);
}

static void set_open(struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state, bool open)
{
	cpu->syscalls_open = open;
	vmx_controls_open_syscalls(open);
	vmx_syscalls_write_efer(cpu, state);
}

/**
 * vmx_syscalls_load - begin a slice
 * @cpu: this CPU's
 * @state: the guest's registers
 *
 * Context: preemption off, the VMCS is current.
 */
void vmx_syscalls_load(struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state)
{
	bool open = state->star | state->lstar | state->cstar | state->sfmask;

	if (open)
		load_msrs(state);
	if (open != cpu->syscalls_open)
		set_open(cpu, state, open);
}

/**
 * vmx_syscalls_save - end a slice: the host gets its MSRs back
 * @cpu: this CPU's, after vmx_syscalls_load()
 * @state: where the guest's are kept
 *
 * Context: preemption off.
 */
void vmx_syscalls_save(const struct vmx_cpu *cpu, struct mayfly_vcpu_state *state)
{
	unsigned int i;

	if (!cpu->syscalls_open)
		return;
	rdmsrq(MSR_STAR, state->star);
	rdmsrq(MSR_LSTAR, state->lstar);
	rdmsrq(MSR_CSTAR, state->cstar);
	rdmsrq(MSR_SYSCALL_MASK, state->sfmask);
	for (i = 0; i < VMX_SYSCALL_MSRS; i++)
		wrmsrq(vmx_syscall_msrs[i], cpu->host_syscalls[i]);
}

/**
 * vmx_syscalls_have_msr - is this one of the MSRs?
 * @msr: its number
 *
 * Return: true if so.
 */
bool vmx_syscalls_have_msr(u32 msr)
{
	unsigned int i;

	for (i = 0; i < VMX_SYSCALL_MSRS; i++)
		if (msr == vmx_syscall_msrs[i])
			return true;
	return false;
}

/**
 * vmx_syscalls_open - an exit says that the guest wants them; it repeats what it did
 * @cpu: this CPU's
 * @state: the guest's registers
 *
 * Context: interrupts off, in a slice with system calls closed.
 */
void vmx_syscalls_open(struct vmx_cpu *cpu, const struct mayfly_vcpu_state *state)
{
	load_msrs(state);
	set_open(cpu, state, true);
}
