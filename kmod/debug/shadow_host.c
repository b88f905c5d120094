// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_host.c - is the host after an exit what it was before the entry? (DEBUG
 * builds only)
 *
 * Each item is read right before the world switch and right after it; registers that
 * VT-x restores at the end of a slice are read around the slice. CR2 and DR6 are
 * missing: the host reads them only in the handler of the exception that just set
 * them.
 */
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/segment.h>
#include <asm/special_insns.h>

#include "compat.h"
#include "debug/mutation.h"
#include "debug/shadow.h"

/* RFLAGS bits that survive a function call. */
#define FLAGS_KEPT	(X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF | \
			 X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF | \
			 X86_EFLAGS_VM | X86_EFLAGS_AC)
#define XCR0_X87_SSE	3
#define ALWAYS		(-1)

enum kind {
	KIND_MSR, KIND_CR, KIND_DR, KIND_XCR0, KIND_PKRU, KIND_FLAGS,
	KIND_GDT_BASE, KIND_GDT_LIMIT, KIND_IDT_BASE, KIND_IDT_LIMIT,
	KIND_TR, KIND_TSS, KIND_LDTR, KIND_DS, KIND_ES, KIND_FS, KIND_GS,
};

/* When an item must be as it was. */
#define FEW	1	/* after an exit on VT-x; on SVM all must */
#define SLICE	2	/* after a slice: nothing in between may change it */

/**
 * struct item - one piece of host state
 * @name: for people
 * @check: the check that reports a difference
 * @kind: how to read it
 * @when: FEW, SLICE
 * @feature: the CPU feature it depends on, or ALWAYS
 * @number: of the register
 */
struct item {
	const char *name;
	enum shadow_check check;
	enum kind kind;
	unsigned int when;
	int feature;
	u32 number;
};

