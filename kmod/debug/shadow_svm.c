// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow_svm.c - is the control block what the manual and our rules want? (DEBUG
 * builds only)
 *
 * The control area is read as APM 2 table B-1 shows it, 8 bytes at a time; a word
 * that is not named here must be zero. Nothing of cpu/svm/ is used.
 */
#include <linux/bitmap.h>
#include <linux/bug.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <asm/svm.h>

#include "compat.h"
#include "cpu/clock.h"
#include "cpu/state.h"
#include "cpu/vcpu.h"
#include "debug/shadow.h"
#include "debug/shadow_guest.h"

#define CONTROL_BYTES	0x400
#define IOPM_BYTES	0x3000
#define MSRPM_BYTES	0x2000
#define MSRPM_USED	0x1800	/* the rest is reserved, and all ones */

/* Table B-1: a word of the control area. */
enum word {
	WORD_CR_DR = 0x00,	/* intercepts of CR and DR, reads low, writes high */
	WORD_EXCEPTIONS = 0x08,	/* intercepts of exceptions, instructions 1 */
	WORD_INSTRUCTIONS = 0x10, /* intercepts of instructions 2 and 3 */
	WORD_IOPM = 0x40,
	WORD_MSRPM = 0x48,
	WORD_TSC_OFFSET = 0x50,
	WORD_ASID = 0x58,	/* and TLB control */
	WORD_INTERRUPT = 0x60,	/* V_TPR to V_INTR_VECTOR */
	WORD_SHADOW = 0x68,
	WORD_EXIT_FIRST = 0x70,	/* what an exit writes */
	WORD_EXIT_LAST = 0x88,
	WORD_NESTED = 0x90,
	WORD_EVENT = 0xa8,
	WORD_N_CR3 = 0xb0,
	WORD_CLEAN = 0xc0,
	WORD_NEXT_RIP = 0xc8,	/* written by an exit, with what follows */
	WORD_FETCHED_LAST = 0xd8,
};

/* CR0, CR4 and CR8 writes, CR8 reads; all of DR. */
#define WANT_CR_DR	0xffffffff01110100ull
/* #DB #AC #MC; INTR NMI SMI INIT, RDPMC, CPUID RSM, INVD, HLT, INVLPGA IOIO MSR
 * task switch FERR_FREEZE shutdown.
 */
#define WANT_EXCEPTIONS	0xfd4c800f00060002ull
/* VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT
 * MWAIT(armed) XSETBV RDPRU; INVLPGB twice, INVPCID MCOMMIT TLBSYNC.
 */
#define WANT_INSTRUCTIONS 0x0000001f00007fffull
#define WANT_INTERRUPT	(1ull << 24)	/* V_INTR_MASKING */
#define WANT_NESTED	1		/* NP_ENABLE, and none of the SEV bits */

/* EVENTINJ, 15.20 */
#define EVENT_VALID	(1u << 31)
#define EVENT_CODE	(1u << 11)
#define EVENT_EXCEPTION	(3u << 8)
#define EVENT_UNUSED	0x7ffff000u
#define EVENT_TYPE	0x700u

static u64 word_at(const struct vmcb *vmcb, unsigned int offset)
{
	return ((const u64 *)vmcb)[offset / sizeof(u64)];
}

static void expect_word(const struct vmcb *vmcb, unsigned int offset, u64 want)
{
	u64 word = word_at(vmcb, offset);

	if (word != want)
		shadow_report(SHADOW_CONTROL, "VMCB %#x is %#llx, not %#llx", offset,
			      word, want);
}

static void check_vmcb_node(const struct vmcb *vmcb)
{
	int node = page_to_nid(virt_to_page(vmcb));

	if (node != numa_mem_id())
		shadow_report(SHADOW_NODE, "VMCB of node %d on CPU %d", node, smp_processor_id());
}

static void check_vmcb_intercepts(const struct vmcb *vmcb)
{
	static const struct {
		unsigned int offset;
		u64 want;
	} all[] = {
		{ WORD_CR_DR, WANT_CR_DR },
		{ WORD_EXCEPTIONS, WANT_EXCEPTIONS },
		{ WORD_INSTRUCTIONS, WANT_INSTRUCTIONS },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		u64 word = word_at(vmcb, all[i].offset);

		if (word != all[i].want)
			shadow_report(SHADOW_INTERCEPT,
				      "VMCB %#x: missing %#llx, too many %#llx",
				      all[i].offset, all[i].want & ~word,
				      word & ~all[i].want);
	}
}

static bool is_free(unsigned int offset)
{
	return (offset >= WORD_EXIT_FIRST && offset <= WORD_EXIT_LAST) ||
	       (offset >= WORD_NEXT_RIP && offset <= WORD_FETCHED_LAST);
}

