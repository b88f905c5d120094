// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_vmx.c - is the VMCS what the manual and our rules want? (DEBUG builds only)
 *
 * In the order of SDM 3C 25.3 to 25.8 and 27.2 to 27.3. No value of cpu/vmx/ is used:
 * control bits are written as the manual numbers them, and host fields are compared
 * with the host.
 */
#include <linux/bitmap.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/vmx.h>

#include "compat.h"
#include "cpu/clock.h"
#include "cpu/state.h"
#include "cpu/vcpu.h"
#include "cpu/vmx/asm.h"
#include "debug/shadow.h"
#include "debug/shadow_guest.h"

/* Tables 25-5 to 25-7, 25-13 and 25-15. LIKED are on where the CPU has them. */
#define PIN		(BIT(0) | BIT(3))		/* INTR NMI */
#define PIN_LIKED	BIT(6)				/* timer */
/* TSC offset, HLT, MWAIT, RDPMC, CR8 load and store, MOV DR, ports, MSR bitmaps,
 * MONITOR, secondary controls.
 */
#define PRIMARY		(BIT(3) | BIT(7) | BIT(10) | BIT(11) | BIT(19) | BIT(20) | \
			 BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(31))
/* EPT VPID WBINVD, unrestricted guest. */
#define SECONDARY	(BIT(1) | BIT(5) | BIT(6) | BIT(7))
/* RDRAND ENCLS RDSEED, TSC scaling. */
#define SECONDARY_LIKED	(BIT(11) | BIT(15) | BIT(16) | TSC_SCALING)
#define TSC_SCALING	BIT(25)
#define TSC_RATIO_ONE	BIT_ULL(48)
/* Save debug controls, 64-bit host, load PAT and EFER. */
#define EXIT		(BIT(2) | BIT(9) | BIT(19) | BIT(21))
/* Load debug controls, IA-32e guest, load PAT and EFER. */
#define ENTRY		(BIT(2) | BIT(9) | BIT(14) | BIT(15))
#define EXCEPTION	(BIT(1) | BIT(17) | BIT(18))	/* #DB #AC #MC */
#define INVALID_OPCODE	BIT(6)

#define EPTP_WB_4_LEVELS 0x1e
#define MSR_BITMAP_BITS	(4096 * 8)
#define SYSCALL_MSRS	4
#define TRUE_CONTROLS	BIT_ULL(55)

/* 25.8.3 */
#define EVENT_VALID	BIT(31)
#define EVENT_CODE	BIT(11)
#define EVENT_EXCEPTION	(3u << 8)
#define EVENT_UNUSED	0x7ffff000u
#define EVENT_TYPE	0x700u

/* Bits that this CPU forces, or has and we like. */
static u32 forced_pin, forced_primary, forced_secondary, forced_exit, forced_entry;
static u64 cr0_must, cr0_may, cr4_must, cr4_may;

static u32 forced_by(u32 msr, u32 liked)
{
	u64 capability;

	rdmsrq(msr, capability);
	return capability | (capability >> 32 & liked);
}

/**
 * shadow_vmx_setup - find out which bits this CPU forces; once at load
 */
void shadow_vmx_setup(void)
{
	/* A.2 to A.5: the true ones are 12 beyond the others. */
	u32 by = 0;
	u64 basic;

	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	if (basic & TRUE_CONTROLS)
		by = MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS;
	forced_pin = forced_by(MSR_IA32_VMX_PINBASED_CTLS + by, PIN_LIKED);
	forced_primary = forced_by(MSR_IA32_VMX_PROCBASED_CTLS + by, 0);
	forced_exit = forced_by(MSR_IA32_VMX_EXIT_CTLS + by, 0);
	forced_entry = forced_by(MSR_IA32_VMX_ENTRY_CTLS + by, 0);
	forced_secondary = forced_by(MSR_IA32_VMX_PROCBASED_CTLS2, SECONDARY_LIKED);
	rdmsrq(MSR_IA32_VMX_CR0_FIXED0, cr0_must);
	rdmsrq(MSR_IA32_VMX_CR0_FIXED1, cr0_may);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED0, cr4_must);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED1, cr4_may);
}

