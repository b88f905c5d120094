// SPDX-License-Identifier: Apache-2.0
//
// The manuals' rules for a guest that is about to be entered, as DEBUG builds of the
// module ask them: what SET_STATE takes keeps them, and so does what a guest can
// make of it; each rule alone is seen when it is broken.

#include <functional>

#include <gtest/gtest.h>

extern "C" {
#include "cpu/state.h"
#include "debug/shadow_guest.h"
}

namespace
{

constexpr unsigned phys_bits = 36;

/// As the module fills it in: what is not present cannot be used.
mayfly_segment_register loaded(mayfly_segment_register s)
{
	if (!(s.attributes & 0x80))
		s.attributes |= SHADOW_UNUSABLE;
	return s;
}

shadow_guest guest_of(const mayfly_vcpu_state &s)
{
	shadow_guest g{};

	g.cr0 = s.cr0;
	g.cr3 = s.cr3;
	g.cr4 = s.cr4;
	g.efer = s.efer;
	g.rflags = s.rflags;
	g.rip = s.rip;
	g.dr6 = 0xffff0ff0;
	g.dr7 = 0x400;
	g.pat = 0x0606060606060606;
	g.sysenter_esp = s.sysenter_esp;
	g.sysenter_eip = s.sysenter_eip;
	g.cs = loaded(s.cs);
	g.ss = loaded(s.ss);
	g.ds = loaded(s.ds);
	g.es = loaded(s.es);
	g.fs = loaded(s.fs);
	g.gs = loaded(s.gs);
	g.ldtr = loaded(s.ldtr);
	g.tr = loaded(s.tr);
	g.gdtr = s.gdtr;
	g.idtr = s.idtr;
	return g;
}

std::string wrong(const shadow_guest &g)
{
	const char *rule = shadow_guest_wrong(&g, phys_bits);

	if (!rule)
		rule = shadow_guest_wrong_vmx(&g);
	return rule ? rule : "";
}

class ShadowGuest : public ::testing::Test
{
protected:
	ShadowGuest() { state_init(&s, 0xffffffff80100000, 0x1000, 0x10000, 0xffffffff80002000); }

