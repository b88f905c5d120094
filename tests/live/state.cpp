// SPDX-License-Identifier: Apache-2.0
//
// GET_STATE and SET_STATE: every field comes back as it went in, before the first
// entry and after one, and no state that hardware would refuse goes in.

#include <functional>

#include "machine.hpp"

namespace
{

using live::machine;

class State : public live::Live
{};

mayfly_segment_register data_segment(std::uint64_t base, std::uint16_t selector)
{
	return {.base = base, .limit = 0xffffffff, .selector = selector, .attributes = 0xc93};
}

/// Every field different from the start state and from every other field.
live::vcpu_state everything(const live::vcpu_state &start)
{
	live::vcpu_state s = start;
	std::uint64_t n = 0x1111;

	for (unsigned i = 0; i < 16; i++)
		s.regs[i] = 0xa5a5000000000000 + n * (i + 1);
	s.rip = guests::entry;
	s.rflags = 0x2 | 0x1 | 0x4 | 0x40 | 0x80 | 0x800 | 0x200;
	s.cr0 = start.cr0 ^ (1u << 18);
	s.cr2 = 0xffff800012345678;
	s.cr3 = start.cr3 | 0x18; // PWT and PCD
	s.cr4 = start.cr4 ^ (1u << 2);
	s.efer = start.efer ^ 1;
	s.cs.selector = 0x18;
	s.ss.selector = 0x20;
	s.ss.limit = 0x1fffffff;
	s.ds = data_segment(0x1000, 0x28);
	s.es = data_segment(0x2000, 0x30);
	s.fs = data_segment(0xffff800000003000, 0x38);
	s.gs = data_segment(0x00007fff00004000, 0x40);
	s.ldtr = {.base = 0xffff800000005000, .limit = 0x17, .selector = 0x48, .attributes = 0x82};
	s.tr = {.base = 0xffff800000006000, .limit = 0x167, .selector = 0x50, .attributes = 0x8b};
	s.gdtr = {.base = 0xffff800000007000, .limit = 0x7f, .reserved = 0};
	s.idtr = {.base = 0xffff800000008000, .limit = 0xfff, .reserved = 0};
	s.star = 0x0023001000000000;
	s.lstar = 0xffffffff80101000;
	s.cstar = 0xffffffff80102000;
	s.sfmask = 0x47700;
	s.kernel_gs_base = 0xffff800000009000;
	s.sysenter_cs = 0x10;
	s.sysenter_esp = 0xffff80000000a000;
	s.sysenter_eip = 0xffff80000000b000;
	s.tsc_offset = 0x0000123456789abc;
	s.events = 0x5;
	for (unsigned i = 0; i < 8; i++) // 80 bits each, in 16 bytes
		for (unsigned j = 0; j < 10; j++)
			s.fpu[32 + 16 * i + j] = static_cast<__u8>(0x81 + i * 10 + j);
	for (unsigned i = 160; i < 416; i++)
		s.fpu[i] = static_cast<__u8>(i * 7);
	return s;
}

void expect_segment(const char *name, const mayfly_segment_register &got, const mayfly_segment_register &want)
{
	SCOPED_TRACE(name);
	EXPECT_EQ(got.base, want.base);
	EXPECT_EQ(got.limit, want.limit);
	EXPECT_EQ(got.selector, want.selector);
	EXPECT_EQ(got.attributes, want.attributes);
}

void expect_same(const live::vcpu_state &got, const live::vcpu_state &want)
{
	for (unsigned i = 0; i < 16; i++)
		EXPECT_EQ(got.regs[i], want.regs[i]) << "register " << i;
	EXPECT_EQ(got.rip, want.rip);
	EXPECT_EQ(got.rflags, want.rflags);
	EXPECT_EQ(got.cr0, want.cr0);
	EXPECT_EQ(got.cr2, want.cr2);
	EXPECT_EQ(got.cr3, want.cr3);
	EXPECT_EQ(got.cr4, want.cr4);
	EXPECT_EQ(got.efer, want.efer);
	expect_segment("cs", got.cs, want.cs);
	expect_segment("ss", got.ss, want.ss);
	expect_segment("ds", got.ds, want.ds);
	expect_segment("es", got.es, want.es);
	expect_segment("fs", got.fs, want.fs);
	expect_segment("gs", got.gs, want.gs);
	expect_segment("ldtr", got.ldtr, want.ldtr);
	expect_segment("tr", got.tr, want.tr);
	EXPECT_EQ(got.gdtr.base, want.gdtr.base);
	EXPECT_EQ(got.gdtr.limit, want.gdtr.limit);
	EXPECT_EQ(got.idtr.base, want.idtr.base);
	EXPECT_EQ(got.idtr.limit, want.idtr.limit);
	EXPECT_EQ(got.star, want.star);
	EXPECT_EQ(got.lstar, want.lstar);
	EXPECT_EQ(got.cstar, want.cstar);
	EXPECT_EQ(got.sfmask, want.sfmask);
	EXPECT_EQ(got.kernel_gs_base, want.kernel_gs_base);
	EXPECT_EQ(got.sysenter_cs, want.sysenter_cs);
	EXPECT_EQ(got.sysenter_esp, want.sysenter_esp);
	EXPECT_EQ(got.sysenter_eip, want.sysenter_eip);
	EXPECT_EQ(got.exception, want.exception);
	EXPECT_EQ(got.error_code, want.error_code);
	EXPECT_EQ(got.flags, want.flags);
	EXPECT_EQ(got.tsc_offset, want.tsc_offset);
	EXPECT_EQ(got.events, want.events);
	EXPECT_EQ(got.deadline, want.deadline);
	EXPECT_EQ(got.waiting, want.waiting);
	// The FXSAVE image but for what hardware owns: control words, MXCSR mask.
	for (unsigned i = 0; i < 8; i++)
		EXPECT_EQ(std::memcmp(got.fpu + 32 + 16 * i, want.fpu + 32 + 16 * i, 10), 0) << "st" << i;
	EXPECT_EQ(std::memcmp(got.fpu + 160, want.fpu + 160, 256), 0) << "xmm0-xmm15";
	EXPECT_EQ(std::memcmp(got.fpu, want.fpu, 5), 0) << "x87 control, status, tags";
	EXPECT_EQ(std::memcmp(got.fpu + 24, want.fpu + 24, 4), 0) << "mxcsr";
}

TEST_F(State, ComesBackAsItWentIn)
{
	const live::fd image = live::make_image(device, guests::spin);
	const machine vm(image, device);
	live::vcpu_state want = everything(vm.state());

	ASSERT_EQ(vm.set_state(want), 0);
	const live::vcpu_state got = vm.state();

	// The clock has been set, and its page written.
	want.clock_seq += 2;
	EXPECT_EQ(std::memcmp(&got, &want, sizeof(got)), 0);
}

TEST_F(State, GoesThroughTheCpuUnchanged)
{
	const live::fd image = live::make_image(device, guests::spin);
	const machine spinning(image, device);
	const live::vcpu_state want = everything(spinning.state());

	ASSERT_EQ(spinning.set_state(want), 0);
	ASSERT_EQ(spinning.control(MAYFLY_OP_START), 0);
	ASSERT_TRUE(live::eventually([&] { return spinning.info().exits > 2; }));
	ASSERT_EQ(spinning.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(spinning.info().state, unsigned{MAYFLY_PAUSED});
	expect_same(spinning.state(), want);
}

TEST_F(State, AnExceptionIsRaised)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	live::vcpu_state s = vm.state();

	s.flags = MAYFLY_STATE_EXCEPTION;
	s.exception = 13;
	s.error_code = 0x18;
	ASSERT_EQ(vm.set_state(s), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_TRIPLE_FAULT});
}

