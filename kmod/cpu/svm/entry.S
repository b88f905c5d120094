/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * entry.S - into an SVM guest and back.
 *
 * VMRUN and #VMEXIT switch rax, rsp, rip, rflags, the control registers and
 * CS SS DS ES (APM 2 15.5.1); VMLOAD and VMSAVE do FS GS TR LDTR and the system
 * call MSRs (15.5.2); the other general registers are ours to switch.
 *
 * From CLGI to STGI nothing interrupts, not even an NMI. IF is set before VMRUN
 * so that a host interrupt ends the guest (V_INTR_MASKING makes host IF decide,
 * 15.21.1); at least one instruction lies between STI and VMRUN so that STI's
 * shadow is not carried into the guest.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>

#include "compat.h"
#include "cpu/entry_asm.h"

.text

/* void svm_enter(phys_addr_t vmcb, u64 *regs, phys_addr_t host) */
SYM_FUNC_START(svm_enter)
	push_callee_saved
	push	%rdx			/* host */
	push	%rsi			/* regs */

	mov	%rdi, %rax		/* VMRUN and friends take it in rax */
	mov	%rsi, %rdi

	load_guest_registers

	clgi
	sti
	vmload	%rax
	clear_buffers_before_vmrun	/* after the last NMI that could refill them */
	vmrun	%rax
	vmsave	%rax
	cli

	/* rax and rsp are the host's again, all other registers the guest's. */
	save_guest_registers
	clear_guest_registers

	mov	8(%rsp), %rax
	vmload	%rax			/* GS before anything can interrupt */

	/* Before the first RET, whose prediction the guest may have chosen. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	untrain_after_vmexit

	xor	%eax, %eax
	stgi

	add	$16, %rsp		/* regs, host */
	pop_callee_saved
	RET
SYM_FUNC_END(svm_enter)
