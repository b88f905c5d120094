// SPDX-License-Identifier: Apache-2.0
//
// What is decided by CPUID and MSRs of CPUs that no emulator has.

extern "C" {
#include "cpu/mcheck.h"
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

}