TEST_F(State, ANewRipIsWhereItGoesOn)
{
	const live::fd image = live::make_image(device, guests::exit_argument);
	const machine vm(image, device);

	vm.set_parameters(77);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 77);
}

struct wrong {
	const char *name;
	std::function<void(live::vcpu_state &)> make;
};

TEST_F(State, WhatHardwareWouldRefuseIsRefused)
{
	static const wrong cases[] = {
		{"unknown flag", [](auto &s) { s.flags = 8; }},
		{"waiting for what?", [](auto &s) { s.waiting = 3; }},
		{"a deadline without waiting", [](auto &s) { s.deadline = 1; }},
		{"cr0 without PG", [](auto &s) { s.cr0 &= ~0x80000000ull; }},
		{"cr0 without PE", [](auto &s) { s.cr0 &= ~1ull; }},
		{"cr0 with CD", [](auto &s) { s.cr0 |= 1u << 30; }},
		{"cr0 upper half", [](auto &s) { s.cr0 |= 1ull << 32; }},
		{"cr4 without PAE", [](auto &s) { s.cr4 &= ~0x20ull; }},
		{"cr4 with OSXSAVE", [](auto &s) { s.cr4 |= 1u << 18; }},
		{"cr4 with LA57", [](auto &s) { s.cr4 |= 1u << 12; }},
		{"cr4 reserved", [](auto &s) { s.cr4 |= 1ull << 40; }},
		{"cr3 beyond 36 bits", [](auto &s) { s.cr3 = 1ull << 36; }},
		{"cr3 with PCID", [](auto &s) { s.cr3 |= 1; }},
		{"cr4 without MCE", [](auto &s) { s.cr4 &= ~0x40ull; }},
		{"efer without LMA", [](auto &s) { s.efer &= ~(1ull << 10); }},
		{"efer with SVME", [](auto &s) { s.efer |= 1u << 12; }},
		{"efer reserved", [](auto &s) { s.efer |= 1ull << 20; }},
		{"rflags without bit 1", [](auto &s) { s.rflags &= ~2ull; }},
		{"rflags with VM", [](auto &s) { s.rflags |= 1u << 17; }},
		{"rflags reserved", [](auto &s) { s.rflags |= 1ull << 33; }},
		{"rip not canonical", [](auto &s) { s.rip = live::not_canonical(); }},
		{"cs not present", [](auto &s) { s.cs.attributes &= ~0x80; }},
		{"cs 32-bit", [](auto &s) { s.cs.attributes = 0xc9b; }},
		{"cs L and D", [](auto &s) { s.cs.attributes |= 0x400; }},
		{"cs data", [](auto &s) { s.cs.attributes = 0xc93; }},
		{"cs base", [](auto &s) { s.cs.base = 0x1000; }},
		{"cs attributes beyond 12 bits", [](auto &s) { s.cs.attributes |= 0x1000; }},
		{"cs and ss disagree on CPL", [](auto &s) { s.ss.attributes |= 0x60; }},
		{"ss code", [](auto &s) { s.ss.attributes = 0xc9b; }},
		{"ds not canonical", [](auto &s) { s.ds.base = 1ull << 50; }},
		{"ds beyond 32 bits", [](auto &s) { s.ds.base = 0xffff800000000000; }},
		{"es beyond 32 bits", [](auto &s) { s.es.base = 1ull << 32; }},
		{"ds limit against granularity", [](auto &s) { s.ds.limit = 0x12345000; }},
		{"fs not canonical", [](auto &s) { s.fs.base = 0x8000000000000000; }},
		{"tr available", [](auto &s) { s.tr.attributes = 0x89; }},
		{"tr absent", [](auto &s) { s.tr.attributes = 0; }},
		{"tr too short", [](auto &s) { s.tr.limit = 0x66; }},
		{"tr not canonical", [](auto &s) { s.tr.base = 1ull << 60; }},
		{"ldtr of a wrong type", [](auto &s) { s.ldtr.attributes = 0x8b; }},
		{"gdtr limit", [](auto &s) { s.gdtr.limit = 0x10000; }},
		{"gdtr not canonical", [](auto &s) { s.gdtr.base = live::not_canonical(); }},
		{"idtr reserved", [](auto &s) { s.idtr.reserved = 1; }},
		{"lstar not canonical", [](auto &s) { s.lstar = live::not_canonical(); }},
		{"cstar not canonical", [](auto &s) { s.cstar = live::not_canonical(); }},
		{"gs not canonical", [](auto &s) { s.gs.base = live::not_canonical(); }},
		{"kernel_gs_base not canonical", [](auto &s) { s.kernel_gs_base = 1ull << 62; }},
		{"sysenter_esp not canonical", [](auto &s) { s.sysenter_esp = 1ull << 63; }},
		{"sysenter_eip not canonical", [](auto &s) { s.sysenter_eip = live::not_canonical(); }},
		{"sysenter_cs", [](auto &s) { s.sysenter_cs = 1ull << 32; }},
		{"sfmask", [](auto &s) { s.sfmask = 1ull << 32; }},
		{"exception 32", [](auto &s) { s.flags = 1; s.exception = 32; }},
		{"exception NMI", [](auto &s) { s.flags = 1; s.exception = 2; }},
		{"exception #MC", [](auto &s) { s.flags = 1; s.exception = 18; }},
		{"error code for #UD", [](auto &s) { s.flags = 1; s.exception = 6; s.error_code = 1; }},
		{"exception without flag", [](auto &s) { s.exception = 13; }},
		{"mxcsr reserved", [](auto &s) { s.fpu[27] = 0x80; }},
	};
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	const live::vcpu_state good = vm.state();

	for (const wrong &one : cases) {
		live::vcpu_state s = good;

		one.make(s);
		EXPECT_EQ(vm.set_state(s), -EINVAL) << one.name;
	}
	// None of them has left a mark.
	const live::vcpu_state after = vm.state();

	EXPECT_EQ(std::memcmp(&after, &good, sizeof(good)), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 42);
}