static bool is_named(unsigned int offset)
{
	switch (offset) {
	case WORD_CR_DR:
	case WORD_EXCEPTIONS:
	case WORD_INSTRUCTIONS:
	case WORD_IOPM:
	case WORD_MSRPM:
	case WORD_TSC_OFFSET:
	case WORD_ASID:
	case WORD_INTERRUPT:
	case WORD_SHADOW:
	case WORD_NESTED:
	case WORD_EVENT:
	case WORD_N_CR3:
	case WORD_CLEAN:
		return true;
	default:
		return is_free(offset);
	}
}

static void check_vmcb_rest(const struct vmcb *vmcb)
{
	unsigned int offset;

	for (offset = 0; offset < CONTROL_BYTES; offset += sizeof(u64))
		if (!is_named(offset))
			expect_word(vmcb, offset, 0);
}

/*
 * 15.15.4, tables B-1 and B-2: what each clean bit vouches for. The CPU may take what it
 * had in the VMCB at the last exit.
 */
static const struct {
	u8 bit;
	u16 offset, length;
} cached[] = {
	{ 0, 0x000, 0x18 }, { 0, 0x03c, 4 }, { 0, 0x050, 8 },	/* intercepts, TSC offset */
	{ 1, 0x040, 0x10 },					/* bitmaps */
	{ 2, 0x058, 4 },					/* ASID */
	{ 3, 0x060, 8 },					/* V_TPR and its like */
	{ 4, 0x090, 8 }, { 4, 0x0b0, 8 }, { 4, 0x668, 8 },	/* nested paging, PAT */
	{ 5, 0x4d0, 8 }, { 5, 0x548, 0x18 },			/* EFER, CR4, CR3, CR0 */
	{ 6, 0x560, 0x10 },					/* DR7, DR6 */
	{ 7, 0x460, 0x10 }, { 7, 0x480, 0x10 },			/* GDTR, IDTR */
	{ 8, 0x400, 0x40 }, { 8, 0x4cb, 1 },			/* ES CS SS DS, CPL */
	{ 9, 0x640, 8 },					/* CR2 */
};

/* A sum of each of these at the last exit. */
static DEFINE_PER_CPU(u32, sums[ARRAY_SIZE(cached)]);

static u32 sum_of(const struct vmcb *vmcb, unsigned int i)
{
	return jhash((const u8 *)vmcb + cached[i].offset, cached[i].length, 0);
}

static void check_vmcb_clean(const struct vmcb *vmcb)
{
	u32 clean = word_at(vmcb, WORD_CLEAN);
	unsigned int i;

	if (clean & ~0x7ffu)
		shadow_report(SHADOW_CONTROL, "VMCB clean bits %#x", clean);
	for (i = 0; i < ARRAY_SIZE(cached); i++)
		if (clean & BIT(cached[i].bit) && sum_of(vmcb, i) != this_cpu_read(sums[i]))
			shadow_report(SHADOW_CONTROL, "VMCB %#x has changed, but is said to be clean",
				      cached[i].offset);
}

/**
 * shadow_svm_exit - remember what the CPU may know by heart from now on
 * @vmcb: the CPU's
 *
 * Context: interrupts off.
 */
void shadow_svm_exit(const struct vmcb *vmcb)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cached); i++)
		this_cpu_write(sums[i], sum_of(vmcb, i));
}

/* 15.20: only exceptions, with an error code where they have one. */
static void check_vmcb_event(u64 word)
{
	u32 event = word, vector = event & 0xff;
	bool good;

	if (!word)
		return;
	if (!(event & EVENT_VALID))
		good = !event;	/* An old error code means nothing. */
	else
		good = (event & EVENT_TYPE) == EVENT_EXCEPTION &&
		       !(event & EVENT_UNUSED) && vector < 32 && vector != 2 &&
		       !!(event & EVENT_CODE) == state_has_error_code(vector);
	if (!good)
		shadow_report(SHADOW_CONTROL, "EVENTINJ %#llx", word);
}

/* 15.30.5: 32 bits after the point. */
static void check_tsc_ratio(u32 khz)
{
	u64 one = BIT_ULL(32), ratio;

	if (!boot_cpu_has(X86_FEATURE_TSCRATEMSR))
		return;
	rdmsrq(MSR_AMD64_TSC_RATIO, ratio);
	if (ratio != (khz ? mul_u64_u64_div_u64(one, khz, clock_khz()) : one))
		shadow_report(SHADOW_CONTROL, "TSC ratio %#llx, TSC of %u kHz", ratio, khz);
}

