// SPDX-License-Identifier: GPL-2.0-only
/*
 * exit.c - one entry into a guest, and its exit in neutral terms.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/mmu_context.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>
#include <uapi/asm/vmx.h>

#include "cpu/state.h"
#include "cpu/vcpu.h"
#include "cpu/vendor.h"
#include "cpu/vmx/asm.h"
#include "cpu/vmx/controls.h"
#include "cpu/vmx/denied.h"
#include "cpu/vmx/exit.h"
#include "cpu/vmx/host.h"
#include "cpu/vmx/l1d.h"
#include "cpu/vmx/syscalls.h"
#include "cpu/vmx/vmcs.h"
#include "debug/mutation.h"
#include "debug/shadow.h"
#include "debug/tlbmodel.h"

#define PENDING_BS	(1u << 14)

static void vmx_prepare_exception(struct vmx_cpu *cpu, struct mayfly_vcpu_state *state)
{
	u32 info = state->exception | INTR_TYPE_HARD_EXCEPTION | INTR_INFO_VALID_MASK;

	cpu->injected = state->flags & MAYFLY_STATE_EXCEPTION;
	if (!cpu->injected)
		return;
	if (state_has_error_code(state->exception)) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmx_write(VM_ENTRY_EXCEPTION_ERROR_CODE, state->error_code);
	}
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, info);
	state_raised(state);
}

/* SDM 3C 27.3.1.5: shadow, IF, TF and the pending single step must agree. */
static void prepare_shadow(struct vmx_cpu *cpu, bool shadow)
{
	u64 rflags = vmx_read(GUEST_RFLAGS);
	u32 kind = rflags & X86_EFLAGS_IF ? GUEST_INTR_STATE_STI : GUEST_INTR_STATE_MOV_SS;

	vmx_write(GUEST_INTERRUPTIBILITY_INFO, shadow ? kind : 0);
	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS,
		  shadow && rflags & X86_EFLAGS_TF ? PENDING_BS : 0);
	cpu->blocked = shadow;
}

/*
 * Each VMWRITE is an exit, where a hypervisor below runs us. An interrupt may have given
 * a kernel thread another address space to borrow.
 */
static void update_host(struct vmx_host *host)
{
	u64 cr3 = __read_cr3(), cr4 = cr4_read_shadow();

	if (unlikely(host->cr3 != cr3)) {
		host->cr3 = cr3;
		vmx_write(HOST_CR3, cr3);
	}
	if (unlikely(host->cr4 != cr4)) {
		host->cr4 = cr4;
		vmx_write(HOST_CR4, cr4);
	}
}

static void vmx_before_entry(struct vmx_cpu *cpu, struct vcpu *vcpu)
{
	struct mayfly_vcpu_state *state = &vcpu->state;

	/* In compatibility mode the byte after the last one below 4 GiB is at 0. */
	if (unlikely(state->rip >> 32 == 1) &&
	    !(vmx_read(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK))
		state->rip = (u32)state->rip;
	if (state->rip != cpu->rip)
		vmx_write(GUEST_RIP, state->rip);
	update_host(&cpu->host);
	if (unlikely(cpu->blocked || state->flags & MAYFLY_STATE_SHADOW))
		prepare_shadow(cpu, state->flags & MAYFLY_STATE_SHADOW);
	vmx_prepare_exception(cpu, state);
	if (native_read_cr2() != state->cr2)
		native_write_cr2(state->cr2);
	if (unlikely(vcpu->tag.flushed != vcpu->s2->changes) &&
	    !mutation_is(MUTATION_SKIP_TAG))
		vmx_take_new_tag(cpu, vcpu);
}

/* The exit interrupted the delivery of an exception: raise it again. 28.2.4 */
static void vmx_resume_exception(u32 info, struct mayfly_vcpu_state *state)
{
	/* An exception raised by an instruction comes again with the instruction. */
	if ((info & VECTORING_INFO_TYPE_MASK) != INTR_TYPE_HARD_EXCEPTION)
		return;
	state_raise(state, info & VECTORING_INFO_VECTOR_MASK,
		    info & VECTORING_INFO_DELIVER_CODE_MASK ?
			    vmx_read(IDT_VECTORING_ERROR_CODE) : 0);
}

/*
 * Only these can come in the middle of a delivery, and let the guest live. 28.2.4. A
 * hypervisor below may be less exact where we have injected something.
 */
static bool may_interrupt_delivery(const struct vm_exit *exit)
{
	return exit->detail == EXIT_REASON_EXCEPTION_NMI ||
	       exit->detail == EXIT_REASON_EPT_VIOLATION;
}

static void vmx_after_exit(struct vmx_cpu *cpu, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct mayfly_vcpu_state *state = &vcpu->state;
	u32 vectoring = may_interrupt_delivery(exit) || cpu->injected ?
				vmx_read(IDT_VECTORING_INFO_FIELD) : 0;
	u32 blocked = vmx_read(GUEST_INTERRUPTIBILITY_INFO);

	state->rip = vmx_read(GUEST_RIP);
	state->cr2 = native_read_cr2();
	cpu->rip = state->rip;
	/* Blocked NMIs, which an NMI may leave, are not to stay so: they are the host's. */
	cpu->blocked = blocked;
	state->flags = blocked & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS) ?
			       MAYFLY_STATE_SHADOW : 0;
	if (unlikely(vectoring & VECTORING_INFO_VALID_MASK))
		vmx_resume_exception(vectoring, state);
}

static u8 guest_cpl(void)
{
	return vmx_read(GUEST_SS_AR_BYTES) >> 5 & 3;
}

