// SPDX-License-Identifier: GPL-2.0-only
/*
 * exit.c - one entry into a guest, and its exit in neutral terms.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/svm.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>

#include "cpu/backend.h"
#include "cpu/state.h"
#include "cpu/svm/denied.h"
#include "cpu/svm/entry.h"
#include "cpu/svm/vmcb.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"

/*
 * Lengths of the intercepted instructions without prefixes, for CPUs without
 * NRIP save. A guest that adds prefixes there only confuses itself.
 */
#define LENGTH_VMMCALL	3
#define LENGTH_CPUID	2
#define LENGTH_HLT	1
#define LENGTH_MSR	2

static void svm_prepare_exception(struct vmcb_control_area *control,
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

/* The exit interrupted the delivery of an exception: raise it again. 15.7.2 */
static void svm_resume_exception(const struct vmcb_control_area *control,
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
	return boot_cpu_has(X86_FEATURE_NRIPS) ? vmcb->control.next_rip - vmcb->save.rip : otherwise;
}

static void svm_memory_exit(const struct vmcb_control_area *control,
			    struct vm_exit *exit)
{
	/* APM 2 15.25.6: exit_info_1 is a page-fault error code. */
	exit->reason = MAYFLY_EXIT_MEMORY;
	exit->gpa = control->exit_info_2;
	exit->write = control->exit_info_1 & X86_PF_WRITE;
	exit->execute = control->exit_info_1 & X86_PF_INSTR;
}

static void instruction_exit(struct vm_exit *exit, u8 reason, u8 length)
{
	exit->reason = reason;
	exit->length = length;
}

static void svm_describe(const struct vmcb *vmcb, struct vm_exit *exit)
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
		svm_memory_exit(control, exit);
		break;
	case SVM_EXIT_VMMCALL:
		instruction_exit(exit, MAYFLY_EXIT_HYPERCALL,
				 length_of(vmcb, LENGTH_VMMCALL));
		break;
	case SVM_EXIT_CPUID:
		instruction_exit(exit, MAYFLY_EXIT_CPUID, length_of(vmcb, LENGTH_CPUID));
		break;
	case SVM_EXIT_HLT:
		instruction_exit(exit, MAYFLY_EXIT_HLT, length_of(vmcb, LENGTH_HLT));
		break;
	case SVM_EXIT_MSR:
		instruction_exit(exit, MAYFLY_EXIT_MSR, length_of(vmcb, LENGTH_MSR));
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
	case SVM_EXIT_SHUTDOWN:
		exit->reason = MAYFLY_EXIT_SHUTDOWN;
		break;
	default:
		exit->vector = svm_denied(code);
		exit->reason = exit->vector ? MAYFLY_EXIT_DENIED : MAYFLY_EXIT_INVALID;
		break;
	}
}

static void svm_before_entry(struct svm_cpu *cpu, struct vcpu *vcpu)
{
	struct vmcb *vmcb = cpu->vmcb;
	struct mayfly_vcpu_state *state = &vcpu->state;

	vmcb->save.rax = state->regs[MAYFLY_RAX];
	vmcb->save.rsp = state->regs[MAYFLY_RSP];
	vmcb->save.rip = state->rip;
	vmcb->save.rflags = state->rflags;
	if (unlikely(vmcb->save.dr6 != DR6_INIT)) {	/* A #DB has caused the exit. */
		vmcb->save.dr6 = DR6_INIT;
		vmcb->control.clean &= ~CLEAN_DR;
	}
	vmcb->control.event_inj = 0;
	vmcb->control.int_state = state->flags & MAYFLY_STATE_SHADOW ?
					  SVM_INTERRUPT_SHADOW_MASK : 0;
	if (unlikely(state->flags))
		svm_prepare_exception(&vmcb->control, state);
	if (unlikely(vcpu->tag.flushed != vcpu->s2->changes) &&
	    !mutation_is(MUTATION_SKIP_TAG))
		svm_take_new_tag(cpu, vcpu);
}