	mayfly_vcpu_state s{};
};

TEST_F(ShadowGuest, TheFirstStateIsRight)
{
	EXPECT_EQ(wrong(guest_of(s)), "");
}

/// All attributes of all segments: what SET_STATE takes, VT-x takes.
TEST_F(ShadowGuest, WhatSetStateTakesIsRight)
{
	mayfly_segment_register *const all[] = {&s.cs, &s.ss, &s.ds, &s.es, &s.fs, &s.gs, &s.ldtr, &s.tr};
	const mayfly_vcpu_state good = s;
	unsigned taken = 0;

	for (mayfly_segment_register *one : all)
		for (const u64 base : {0ull, 0x12345000ull, 0x7f0000000000ull, 0xffff800000000000ull})
			for (const u32 limit : {0u, 0x67u, 0xfffffu, 0x100000u, 0xffffffffu})
				for (unsigned attributes = 0; attributes < 0x2000; attributes++) {
					s = good;
					one->base = base;
					one->limit = limit;
					one->attributes = static_cast<__u16>(attributes);
					one->selector = attributes & 0x60 ? 3 : 0;
					if (!state_is_valid(&s))
						continue;
					taken++;
					ASSERT_EQ(wrong(guest_of(s)), "")
						<< "segment " << one - &s.cs << ", base " << base << ", limit " << limit
						<< ", attributes " << attributes;
				}
	EXPECT_GT(taken, 1000u);
}

TEST_F(ShadowGuest, EveryBitThatSetStateTakesIsRight)
{
	__u64 *const all[] = {&s.cr0, &s.cr3, &s.cr4, &s.efer, &s.rflags, &s.rip, &s.sysenter_esp, &s.sysenter_eip};

	for (__u64 *one : all)
		for (int bit = 0; bit < 64; bit++) {
			*one ^= 1ull << bit;
			if (state_is_valid(&s)) {
				EXPECT_EQ(wrong(guest_of(s)), "") << one - all[0] << ", bit " << bit;
			}
			*one ^= 1ull << bit;
		}
}

TEST_F(ShadowGuest, CompatibilityModeIsRight)
{
	s.cs.attributes = 0xcfb; // D instead of L, ring 3
	s.cs.selector = 0x1b;
	s.ss.attributes = 0xcf3;
	s.ss.selector = 0x23;
	s.rip = 0xfffffffe;
	EXPECT_EQ(wrong(guest_of(s)), "");
	s.rip += 2;
	EXPECT_EQ(wrong(guest_of(s)), "RIP");
}

TEST_F(ShadowGuest, SelectorsMayHaveAnyRpl)
{
	s.ss.selector |= 3;
	s.ds.selector |= 3;
	EXPECT_EQ(wrong(guest_of(s)), "");
}

TEST_F(ShadowGuest, AnInstructionMayEndWhereCanonicalAddressesDo)
{
	s.rip = 0x800000000000;
	EXPECT_EQ(wrong(guest_of(s)), "");
	s.rip = 0x1000000000000;
	EXPECT_EQ(wrong(guest_of(s)), "RIP");
}

TEST_F(ShadowGuest, ABrokenRuleIsNamed)
{
	static const struct {
		const char *name;
		std::function<void(shadow_guest &)> make;
	} cases[] = {
		{"CR0 upper half", [](auto &g) { g.cr0 |= 1ull << 32; }},
		{"CR0.NW without CD", [](auto &g) { g.cr0 |= 1u << 29; }},
		{"CR0.PG without PE", [](auto &g) { g.cr0 &= ~1ull; }},
		{"CR3 beyond the physical address", [](auto &g) { g.cr3 |= 1ull << phys_bits; }},
		{"CR4 reserved bits", [](auto &g) { g.cr4 |= 1ull << 31; }},
		{"EFER reserved bits", [](auto &g) { g.efer |= 1u << 1; }},
		{"EFER.LMA", [](auto &g) { g.efer &= ~(1ull << 10); }},
		{"EFER.LMA", [](auto &g) { g.efer &= ~(1ull << 8); }},
		{"long mode without PAE", [](auto &g) { g.cr4 &= ~0x20ull; }},
		{"CS with L and D", [](auto &g) { g.cs.attributes |= 0x400; }},
		{"DR6 upper half", [](auto &g) { g.dr6 |= 1ull << 32; }},
		{"DR7 upper half", [](auto &g) { g.dr7 |= 1ull << 63; }},
		{"PAT", [](auto &g) { g.pat = 0x0606060606060602; }},
		{"RFLAGS", [](auto &g) { g.rflags &= ~2ull; }},
		{"RFLAGS", [](auto &g) { g.rflags |= 1u << 15; }},
		{"RFLAGS.VM", [](auto &g) { g.rflags |= 1u << 17; }},
		{"CS", [](auto &g) { g.cs.attributes &= ~0x80; }},
		{"CS", [](auto &g) { g.cs.attributes |= 0x20; }},
		{"CS base", [](auto &g) { g.cs.base = 1ull << 32; }},
		{"SS", [](auto &g) { g.ss.attributes = 0xc91; }},
		{"DS", [](auto &g) { g.ds.attributes &= ~1; }},
		{"DS base", [](auto &g) { g.ds.base = 0xffff800000000000; }},
		{"ES base", [](auto &g) { g.es.base = 1ull << 32; }},
		{"ES", [](auto &g) { g.es.limit = 0x1000; }},
		{"FS", [](auto &g) { g.fs.base = 1ull << 47; }},
		{"GS", [](auto &g) { g.gs.attributes |= 0x8000; }},
		{"TR", [](auto &g) { g.tr.attributes = 0x89; }},
		{"TR", [](auto &g) { g.tr.selector = 4; }},
		{"LDTR", [](auto &g) { g.ldtr.attributes = 0x83; }},
		{"GDTR", [](auto &g) { g.gdtr.limit = 0x10000; }},
		{"IDTR", [](auto &g) { g.idtr.base = 1ull << 47; }},
		{"SYSENTER_ESP", [](auto &g) { g.sysenter_esp = 1ull << 47; }},
		{"SYSENTER_EIP", [](auto &g) { g.sysenter_eip = 1ull << 62; }},
		{"interruptibility", [](auto &g) { g.interruptibility = 3; }},
		{"blocked by STI without IF",
		 [](auto &g) {
			 g.interruptibility = 1;
			 g.rflags &= ~0x200ull;
		 }},
		{"pending debug exceptions", [](auto &g) { g.pending_debug = 0x10; }},
		{"pending single step",
		 [](auto &g) {
			 g.interruptibility = 1;
			 g.rflags |= 0x100;
		 }},
		{"pending single step",
		 [](auto &g) {
			 g.interruptibility = 2;
			 g.pending_debug = 0x4000;
		 }},
	};

	for (const auto &one : cases) {
		shadow_guest g = guest_of(s);

		one.make(g);
		EXPECT_EQ(wrong(g), one.name);
	}
}

}