#define MSR(name, when, feature) \
	{ #name, SHADOW_HOST_MSR, KIND_MSR, when, feature, MSR_##name }
#define BASE(name, when) \
	{ #name, SHADOW_HOST_SEGMENT, KIND_MSR, when, ALWAYS, MSR_##name }
#define REGISTER(name, check, kind, when, number) \
	{ name, SHADOW_HOST_##check, KIND_##kind, when, ALWAYS, number }

/*
 * SDM 3C 28.5 says what an exit loads from the VMCS. It leaves fixed values in
 * DEBUGCTL and LDTR, which must be restored at once, and in the limits of the tables
 * and the selectors; it does not touch the system call MSRs. Interrupts within a slice
 * may change address space, CR4, the debug registers, DEBUGCTL and the LDT.
 */
static const struct item items[] = {
	REGISTER("CR0", CR, CR, FEW | SLICE, 0),
	REGISTER("CR3", CR, CR, FEW, 3),
	REGISTER("CR4", CR, CR, FEW, 4),
	REGISTER("CR8", CR, CR, FEW | SLICE, 8),
	{ "XCR0", SHADOW_HOST_XSTATE, KIND_XCR0, FEW | SLICE, X86_FEATURE_XSAVE, 0 },
	{ "PKRU", SHADOW_HOST_XSTATE, KIND_PKRU, FEW | SLICE, X86_FEATURE_OSPKE, 0 },
	REGISTER("DR0", DR, DR, FEW, 0),
	REGISTER("DR1", DR, DR, FEW, 1),
	REGISTER("DR2", DR, DR, FEW, 2),
	REGISTER("DR3", DR, DR, FEW, 3),
	REGISTER("DR7", DR, DR, FEW, 7),
	REGISTER("RFLAGS", FLAGS, FLAGS, FEW, 0),
	REGISTER("GDTR base", TABLE, GDT_BASE, FEW | SLICE, 0),
	REGISTER("GDTR limit", TABLE, GDT_LIMIT, SLICE, 0),
	REGISTER("IDTR base", TABLE, IDT_BASE, FEW | SLICE, 0),
	/* The maximum after an exit on VT-x; there are no more vectors anyway. */
	REGISTER("IDTR limit", TABLE, IDT_LIMIT, 0, 0),
	REGISTER("TR", TABLE, TR, FEW | SLICE, 0),
	REGISTER("descriptor of TR", TABLE, TSS, FEW | SLICE, 0),
	REGISTER("LDTR", TABLE, LDTR, FEW, 0),
	REGISTER("DS", SEGMENT, DS, SLICE, 0),
	REGISTER("ES", SEGMENT, ES, SLICE, 0),
	REGISTER("FS", SEGMENT, FS, SLICE, 0),
	REGISTER("GS", SEGMENT, GS, SLICE, 0),
	BASE(FS_BASE, FEW | SLICE),
	BASE(GS_BASE, FEW | SLICE),
	BASE(KERNEL_GS_BASE, SLICE),
	MSR(STAR, SLICE, ALWAYS),
	MSR(LSTAR, SLICE, ALWAYS),
	MSR(CSTAR, SLICE, ALWAYS),
	MSR(SYSCALL_MASK, SLICE, ALWAYS),
	MSR(IA32_SYSENTER_CS, FEW | SLICE, ALWAYS),
	MSR(IA32_SYSENTER_ESP, FEW | SLICE, ALWAYS),
	MSR(IA32_SYSENTER_EIP, FEW | SLICE, ALWAYS),
	MSR(EFER, FEW | SLICE, ALWAYS),
	MSR(IA32_CR_PAT, FEW | SLICE, X86_FEATURE_PAT),
	MSR(IA32_APICBASE, FEW | SLICE, X86_FEATURE_APIC),
	MSR(IA32_DEBUGCTLMSR, FEW, ALWAYS),
	MSR(IA32_SPEC_CTRL, FEW | SLICE, X86_FEATURE_MSR_SPEC_CTRL),
	MSR(TSC_AUX, FEW | SLICE, X86_FEATURE_RDTSCP),
	MSR(IA32_XSS, FEW | SLICE, X86_FEATURE_XSAVES),
};

static bool exists[ARRAY_SIZE(items)];

/**
 * struct host - a CPU as it was
 * @entry: before the last entry, by item
 * @slice: before the slice
 */
struct host {
	u64 entry[ARRAY_SIZE(items)];
	u64 slice[ARRAY_SIZE(items)];
};

static DEFINE_PER_CPU(struct host, hosts);

static struct desc_ptr host_table(enum kind kind)
{
	struct desc_ptr table;

	if (kind == KIND_IDT_BASE || kind == KIND_IDT_LIMIT)
		store_idt(&table);
	else
		native_store_gdt(&table);
	return table;
}

/* Its first half: type with the busy bit, limit, half of the base. */
static u64 descriptor_of_tr(void)
{
	return *(u64 *)(host_table(KIND_GDT_BASE).address + (native_store_tr() & ~7ul));
}

static u64 read_cr(u32 number)
{
	u64 value;

	switch (number) {
	case 0:
		return native_read_cr0();
	case 3:
		return __native_read_cr3();
	case 4:
		return native_read_cr4();
	default:
		asm volatile("mov %%cr8, %0" : "=r" (value));
		return value;
	}
}

static u16 read_selector(enum kind kind)
{
	u16 value;

	switch (kind) {
	case KIND_DS:
		savesegment(ds, value);
		break;
	case KIND_ES:
		savesegment(es, value);
		break;
	case KIND_FS:
		savesegment(fs, value);
		break;
	case KIND_GS:
		savesegment(gs, value);
		break;
	default:
		asm volatile("sldt %0" : "=rm" (value));
		break;
	}
	return value;
}

/* volatile, unlike native_get_debugreg(), as each is read twice. */
static u64 read_dr(u32 number)
{
	u64 value;

	switch (number) {
	case 0:
		asm volatile("mov %%db0, %0" : "=r" (value));
		return value;
	case 1:
		asm volatile("mov %%db1, %0" : "=r" (value));
		return value;
	case 2:
		asm volatile("mov %%db2, %0" : "=r" (value));
		return value;
	case 3:
		asm volatile("mov %%db3, %0" : "=r" (value));
		return value;
	default:
		asm volatile("mov %%db7, %0" : "=r" (value));
		/* These bits mean nothing (SDM 3B 18.2.4); the kernel leaves one of
		 * them set after its last breakpoint, and an exit does not.
		 */
		return value & ~(DR_LOCAL_SLOWDOWN | DR_GLOBAL_SLOWDOWN);
	}
}

static u64 read_item(const struct item *item)
{
	switch (item->kind) {
	case KIND_MSR:
		return native_read_msr(item->number);
	case KIND_CR:
		return read_cr(item->number);
	case KIND_DR:
		return read_dr(item->number);
	case KIND_XCR0:
		return xgetbv(XCR_XFEATURE_ENABLED_MASK);
	case KIND_PKRU:
		return rdpkru();
	case KIND_FLAGS:
		return native_save_fl() & FLAGS_KEPT;
	case KIND_GDT_BASE:
	case KIND_IDT_BASE:
		return host_table(item->kind).address;
	case KIND_GDT_LIMIT:
	case KIND_IDT_LIMIT:
		return host_table(item->kind).size;
	case KIND_TR:
		return native_store_tr();
	case KIND_TSS:
		return descriptor_of_tr();
	default:
		return read_selector(item->kind);
	}
}

/* Only items that is_spoilt() changes, and those that an exit can load. */
static void write_item(const struct item *item, u64 value)
{
	struct desc_ptr table = host_table(item->kind);

	switch (item->kind) {
	case KIND_MSR:
		native_wrmsrq(item->number, value);
		break;
	case KIND_CR:
		if (item->number == 8)
			asm volatile("mov %0, %%cr8" : : "r" (value));
		break;
	case KIND_DR:
		native_set_debugreg(item->number, value);
		break;
	case KIND_XCR0:
		xsetbv(XCR_XFEATURE_ENABLED_MASK, value);
		break;
	case KIND_PKRU:
		wrpkru(value);
		break;
	case KIND_FLAGS:
		/* cc: all of RFLAGS. */
		asm volatile("push %0; popf" : : "r" (value) : "cc", "memory");
		break;
	case KIND_GDT_LIMIT:
		table.size = value;
		native_load_gdt(&table);
		break;
	case KIND_IDT_LIMIT:
		table.size = value;
		native_load_idt(&table);
		break;
	case KIND_DS:
		loadsegment(ds, value);
		break;
	default:
		break;
	}
}

/* Which item a mutation of the host changes, and to what. */
static bool is_spoilt(const struct item *item, u64 *value)
{
	switch (item->kind) {
	case KIND_MSR:
		*value ^= 0x1000;
		return (item->number == MSR_CSTAR && mutation_is(MUTATION_HOST_MSR)) ||
		       (item->number == MSR_FS_BASE && mutation_is(MUTATION_HOST_BASE));
	case KIND_CR:
		*value ^= 1;
		return item->number == 8 && mutation_is(MUTATION_HOST_CR);
	case KIND_DR:
		*value ^= 0x1000;
		return item->number == 0 && mutation_is(MUTATION_HOST_DR);
	case KIND_XCR0:
		*value = XCR0_X87_SSE;
		return mutation_is(MUTATION_HOST_XCR0);
	case KIND_PKRU:
		*value ^= 0xc0000000;	/* the last key */
		return mutation_is(MUTATION_HOST_PKRU);
	case KIND_FLAGS:
		*value ^= X86_EFLAGS_AC;
		return mutation_is(MUTATION_HOST_FLAGS);
	case KIND_GDT_LIMIT:
		*value = 0xffff;
		return mutation_is(MUTATION_HOST_GDTR);
	case KIND_IDT_LIMIT:
		*value = 0xffff;
		return mutation_is(MUTATION_HOST_IDTR);
	case KIND_DS:
		*value ^= __USER_DS;
		return mutation_is(MUTATION_HOST_SELECTOR);
	default:
		return false;
	}
}

static void compare_item(const struct item *item, u64 before)
{
	u64 now = read_item(item), other = now;

	if (is_spoilt(item, &other)) {
		write_item(item, other);
		now = read_item(item);
	}
	if (now == before)
		return;
	shadow_report(item->check, "%s was %#llx and is %#llx", item->name, before, now);
	/* The host must survive what was broken on purpose. */
	if (!mutation_is(MUTATION_NONE))
		write_item(item, before);
}

static bool is_kept(const struct item *item, enum shadow_span span)
{
	switch (span) {
	case SHADOW_EXIT_ALL:
		return true;
	case SHADOW_EXIT_FEW:
		return item->when & FEW;
	default:
		return item->when & SLICE;
	}
}

static u64 *values_of_span(enum shadow_span span)
{
	struct host *host = this_cpu_ptr(&hosts);

	return span == SHADOW_SLICE ? host->slice : host->entry;
}

/**
 * shadow_host_setup - find out which items exist; once at load
 */
void shadow_host_setup(void)
{
	unsigned int i;
	u64 value;

	for (i = 0; i < ARRAY_SIZE(items); i++) {
		const struct item *item = &items[i];

		exists[i] = item->feature == ALWAYS || boot_cpu_has(item->feature);
		if (exists[i] && item->kind == KIND_MSR)
			exists[i] = !rdmsrq_safe(item->number, &value);
	}
}

/**
 * shadow_host_before - remember the host
 * @span: until when
 *
 * Context: interrupts off.
 */
void shadow_host_before(enum shadow_span span)
{
	u64 *before = values_of_span(span);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(items); i++)
		if (exists[i] && is_kept(&items[i], span))
			before[i] = read_item(&items[i]);
}

/**
 * shadow_host_after - is the host as it was?
 * @span: as for the last shadow_host_before()
 *
 * Context: as for shadow_host_before().
 */
void shadow_host_after(enum shadow_span span)
{
	const u64 *before = values_of_span(span);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(items); i++)
		if (exists[i] && is_kept(&items[i], span))
			compare_item(&items[i], before[i]);
}

/**
 * shadow_interrupt - may the handler of a host interrupt, and softirqs, use the FPU?
 *
 * Context: interrupts off, about to be turned on.
 */
void shadow_interrupt(void)
{
	if (!irq_fpu_usable() || softirq_count())
		shadow_report(SHADOW_HOST_FPU, "an interrupt finds the FPU taken");
}
