/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * asm.h - VMX instructions, one each, and the world switch of entry.S.
 *
 * An instruction that fails sets CF or ZF (SDM 3C 31.2). With a current VMCS and
 * existing fields none of these can fail; a failure is a bug and WARNs.
 */
#ifndef MAYFLY_VMX_ASM_H
#define MAYFLY_VMX_ASM_H

#include <linux/bug.h>
#include <linux/mm.h>
#include <linux/types.h>
#include <asm/asm.h>

#include "debug/shadow.h"
#include "debug/tlbmodel.h"

/*
 * Firmware, or a hypervisor below, may have said that VT-x is on where it is not: then
 * this is #GP or #UD.
 */
static inline int vmx_on(phys_addr_t region)
{
	/* memory: the CPU reads the region. */
	asm goto("1: vmxon %0\n\t"
		 "jbe %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : "m" (region) : "cc", "memory" : failed);
	return 0;
failed:
	return -EIO;
}

static inline void vmx_off(void)
{
	asm volatile("vmxoff" : : : "cc", "memory");
}

/* Elsewhere than in VMX operation this is #UD (SDM 3C 31.3). */
static inline void vmx_off_if_on(void)
{
	asm volatile("1: vmxoff\n"
		     "2:\n" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
}

static inline void vmx_clear(phys_addr_t vmcs)
{
	bool failed;

	asm volatile("vmclear %1" : "=@ccbe" (failed) : "m" (vmcs) : "memory");
	WARN_ON_ONCE(failed);
}

static inline void vmx_load(phys_addr_t vmcs)
{
	bool failed;

	asm volatile("vmptrld %1" : "=@ccbe" (failed) : "m" (vmcs) : "memory");
	WARN_ON_ONCE(failed);
}

static inline u64 vmx_read(unsigned long field)
{
	bool failed;
	u64 value;

	shadow_vmx_access();
	asm volatile("vmread %2, %1" : "=@ccbe" (failed), "=r" (value)
		     : "r" (field));
	WARN_ON_ONCE(failed);
	return value;
}

static inline void vmx_write(unsigned long field, u64 value)
{
	bool failed;

	shadow_vmx_access();
	asm volatile("vmwrite %2, %1" : "=@ccbe" (failed)
		     : "r" (field), "rm" (value));
	WARN_ONCE(failed, "mayfly: VMWRITE of field %lx failed\n", field);
}

#define VMX_ONE		1
#define VMX_ALL		2

/* Invalidates translations of one EPT hierarchy, or of all. SDM 3C 31.3 */
static inline void vmx_invept(u64 type, u64 eptp)
{
	struct { u64 eptp, zero; } operand = { eptp, 0 };
	bool failed;

	asm volatile("invept %1, %2" : "=@ccbe" (failed)
		     : "m" (operand), "r" (type) : "memory");
	WARN_ON_ONCE(failed);
	tlbmodel_invept(type == VMX_ONE ? eptp & PAGE_MASK : TLBMODEL_ALL);
}

/* Invalidates translations under all VPIDs but the host's. */
static inline void vmx_invvpid_all(void)
{
	struct { u64 vpid, address; } operand = { 0, 0 };
	bool failed;

	asm volatile("invvpid %1, %2" : "=@ccbe" (failed)
		     : "m" (operand), "r" ((u64)VMX_ALL) : "memory");
	WARN_ON_ONCE(failed);
	tlbmodel_invvpid();
}

/*
 * Enters the guest of the current VMCS with its general registers except rsp in
 * @regs; returns at the next exit, interrupts off. @host_rsp is what the VMCS has as the
 * host's stack pointer. Returns true when the CPU refused before it looked at the guest's
 * state (VM_INSTRUCTION_ERROR says why).
 */
asmlinkage bool vmx_enter(u64 *regs, bool launched, u64 *host_rsp);

/* Where an exit continues; HOST_RIP. */
extern const char vmx_exit[];

/* Runs the kernel's NMI handler as if the NMI arrived now. */
asmlinkage void vmx_do_nmi(void);

#endif