static void svm_after_exit(struct svm_cpu *cpu, struct vcpu *vcpu)
{
	struct vmcb *vmcb = cpu->vmcb;
	struct mayfly_vcpu_state *state = &vcpu->state;

	/* Not earlier: an entry that did not happen has flushed nothing. */
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	vmcb->control.clean = CLEAN_ALL;
	state->regs[MAYFLY_RAX] = vmcb->save.rax;
	state->regs[MAYFLY_RSP] = vmcb->save.rsp;
	state->rip = vmcb->save.rip;
	state->rflags = vmcb->save.rflags;
	/* A pending exception, if there was one, is now the CPU's. */
	state->flags = vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK ?
			       MAYFLY_STATE_SHADOW : 0;
	if (unlikely(vmcb->control.exit_int_info & SVM_EXITINTINFO_VALID))
		svm_resume_exception(&vmcb->control, state);
}

static void mutate_exit(struct vmcb *vmcb)
{
	if (mutation_is(MUTATION_SHUTDOWN) &&
	    vmcb->control.exit_code == SVM_EXIT_SHUTDOWN)
		memset(&vmcb->save, 0xa5, sizeof(vmcb->save));
}

/* The guest ends, and the VMCB may be the cause. */
static void svm_last_exit(struct svm_cpu *cpu, struct vcpu *vcpu, struct vm_exit *exit)
{
	/* A refused guest has changed nothing; QEMU saves another rip. */
	exit->refused = (u32)cpu->vmcb->control.exit_code == (u32)SVM_EXIT_ERR;
	/* After a shutdown the save area is undefined: nothing is saved. */
	if (exit->reason == MAYFLY_EXIT_INVALID) {
		if (!exit->refused)
			svm_after_exit(cpu, vcpu);
		svm_save_state(&vcpu->state, &cpu->vmcb->save);
	}
	svm_distrust(cpu);
}

/* What interrupts may change between two entries is only the LDT, if there is one. */
static void save_host(struct svm_cpu *cpu)
{
	u16 ldt;

	asm volatile("sldt %0" : "=rm" (ldt));
	if (likely(cpu->host_saved && !ldt && !cpu->host_ldt))
		return;
	svm_save_host(cpu->host_pa);
	cpu->host_ldt = ldt;
	cpu->host_saved = true;
}

/**
 * svm_run - struct backend_ops.run
 * @vcpu: loaded on this CPU
 * @exit: to fill
 */
void svm_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	/* Taken away since svm_load(): the machine is going down. */
	if (unlikely(!cpu->enabled)) {
		*exit = (struct vm_exit){ .reason = MAYFLY_EXIT_INTERRUPT };
		return;
	}
	svm_before_entry(cpu, vcpu);
	amd_clear_divider();
	save_host(cpu);
	shadow_svm_entry(cpu->vmcb, vcpu, page_to_phys(svm_iopm), page_to_phys(svm_msrpm));
	tlbmodel_enter(vcpu->s2, vcpu->id, vcpu->tag.asid,
		       cpu->vmcb->control.tlb_ctl == TLB_CONTROL_FLUSH_ALL_ASID);
	shadow_host_before(SHADOW_EXIT_ALL);
	svm_enter(cpu->vmcb_pa, vcpu->state.regs, cpu->host_pa);
	shadow_svm_exit(cpu->vmcb);
	tlbmodel_leave(vcpu->s2);
	restore_breakpoints();
	shadow_host_after(SHADOW_EXIT_ALL);
	/* VMSCAPE: the guest may have trained user space's predictions. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	mutate_exit(cpu->vmcb);
	svm_describe(cpu->vmcb, exit);
	if (likely(exit->reason < MAYFLY_EXIT_SHUTDOWN))
		svm_after_exit(cpu, vcpu);
	else
		svm_last_exit(cpu, vcpu, exit);
}
