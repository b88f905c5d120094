// SPDX-License-Identifier: Apache-2.0
//
// What is decided by CPUID and MSRs of CPUs that no emulator has.

extern "C" {
#include "cpu/mcheck.h"
#include "cpu/svm/denied.h"
#include "cpu/svm/srso.h"
#include "cpu/vmx/choice.h"
#include "cpu/vmx/denied.h"
}

#include <gtest/gtest.h>

namespace
{

/// MCG_STATUS of a machine check in progress.
constexpr u64 in_progress = 1 << 2;

TEST(MachineCheck, IsAnothersWhereThisCpuCanGoOnAndHasNoError)
{
	EXPECT_TRUE(mcheck_is_anothers(in_progress | MCHECK_RIPV));
	EXPECT_FALSE(mcheck_is_anothers(in_progress)) << "it cannot go on";
	EXPECT_FALSE(mcheck_is_anothers(in_progress | MCHECK_EIPV));
	EXPECT_FALSE(mcheck_is_anothers(in_progress | MCHECK_RIPV | MCHECK_EIPV)) << "the error is its own";
	EXPECT_FALSE(mcheck_is_anothers(0));
}

/// APM 2 C.1: what we intercept and guests do not have.
TEST(DeniedBySvm, InstructionsBecomeTheExceptionOfACpuWithoutThem)
{
	for (const u32 code : {0xa0u, 0xa1u, 0xa2u, 0xa3u, 0xa4u, 0x8eu, 0x8au, 0x8bu, 0x80u, 0x7au})
		EXPECT_EQ(svm_denied(code), 6) << code;
	for (const u32 code : {0x10u, 0x14u, 0x18u, 0x20u, 0x37u, 0x7bu, 0x6fu, 0x89u})
		EXPECT_EQ(svm_denied(code), 13) << code;
}

TEST(DeniedBySvm, OtherExitsAreNot)
{
	// Interrupts, CPUID, HLT, MSRs, a shutdown, VMMCALL, nested faults, a refused entry.
	for (const u32 code : {0x60u, 0x61u, 0x72u, 0x78u, 0x7cu, 0x7fu, 0x81u, 0x400u, 0xa5u, ~0u})
		EXPECT_EQ(svm_denied(code), 0) << code;
}

/// SDM 3D C.
TEST(DeniedByVmx, InstructionsBecomeTheExceptionOfACpuWithoutThem)
{
	for (const u32 reason : {19u, 27u, 36u, 39u, 50u, 51u, 53u, 55u, 57u, 58u, 60u, 61u, 76u, 77u})
		EXPECT_EQ(vmx_denied(reason), 6) << reason;
	for (const u32 reason : {13u, 15u, 28u, 29u, 30u, 54u})
		EXPECT_EQ(vmx_denied(reason), 13) << reason;
}

TEST(DeniedByVmx, OtherExitsAreNot)
{
	for (const u32 reason : {0u, 1u, 2u, 10u, 12u, 18u, 31u, 32u, 48u, 52u, 1u << 31 | 33u, 1u << 31 | 41u})
		EXPECT_EQ(vmx_denied(reason), 0) << reason;
}

TEST(VmxControls, WhatIsLikedIsOnWhereTheCpuHasIt)
{
	constexpr vmx_choice choice = {.want = 1, .like = 0x40, .unwanted = 0x8000};
	u32 result = 0;

	EXPECT_TRUE(vmx_choose(0x41ull << 32 | 0x10, choice, &result));
	EXPECT_EQ(result, 0x51u);
	// Hyper-V below: no preemption timer.
	EXPECT_TRUE(vmx_choose(0x11ull << 32 | 0x10, choice, &result));
	EXPECT_EQ(result, 0x11u);
}

TEST(VmxControls, WhatIsWantedMustBeThereAndWhatIsUnwantedMustNot)
{
	constexpr vmx_choice choice = {.want = 3, .like = 0, .unwanted = 0x8000};
	u32 result = 0;

	EXPECT_FALSE(vmx_choose(0x1ull << 32, choice, &result));
	EXPECT_FALSE(vmx_choose(0x8003ull << 32 | 0x8000, choice, &result));
	EXPECT_TRUE(vmx_choose(0x8003ull << 32, choice, &result)) << "it may be off";
	EXPECT_EQ(result, 3u);
}

TEST(Srso, IsTheKernelsBusinessBeforeZen5)
{
	for (const unsigned int family : {0x10u, 0x17u, 0x19u})
		EXPECT_EQ(srso_needs(family, 0), SRSO_NOTHING) << family;
}

TEST(Srso, OfZen5IsBarredByWhatTheCpuHas)
{
	constexpr u32 user_kernel_no = 1u << 30;

	EXPECT_EQ(srso_needs(0x1a, user_kernel_no), SRSO_BARRIER);
	EXPECT_EQ(srso_needs(0x1a, user_kernel_no | CPUID_SRSO_BP_SPEC_REDUCE), SRSO_REDUCE);
	EXPECT_EQ(srso_needs(0x1a, CPUID_SRSO_NO), SRSO_NOTHING);
	EXPECT_EQ(srso_needs(0x1a, CPUID_SRSO_NO | CPUID_SRSO_BP_SPEC_REDUCE), SRSO_NOTHING);
	EXPECT_EQ(srso_needs(0x1b, user_kernel_no), SRSO_BARRIER) << "newer ones say so when they are not affected";
}

}