static void check_vmcb_control(const struct vmcb *vmcb, const struct vcpu *vcpu,
			       phys_addr_t iopm, phys_addr_t msrpm)
{
	u64 asid = word_at(vmcb, WORD_ASID);
	u64 shadow = word_at(vmcb, WORD_SHADOW);

	check_vmcb_intercepts(vmcb);
	expect_word(vmcb, WORD_IOPM, iopm);
	expect_word(vmcb, WORD_MSRPM, msrpm);
	expect_word(vmcb, WORD_TSC_OFFSET, vcpu->state.tsc_offset);
	check_tsc_ratio(vcpu->state.tsc_khz);
	expect_word(vmcb, WORD_INTERRUPT, WANT_INTERRUPT);
	expect_word(vmcb, WORD_NESTED, WANT_NESTED);
	expect_word(vmcb, WORD_N_CR3, __pa(vcpu->s2->root));
	check_vmcb_event(word_at(vmcb, WORD_EVENT));
	check_vmcb_rest(vmcb);
	check_vmcb_clean(vmcb);
	/* TLB control: nothing, or flush all. Tag 0 is the host's. */
	if (!vcpu->tag.asid || (asid & ~(1ull << 32)) != vcpu->tag.asid)
		shadow_report(SHADOW_CONTROL, "VMCB 0x58 is %#llx, the VM's tag %u",
			      asid, vcpu->tag.asid);
	if (shadow > 1)
		shadow_report(SHADOW_CONTROL, "VMCB 0x68 is %#llx", shadow);
}

static struct mayfly_segment_register segment_of(const struct vmcb_seg *s)
{
	return (struct mayfly_segment_register){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.attributes = s->attrib,
	};
}

static void check_vmcb_guest(const struct vcpu *vcpu, const struct vmcb_save_area *save)
{
	struct shadow_guest guest = {
		.cr0 = save->cr0, .cr3 = save->cr3, .cr4 = save->cr4,
		.efer = save->efer & ~EFER_SVME, .rflags = save->rflags,
		.rip = save->rip, .dr6 = save->dr6, .dr7 = save->dr7,
		.pat = save->g_pat, .cs = segment_of(&save->cs),
	};
	const char *wrong = shadow_guest_wrong(&guest, boot_cpu_data.x86_phys_bits);

	/* 15.5.1: it must be set there. */
	if (!(save->efer & EFER_SVME))
		wrong = "EFER.SVME";
	if (save->cpl > 3)
		wrong = "CPL";
	if (wrong)
		shadow_guest_state(vcpu, wrong);
}

/* 15.11: two bits an MSR, 2 KiB for each of three ranges. */
static unsigned int msr_bit(u32 msr)
{
	static const u32 bases[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int range = 0;

	while (msr - bases[range] > 0x1fff)
		range++;
	return range * 0x4000 + (msr - bases[range]) * 2;
}

/**
 * shadow_svm_bitmaps - is anything open that should not be?
 * @iopm: all ports
 * @msrpm: all MSRs
 *
 * The bits of the listed MSRs are clear, and the number of clear bits is theirs: so
 * no others are.
 */
void shadow_svm_bitmaps(const void *iopm, const void *msrpm)
{
	unsigned int bits = MSRPM_BYTES * 8;
	unsigned int i, clear = bits - bitmap_weight(msrpm, bits);
	const void *port = memchr_inv(iopm, 0xff, IOPM_BYTES);

	if (port)
		shadow_report(SHADOW_IO_BITMAP, "open ports from %#zx on",
			      (port - iopm) * 8);
	if (clear != 2 * SHADOW_OPEN_MSRS)
		shadow_report(SHADOW_MSR_BITMAP, "%u bits are clear", clear);
	for (i = 0; i < SHADOW_OPEN_MSRS; i++) {
		unsigned int bit = msr_bit(shadow_open_msrs[i]);

		if (test_bit(bit, msrpm) || test_bit(bit + 1, msrpm))
			shadow_report(SHADOW_MSR_BITMAP, "MSR %#x is intercepted",
				      shadow_open_msrs[i]);
	}
}

/**
 * shadow_svm_entry - may the guest be entered with this VMCB?
 * @vmcb: the CPU's
 * @vcpu: the vCPU that will run
 * @iopm: address of the bitmap of ports
 * @msrpm: address of the bitmap of MSRs
 *
 * Context: interrupts off.
 */
void shadow_svm_entry(const struct vmcb *vmcb, const struct vcpu *vcpu,
		      phys_addr_t iopm, phys_addr_t msrpm)
{
	BUILD_BUG_ON(sizeof(vmcb->control) != CONTROL_BYTES);
	check_vmcb_node(vmcb);
	check_vmcb_control(vmcb, vcpu, iopm, msrpm);
	check_vmcb_guest(vcpu, &vmcb->save);
}
