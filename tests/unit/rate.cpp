// SPDX-License-Identifier: Apache-2.0
// Limits of bytes a second, without a kernel.
#include <gtest/gtest.h>

extern "C" {
#include "net/rate.h"
}

namespace
{

constexpr u64 start = 77 * RATE_SECOND;

// Sends packets as soon as each may go. How long that has taken.
u64 time_for(unsigned packets, u32 bytes, u64 rate)
{
	u64 bucket = 0, now = start;

	for (unsigned i = 0; i < packets; i++) {
		now += rate_wait(bucket, now, RATE_BURST);
		EXPECT_EQ(rate_wait(bucket, now, RATE_BURST), 0u);
		rate_take(&bucket, now, bytes, rate);
	}
	return now - start;
}

TEST(rate, nothing_waits_at_first)
{
	EXPECT_EQ(rate_wait(0, 0, RATE_BURST), 0u);
	EXPECT_EQ(rate_wait(0, start, RATE_BURST), 0u);
	EXPECT_EQ(time_for(1, 65535, 1), 0u) << "one packet of any length";
}

TEST(rate, as_much_as_a_burst_goes_at_once)
{
	EXPECT_EQ(time_for(100, 1000, 1'000'000), 0u);
	EXPECT_GT(time_for(102, 1000, 1'000'000), 0u);
}

TEST(rate, then_the_rate_holds)
{
	for (const u64 rate : {1000ull, 125'000ull, 1'000'000'000ull})
		for (const u32 bytes : {20u, 1500u, 65535u}) {
			const u64 whole = 1000 * bytes * RATE_SECOND / rate;
			const u64 took = time_for(1001, bytes, rate);

			EXPECT_LE(took, whole) << rate << ' ' << bytes;
			EXPECT_GE(took + RATE_BURST + 1001, whole) << rate << ' ' << bytes;
		}
}

TEST(rate, what_was_not_used_is_one_burst_at_most)
{
	u64 bucket = 0;

	rate_take(&bucket, start, 1000, 1000);
	EXPECT_EQ(rate_wait(bucket, start, RATE_BURST), RATE_SECOND - RATE_BURST);
	EXPECT_EQ(rate_wait(bucket, start + RATE_SECOND, RATE_BURST), 0u);
	rate_take(&bucket, start + 100 * RATE_SECOND, 1000, 1000);
	EXPECT_EQ(rate_wait(bucket, start + 100 * RATE_SECOND, RATE_BURST), RATE_SECOND - RATE_BURST);
}

TEST(rate, extremes)
{
	u64 bucket = 0;

	rate_take(&bucket, start, 65535, 1);
	EXPECT_EQ(rate_wait(bucket, start, RATE_BURST), 65535 * RATE_SECOND - RATE_BURST);
	bucket = 0;
	rate_take(&bucket, start, 65535, UINT64_MAX);
	EXPECT_EQ(bucket, start);
}

} // namespace
