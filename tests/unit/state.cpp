// SPDX-License-Identifier: Apache-2.0
//
// The judgement of vCPU states from outside. The live tests put each wrong state
// through SET_STATE; here are the edges of what is right.

#include <array>
#include <cstring>

#include <gtest/gtest.h>

extern "C" {
#include "cpu/state.h"
}

namespace
{

class States : public ::testing::Test
{
protected:
	States() { state_init(&s, 0xffffffff80100000, 0x1000, 0x10000, 0xffffffff80002000); }

	mayfly_vcpu_state s{};
};

TEST_F(States, TheFirstOneIsValid)
{
	EXPECT_TRUE(state_is_valid(&s));
	EXPECT_EQ(s.rip, 0xffffffff80100000);
	EXPECT_EQ(s.regs[MAYFLY_RSP], 0x1000u);
	EXPECT_EQ(s.regs[MAYFLY_RDI], 0xffffffff80002000);
	EXPECT_EQ(s.cr3, 0x10000u);
}

TEST_F(States, CanonicalAddresses)
{
	for (const u64 good : {0ull, 0x7fffffffffffull, 0xffff800000000000ull, ~0ull})
		EXPECT_TRUE(state_canonical(good)) << good;
	for (const u64 bad : {0x800000000000ull, 0xffff7fffffffffffull, 1ull << 63, 0xfffeull << 48})
		EXPECT_FALSE(state_canonical(bad)) << bad;
}

/// A guest has four levels of paging even there, but the CPU lets it write such MSRs.
TEST_F(States, CanonicalAddressesWhereTheCpuHasFiveLevels)
{
	state_linear_bits = 57;
	for (const u64 good : {0xffffffffffffffull, 0xff00000000000000ull, 0x800000000000ull, ~0ull}) {
		EXPECT_TRUE(state_canonical(good)) << good;
		s.lstar = s.fs.base = s.sysenter_esp = good;
		EXPECT_TRUE(state_is_valid(&s)) << good;
	}
	for (const u64 bad : {0x100000000000000ull, 0xfeffffffffffffffull, 1ull << 63}) {
		EXPECT_FALSE(state_canonical(bad)) << bad;
		s.lstar = bad;
		EXPECT_FALSE(state_is_valid(&s)) << bad;
	}
	s.lstar = 0;
	s.cr4 |= 1u << 12;
	EXPECT_FALSE(state_is_valid(&s));
	state_linear_bits = 48;
}

/// AMD's bit 17 is a guest's to set, so a state that was read has to be taken back.
TEST_F(States, MxcsrIsJudgedByTheCpu)
{
	std::array<u8, 512> fpu{};

	state_init_fpu(fpu.data());
	fpu[26] = 0x02;
	EXPECT_FALSE(state_fpu_is_valid(fpu.data()));
	state_mxcsr_bits = 0x2ffff;
	EXPECT_TRUE(state_fpu_is_valid(fpu.data()));
	fpu[26] = 0x01;
	EXPECT_FALSE(state_fpu_is_valid(fpu.data()));
	state_mxcsr_bits = 0xffff;
}

TEST_F(States, AlignmentIsCheckedForUsersWhoAskForIt)
{
	EXPECT_FALSE(state_checks_alignment(&s, 3));
	s.cr0 |= 1u << 18;
	EXPECT_FALSE(state_checks_alignment(&s, 3)) << "AM without AC";
	s.rflags |= 1u << 18;
	EXPECT_TRUE(state_checks_alignment(&s, 3));
	for (const u8 cpl : {u8{0}, u8{1}, u8{2}})
		EXPECT_FALSE(state_checks_alignment(&s, cpl)) << unsigned{cpl};
	s.cr0 &= ~u64{1u << 18};
	EXPECT_FALSE(state_checks_alignment(&s, 3)) << "AC without AM";
}

TEST_F(States, AbsentDataSegmentsAreFine)
{
	s.ds = s.es = s.fs = s.gs = {};
	s.fs.base = 0xffff800000001000;
	EXPECT_TRUE(state_is_valid(&s));
}

TEST_F(States, OnlyFsAndGsHaveBasesOf64Bits)
{
	for (mayfly_segment_register *one : {&s.ds, &s.es}) {
		one->base = 0xffffffff;
		EXPECT_TRUE(state_is_valid(&s));
		one->base = 0x100000000;
		EXPECT_FALSE(state_is_valid(&s));
		one->base = 0;
	}
	s.fs.base = s.gs.base = 0xffff800000000000;
	EXPECT_TRUE(state_is_valid(&s));
}

TEST_F(States, UserMode)
{
	s.cs.selector = 0x1b;
	s.cs.attributes |= 0x60;
	s.ss.selector = 0x23;
	s.ss.attributes |= 0x60;
	EXPECT_TRUE(state_is_valid(&s));
	s.cs.attributes &= ~0x60;
	EXPECT_FALSE(state_is_valid(&s)) << "code of ring 0 with a stack of ring 3";
}

TEST_F(States, ConformingCodeMayBeMorePrivileged)
{
	s.cs.attributes |= 4;
	EXPECT_TRUE(state_is_valid(&s));
	s.cs.attributes |= 0x60;
	EXPECT_FALSE(state_is_valid(&s)) << "conforming, but less privileged than CPL";
}

TEST_F(States, EveryExceptionThatMayBeRaised)
{
	// 2 NMI, 3 and 4 belong to an instruction, 9 and 15 reserved, 18 #MC, 20 and on not for guests like these.
	for (u32 vector = 0; vector < 40; vector++) {
		s.flags = MAYFLY_STATE_EXCEPTION;
		s.exception = vector;
		const bool good = vector < 20 && vector != 2 && vector != 3 && vector != 4 && vector != 9 &&
				  vector != 15 && vector != 18;

		EXPECT_EQ(state_is_valid(&s), good) << vector;
	}
}

TEST_F(States, EveryBitOfTheControlRegistersIsJudged)
{
	const auto flips = [this](__u64 &field) {
		u64 allowed = 0;

		for (int bit = 0; bit < 64; bit++) {
			field ^= 1ull << bit;
			allowed |= static_cast<u64>(state_is_valid(&s)) << bit;
			field ^= 1ull << bit;
		}
		return allowed;
	};

	// MP EM TS WP AM; DE PSE TSD PGE OSFXSR OSXMMEXCPT; SCE NX.
	EXPECT_EQ(flips(s.cr0), 0x5000eu);
	EXPECT_EQ(flips(s.cr4), 0x69cu);
	EXPECT_EQ(flips(s.efer), 0x801u);
	EXPECT_EQ(flips(s.cr3), 0xffffff018u);
	// All flags but VM, VIF, VIP and what is reserved.
	EXPECT_EQ(flips(s.rflags), 0x257fd5u);
}

TEST_F(States, LimitsFitTheirGranularity)
{
	s.ds.attributes &= ~0x800;
	EXPECT_FALSE(state_is_valid(&s)) << "4 GiB in bytes does not fit 20 bits";
	s.ds.limit = 0xfffff;
	EXPECT_TRUE(state_is_valid(&s));
	s.ds.attributes |= 0x800;
	s.ds.limit = 0xfffff000;
	EXPECT_FALSE(state_is_valid(&s));
}

}