static void expect_field(enum shadow_check check, unsigned long field, u64 want)
{
	u64 value = vmx_read(field);

	if (value != want)
		shadow_report(check, "VMCS %#lx is %#llx, not %#llx", field, value, want);
}

static void expect_control(unsigned long field, u64 want)
{
	expect_field(SHADOW_CONTROL, field, want);
}

static void expect_host(unsigned long field, u64 want)
{
	expect_field(SHADOW_HOST_FIELD, field, want);
}

/* 27.2.1.3: only exceptions, with an error code where they have one. */
static void check_vmcs_event(void)
{
	u32 event = vmx_read(VM_ENTRY_INTR_INFO_FIELD), vector = event & 0xff;
	bool good = (event & EVENT_TYPE) == EVENT_EXCEPTION && !(event & EVENT_UNUSED) &&
		    vector < 32 && vector != 2 &&
		    !!(event & EVENT_CODE) == state_has_error_code(vector);

	if (event & EVENT_CODE && vmx_read(VM_ENTRY_EXCEPTION_ERROR_CODE) >> 16)
		good = false;
	if (event & EVENT_VALID && !good)
		shadow_report(SHADOW_CONTROL, "event %#x", event);
}

static void check_vmcs_intercepts(bool open)
{
	u32 bits = vmx_read(EXCEPTION_BITMAP), controls = vmx_read(CPU_BASED_VM_EXEC_CONTROL);
	u32 pin = vmx_read(PIN_BASED_VM_EXEC_CONTROL);

	if (bits != (EXCEPTION | (open ? 0 : INVALID_OPCODE)))
		shadow_report(SHADOW_INTERCEPT, "exceptions %#x", bits);
	if (controls != (PRIMARY | forced_primary))
		shadow_report(SHADOW_INTERCEPT, "primary controls %#x, not %#lx", controls,
			      PRIMARY | forced_primary);
	if (pin != (PIN | forced_pin))
		shadow_report(SHADOW_INTERCEPT, "pin-based controls %#x, not %#lx", pin,
			      PIN | forced_pin);
	expect_field(SHADOW_INTERCEPT, SECONDARY_VM_EXEC_CONTROL, SECONDARY | forced_secondary);
	if (forced_secondary & BIT(15))
		expect_field(SHADOW_INTERCEPT, ENCLS_EXITING_BITMAP, ~0ull);
	expect_field(SHADOW_INTERCEPT, PAGE_FAULT_ERROR_CODE_MASK, 0);
	expect_field(SHADOW_INTERCEPT, PAGE_FAULT_ERROR_CODE_MATCH, 0);
	expect_field(SHADOW_INTERCEPT, CR0_GUEST_HOST_MASK, ~0ull);
	expect_field(SHADOW_INTERCEPT, CR4_GUEST_HOST_MASK, ~0ull);
}

/* The host's LSTAR is no guest's business: not to read, and not to jump to. */
static void check_syscalls(const struct mayfly_vcpu_state *state, bool open)
{
	u64 efer = vmx_read(GUEST_IA32_EFER);

	if (efer != (open ? state->efer : state->efer & ~(u64)EFER_SCE))
		shadow_report(SHADOW_INTERCEPT, "EFER %#llx, open %d", efer, open);
	if (!open && (state->star || state->lstar || state->cstar || state->sfmask))
		shadow_report(SHADOW_CONTROL, "a guest has system calls, and not its MSRs");
}

/* 26.3 */
static void check_tsc(const struct mayfly_vcpu_state *state)
{
	u64 ratio = TSC_RATIO_ONE;

	expect_control(TSC_OFFSET, state->tsc_offset);
	if (!(forced_secondary & TSC_SCALING))
		return;
	if (state->tsc_khz)
		ratio = mul_u64_u64_div_u64(TSC_RATIO_ONE, state->tsc_khz, clock_khz());
	expect_control(TSC_MULTIPLIER, ratio);
}