/// GET_STATE with \p bend applied to its argument.
int bent_request(const machine &vm, unsigned long request, live::vcpu_state &state,
		 const std::function<void(mayfly_state &)> &bend)
{
	mayfly_state args = live::state_request(state);

	bend(args);
	return call(vm.handle(), request, &args);
}

TEST_F(State, ArgumentsOutOfRangeAreRefused)
{
	static const std::function<void(mayfly_state &)> wrong[] = {
		[](auto &a) { a.vcpu = 1; },
		[](auto &a) { a.flags = 1; },
		[](auto &a) { a.reserved[1] = 1; },
		[](auto &a) { a.registers_size = 0; },
		[](auto &a) { a.registers_size = 12; },
		[](auto &a) { a.registers_size = MAYFLY_ROW_MAX + 8; },
		[](auto &a) { a.extended_size = MAYFLY_FXSAVE_SIZE - 8; },
		[](auto &a) { a.extended_size = MAYFLY_ROW_MAX + 8; },
	};
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	live::vcpu_state state = vm.state();

	for (const auto &one : wrong)
		for (const unsigned long request : {MAYFLY_GET_STATE, MAYFLY_SET_STATE})
			EXPECT_EQ(bent_request(vm, request, state, one), -EINVAL) << &one - wrong;
}

