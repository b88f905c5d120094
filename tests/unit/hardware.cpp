// SPDX-License-Identifier: Apache-2.0
//
// What is decided by CPUID and MSRs of CPUs that no emulator has.

extern "C" {
#include "cpu/mcheck.h"
#include "cpu/svm/srso.h"
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