static void check_vmcs_controls(const struct vcpu *vcpu, phys_addr_t bitmap, bool open)
{
	check_vmcs_intercepts(open);
	check_syscalls(&vcpu->state, open);
	expect_control(VM_EXIT_CONTROLS, EXIT | forced_exit);
	expect_control(VM_ENTRY_CONTROLS, ENTRY | forced_entry);
	expect_control(CR3_TARGET_COUNT, 0);
	expect_control(VM_EXIT_MSR_STORE_COUNT, 0);
	expect_control(VM_EXIT_MSR_LOAD_COUNT, 0);
	expect_control(VM_ENTRY_MSR_LOAD_COUNT, 0);
	expect_control(MSR_BITMAP, bitmap);
	check_tsc(&vcpu->state);
	expect_control(EPT_POINTER, __pa(vcpu->s2->root) | EPTP_WB_4_LEVELS);
	expect_control(VIRTUAL_PROCESSOR_ID, vcpu->tag.asid);
	expect_control(VMCS_LINK_POINTER, ~0ull);
	if (!vcpu->tag.asid)
		shadow_report(SHADOW_CONTROL, "VPID of the host");
	check_vmcs_event();
}

static void expect_host_msr(unsigned long field, u32 msr)
{
	u64 value;

	rdmsrq(msr, value);
	expect_host(field, value);
}

/* 27.2.2, 27.2.3; and an exit must come back to this host. */
static void check_vmcs_host(void)
{
	struct desc_ptr gdt, idt;
	u16 tr = native_store_tr();

	native_store_gdt(&gdt);
	store_idt(&idt);
	expect_host(HOST_CR0, native_read_cr0());
	expect_host(HOST_CR3, __native_read_cr3());
	expect_host(HOST_CR4, native_read_cr4());
	expect_host(HOST_CS_SELECTOR, __KERNEL_CS);
	expect_host(HOST_SS_SELECTOR, __KERNEL_DS);
	expect_host(HOST_DS_SELECTOR, 0);
	expect_host(HOST_ES_SELECTOR, 0);
	expect_host(HOST_FS_SELECTOR, 0);
	expect_host(HOST_GS_SELECTOR, 0);
	expect_host(HOST_TR_SELECTOR, tr);
	expect_host(HOST_TR_BASE, get_desc_base((struct desc_struct *)(gdt.address + tr)) |
		    (u64)((struct ldttss_desc *)(gdt.address + tr))->base3 << 32);
	expect_host(HOST_GDTR_BASE, gdt.address);
	expect_host(HOST_IDTR_BASE, idt.address);
	expect_host_msr(HOST_FS_BASE, MSR_FS_BASE);
	expect_host_msr(HOST_GS_BASE, MSR_GS_BASE);
	expect_host_msr(HOST_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS);
	expect_host_msr(HOST_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_ESP);
	expect_host_msr(HOST_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_EIP);
	expect_host_msr(HOST_IA32_PAT, MSR_IA32_CR_PAT);
	expect_host_msr(HOST_IA32_EFER, MSR_EFER);
	expect_host(HOST_RIP, (u64)vmx_exit);
}

/* The fields of a segment register lie two apart from those of the next. */
static struct mayfly_segment_register vmcs_segment(int i)
{
	u32 rights = vmx_read(GUEST_ES_AR_BYTES + 2 * i);

	return (struct mayfly_segment_register){
		.base = vmx_read(GUEST_ES_BASE + 2 * i),
		.limit = vmx_read(GUEST_ES_LIMIT + 2 * i),
		.selector = vmx_read(GUEST_ES_SELECTOR + 2 * i),
		.attributes = (rights & 0xff) | (rights >> 4 & 0x1f00) |
			      /* 25.4.1: reserved */
			      (rights & 0xfffe0f00 ? 0x8000 : 0),
	};
}

static void read_segments(struct shadow_guest *guest)
{
	guest->es = vmcs_segment(0);
	guest->cs = vmcs_segment(1);
	guest->ss = vmcs_segment(2);
	guest->ds = vmcs_segment(3);
	guest->fs = vmcs_segment(4);
	guest->gs = vmcs_segment(5);
	guest->ldtr = vmcs_segment(6);
	guest->tr = vmcs_segment(7);
	guest->gdtr.base = vmx_read(GUEST_GDTR_BASE);
	guest->gdtr.limit = vmx_read(GUEST_GDTR_LIMIT);
	guest->idtr.base = vmx_read(GUEST_IDTR_BASE);
	guest->idtr.limit = vmx_read(GUEST_IDTR_LIMIT);
}

