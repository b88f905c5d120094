// SPDX-License-Identifier: Apache-2.0
//
// The CPU a guest sees, for each vendor and level. What a guest makes of it is in its
// selftest.

#include <cstring>
#include <string>

#include <gtest/gtest.h>

extern "C" {
#include "guest/cpuid.h"
#include "uapi/mayfly.h"
}

namespace
{

std::string vendor_of(u32 vendor)
{
	const cpuid_result zero = cpuid_answer(vendor, MAYFLY_CPU_SSE2, 0, 0);
	const u32 words[] = {zero.ebx, zero.edx, zero.ecx};

	return {reinterpret_cast<const char *>(words), sizeof(words)};
}

bool is_zero(const cpuid_result &result)
{
	return !(result.eax | result.ebx | result.ecx | result.edx);
}

TEST(Cpuid, HasTheVendorOfTheImage)
{
	EXPECT_EQ(vendor_of(MAYFLY_VENDOR_AMD), "AuthenticAMD");
	EXPECT_EQ(vendor_of(MAYFLY_VENDOR_INTEL), "GenuineIntel");
}

TEST(Cpuid, SaysMayflyWhereHypervisorsDo)
{
	for (const u32 vendor : {MAYFLY_VENDOR_AMD, MAYFLY_VENDOR_INTEL}) {
		const cpuid_result base = cpuid_answer(vendor, MAYFLY_CPU_SSE2, 0x40000000, 0);
		const u32 words[] = {base.ebx, base.ecx, base.edx};

		EXPECT_EQ(std::memcmp(words, "MayflyMayfly", sizeof(words)), 0);
	}
}

/// glibc takes AMD's family 15 and Intel's 6 for CPUs it knows.
TEST(Cpuid, HasAFamilyThatProgramsKnow)
{
	EXPECT_EQ(cpuid_answer(MAYFLY_VENDOR_AMD, MAYFLY_CPU_SSE2, 1, 0).eax >> 8, 15u);
	EXPECT_EQ(cpuid_answer(MAYFLY_VENDOR_INTEL, MAYFLY_CPU_SSE2, 1, 0).eax >> 8, 6u);
}

/// SDM 2A, CPUID leaf 1, ecx.
TEST(Cpuid, LevelTwoAddsSevenBits)
{
	for (const u32 vendor : {MAYFLY_VENDOR_AMD, MAYFLY_VENDOR_INTEL}) {
		const cpuid_result one = cpuid_answer(vendor, MAYFLY_CPU_SSE2, 1, 0);
		const cpuid_result two = cpuid_answer(vendor, MAYFLY_CPU_SSE42, 1, 0);

		EXPECT_EQ(one.ecx, 0x80002000u);
		EXPECT_EQ(two.ecx,
			  0x80002000u | 1u << 0 | 1u << 1 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 23 | 1u << 25);
		EXPECT_EQ(one.edx, two.edx);
		EXPECT_EQ(cpuid_answer(vendor, MAYFLY_CPU_SSE42, 7, 0).ebx, 0u);
	}
}

TEST(Cpuid, OnlyCachesHaveSubleaves)
{
	EXPECT_FALSE(is_zero(cpuid_answer(MAYFLY_VENDOR_INTEL, MAYFLY_CPU_SSE2, 4, 3)));
	EXPECT_TRUE(is_zero(cpuid_answer(MAYFLY_VENDOR_INTEL, MAYFLY_CPU_SSE2, 4, 4)));
	EXPECT_TRUE(is_zero(cpuid_answer(MAYFLY_VENDOR_AMD, MAYFLY_CPU_SSE2, 4, 0)));
	EXPECT_FALSE(is_zero(cpuid_answer(MAYFLY_VENDOR_AMD, MAYFLY_CPU_SSE2, 1, 17)));
}

}