static void instruction_exit(struct vm_exit *exit, u8 reason)
{
	exit->reason = reason;
	exit->length = vmx_read(VM_EXIT_INSTRUCTION_LEN);
}

/* These exits come only while system calls are closed. The guest goes on at once. */
static void syscall_exit(struct vcpu *vcpu, struct vm_exit *exit)
{
	vmx_syscalls_open(this_cpu_ptr(&vmx_cpus), &vcpu->state);
	exit->reason = MAYFLY_EXIT_INTERRUPT;
}

static void msr_exit(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (vmx_syscalls_have_msr(vcpu->state.regs[MAYFLY_RCX]))
		syscall_exit(vcpu, exit);
	else
		instruction_exit(exit, MAYFLY_EXIT_MSR);
}

static void exception_exit(struct vcpu *vcpu, struct vm_exit *exit)
{
	u32 info = vmx_read(VM_EXIT_INTR_INFO);
	u32 vector = info & INTR_INFO_VECTOR_MASK;
	u32 type = info & INTR_INFO_INTR_TYPE_MASK;

	if (type == INTR_TYPE_NMI_INTR) {
		exit->reason = MAYFLY_EXIT_INTERRUPT;
		vmx_do_nmi();
	} else if (type == INTR_TYPE_PRIV_SW_EXCEPTION) {
		exit->reason = MAYFLY_EXIT_DENIED;
		exit->vector = X86_TRAP_UD;	/* ICEBP, whose vector is #DB's */
	} else if (vector == X86_TRAP_MC) {
		machine_check(exit);
	} else if (vector == X86_TRAP_UD) {
		syscall_exit(vcpu, exit);
	} else {
		exit->reason = MAYFLY_EXIT_EXCEPTION;
		exit->vector = vector;
		exit->cpl = guest_cpl();
		vcpu->state.rflags = vmx_read(GUEST_RFLAGS);
	}
}

static void vmx_memory_exit(struct vm_exit *exit)
{
	u64 qualification = vmx_read(EXIT_QUALIFICATION);

	exit->reason = MAYFLY_EXIT_MEMORY;
	exit->gpa = vmx_read(GUEST_PHYSICAL_ADDRESS);
	exit->write = qualification & EPT_VIOLATION_ACC_WRITE;
	exit->execute = qualification & EPT_VIOLATION_ACC_INSTR;
}

static void vmx_describe(struct vcpu *vcpu, struct vm_exit *exit)
{
	u32 reason = vmx_read(VM_EXIT_REASON);

	*exit = (struct vm_exit){
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
		exception_exit(vcpu, exit);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		vmx_memory_exit(exit);
		break;
	case EXIT_REASON_VMCALL:
		instruction_exit(exit, MAYFLY_EXIT_HYPERCALL);
		exit->cpl = guest_cpl();
		break;
	case EXIT_REASON_CPUID:
		instruction_exit(exit, MAYFLY_EXIT_CPUID);
		break;
	case EXIT_REASON_HLT:
		instruction_exit(exit, MAYFLY_EXIT_HLT);
		break;
	case EXIT_REASON_MSR_READ:
		msr_exit(vcpu, exit);
		break;
	case EXIT_REASON_MSR_WRITE:
		msr_exit(vcpu, exit);
		exit->write = true;
		break;
	case EXIT_REASON_TRIPLE_FAULT:
		exit->reason = MAYFLY_EXIT_SHUTDOWN;
		break;
	case EXIT_REASON_MCE_DURING_VMENTRY | VMX_EXIT_REASONS_FAILED_VMENTRY:
		/* Nothing else tells the host about it, nor knows what was injected. 27.9 */
		machine_check(exit);
		exit->reason = MAYFLY_EXIT_INVALID;
		break;
	default:
		exit->vector = vmx_denied(reason);
		exit->reason = exit->vector ? MAYFLY_EXIT_DENIED : MAYFLY_EXIT_INVALID;
		/* Among the others entry failures: add which rule was broken. SDM 3C 27.8 */
		if (!exit->vector)
			exit->detail |= vmx_read(EXIT_QUALIFICATION) << 32;
		break;
	}
}

/**
 * vmx_run - struct backend_ops.run
 * @vcpu: loaded on this CPU
 * @exit: to fill
 */
void vmx_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);
	bool refused;

	/* Taken away since vmx_load_vcpu(): the machine is going down. */
	if (unlikely(!cpu->enabled)) {
		*exit = (struct vm_exit){ .reason = MAYFLY_EXIT_INTERRUPT };
		return;
	}
	vmx_before_entry(cpu, vcpu);
	shadow_vmx_entry(vcpu, page_to_phys(vmx_controls_bitmap(cpu->syscalls_open)),
			 cpu->syscalls_open);
	tlbmodel_enter_ept(vcpu->s2, vcpu->id, vcpu->tag.asid);
	vmx_host_before_entry(&cpu->host);
	shadow_host_before(SHADOW_EXIT_FEW);
	if (static_cpu_has_bug(X86_BUG_L1TF))
		vmx_l1d_flush();
	refused = vmx_enter(vcpu->state.regs, cpu->launched, &cpu->host.rsp);
	vmx_host_after_exit(&cpu->host);
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
		vmx_describe(vcpu, exit);
		/* A guest refused at a later check has changed nothing either. */
		if (likely(!exit->refused)) {
			cpu->launched = true;
			vmx_after_exit(cpu, vcpu, exit);
		}
	}
	if (unlikely(exit->reason == MAYFLY_EXIT_INVALID)) {
		vmx_save_state(&vcpu->state);
		/* The guest state in this VMCS can no longer be trusted. */
		vmx_renew_vmcs(cpu);
	}
}