static void check_vmcs_guest(const struct vcpu *vcpu)
{
	u64 cr0 = vmx_read(GUEST_CR0), cr4 = vmx_read(GUEST_CR4);
	struct shadow_guest guest = {
		.cr0 = cr0, .cr3 = vmx_read(GUEST_CR3), .cr4 = cr4 & ~X86_CR4_VMXE,
		.efer = vmx_read(GUEST_IA32_EFER), .rflags = vmx_read(GUEST_RFLAGS),
		.rip = vmx_read(GUEST_RIP), .dr7 = vmx_read(GUEST_DR7),
		.pat = vmx_read(GUEST_IA32_PAT),
		.sysenter_esp = vmx_read(GUEST_SYSENTER_ESP),
		.sysenter_eip = vmx_read(GUEST_SYSENTER_EIP),
		.interruptibility = vmx_read(GUEST_INTERRUPTIBILITY_INFO),
		.pending_debug = vmx_read(GUEST_PENDING_DBG_EXCEPTIONS),
	};
	const char *wrong;

	expect_control(GUEST_RIP, vcpu->state.rip);
	if (!guest.interruptibility != !(vcpu->state.flags & MAYFLY_STATE_SHADOW))
		shadow_report(SHADOW_CONTROL, "interruptibility %#x", guest.interruptibility);
	read_segments(&guest);
	wrong = shadow_guest_wrong(&guest, boot_cpu_data.x86_phys_bits);
	if (!wrong)
		wrong = shadow_guest_wrong_vmx(&guest);
	/* A.7, A.8: 27.3.1.1 */
	if ((cr0 & cr0_must) != cr0_must || cr0 & ~cr0_may)
		wrong = "fixed bits of CR0";
	if ((cr4 & cr4_must) != cr4_must || cr4 & ~cr4_may)
		wrong = "fixed bits of CR4";
	if (vmx_read(GUEST_ACTIVITY_STATE))
		wrong = "activity";
	if (vmx_read(GUEST_IA32_DEBUGCTL))
		wrong = "DEBUGCTL";
	if (wrong)
		shadow_guest_state(vcpu, wrong);
}

/* 25.6.9: reads of low MSRs, of high ones, then writes. */
static unsigned int read_bit(u32 msr)
{
	return msr < 0x2000 ? msr : msr - 0xc0000000 + 0x2000;
}

/* STAR LSTAR CSTAR FMASK */
static bool is_syscall_msr(u32 msr)
{
	return msr >= 0xc0000081 && msr < 0xc0000081 + SYSCALL_MSRS;
}

/**
 * shadow_vmx_bitmap - is any MSR open that should not be?
 * @bitmap: of all MSRs
 * @open: those of system calls should be, too
 *
 * The bits of the listed MSRs are clear, and the number of clear bits is theirs: so
 * no others are.
 */
void shadow_vmx_bitmap(const void *bitmap, bool open)
{
	unsigned int clear = MSR_BITMAP_BITS - bitmap_weight(bitmap, MSR_BITMAP_BITS);
	unsigned int closed = open ? 0 : SYSCALL_MSRS;
	unsigned int i;

	if (clear != 2 * (SHADOW_OPEN_MSRS - closed))
		shadow_report(SHADOW_MSR_BITMAP, "%u bits are clear", clear);
	for (i = 0; i < SHADOW_OPEN_MSRS; i++) {
		unsigned int bit = read_bit(shadow_open_msrs[i]);

		if (!open && is_syscall_msr(shadow_open_msrs[i]))
			continue;
		if (test_bit(bit, bitmap) || test_bit(bit + 0x4000, bitmap))
			shadow_report(SHADOW_MSR_BITMAP, "MSR %#x is intercepted",
				      shadow_open_msrs[i]);
	}
}

/**
 * shadow_vmx_entry - may the guest be entered with the current VMCS?
 * @vcpu: the vCPU that will run
 * @bitmap: address of the bitmap of MSRs
 * @open: the guest can make system calls
 *
 * Context: interrupts off, the CPU's VMCS is current.
 */
void shadow_vmx_entry(const struct vcpu *vcpu, phys_addr_t bitmap, bool open)
{
	check_vmcs_controls(vcpu, bitmap, open);
	check_vmcs_host();
	check_vmcs_guest(vcpu);
}