/// An older caller knows fewer registers: it gets those, and the others stay.
TEST_F(State, AShorterOneLeavesTheRestAlone)
{
	const live::fd image = live::make_image(device, guests::exit_argument);
	const machine vm(image, device);
	const auto shorter = [](auto &a) {
		a.registers_size = sizeof(mayfly_vcpu_state::regs);
		a.extended_size = 0;
	};
	const live::vcpu_state before = vm.state();
	live::vcpu_state state{};

	ASSERT_EQ(bent_request(vm, MAYFLY_GET_STATE, state, shorter), 0);
	EXPECT_EQ(std::memcmp(state.regs, before.regs, sizeof(state.regs)), 0);
	EXPECT_EQ(state.rip, 0u);
	state.regs[8] = 77;
	ASSERT_EQ(bent_request(vm, MAYFLY_SET_STATE, state, shorter), 0);
	EXPECT_EQ(vm.state().rip, before.rip);
	EXPECT_EQ(std::memcmp(vm.state().fpu, before.fpu, sizeof(before.fpu)), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 77);
}

/// A newer one knows more of them: they read as zero, and must be.
TEST_F(State, ALongerOneIsZeroBehind)
{
	struct longer {
		mayfly_vcpu_state known;
		std::uint64_t newer;
	} registers;
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	live::vcpu_state state{};
	const auto point = [&](auto &a) {
		a.registers = live::address(&registers);
		a.registers_size = sizeof(registers);
	};

	std::memset(&registers, 0xff, sizeof(registers));
	ASSERT_EQ(bent_request(vm, MAYFLY_GET_STATE, state, point), 0);
	EXPECT_EQ(registers.newer, 0u);
	EXPECT_EQ(registers.known.rip, guests::entry);
	EXPECT_EQ(bent_request(vm, MAYFLY_SET_STATE, state, point), 0);
	registers.newer = 1;
	EXPECT_EQ(bent_request(vm, MAYFLY_SET_STATE, state, point), -E2BIG);
}

/// A waiting guest's state, given to another VM, makes that one wait.
TEST_F(State, CarriesWhatTheGuestWaitsFor)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine first(image, device), second(image, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(first.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	ASSERT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});

	live::vcpu_state state = first.state();

	EXPECT_EQ(state.waiting, unsigned{MAYFLY_WAITING_CALL});
	EXPECT_EQ(state.deadline, MAYFLY_FOREVER);
	ASSERT_EQ(second.set_state(state), 0);
	EXPECT_EQ(second.info().state, unsigned{MAYFLY_PARKED});
	// Events are part of it: with one there is nothing to wait for.
	state.events = 1;
	ASSERT_EQ(second.set_state(state), 0);
	EXPECT_EQ(second.info().state, unsigned{MAYFLY_READY});
	EXPECT_EQ(second.state().events, 1u);
}

TEST_F(State, OfARunningVmIsBusyAndOfAnEndedOneGone)
{
	const live::fd image = live::make_image(device, guests::spin_cli);
	const machine vm(image, device, MAYFLY_SPAWN_START);
	live::vcpu_state s{};

	EXPECT_EQ(live::get_state(vm.handle(), s), -EBUSY);
	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	ASSERT_EQ(live::get_state(vm.handle(), s), 0);
	EXPECT_EQ(vm.set_state(s), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	EXPECT_EQ(live::get_state(vm.handle(), s), -ESRCH);
	EXPECT_EQ(vm.set_state(s), -ESRCH);
}

}
