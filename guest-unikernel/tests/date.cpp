// SPDX-License-Identifier: BSD-2-Clause

#include "daytime/date.hpp"

#include <ctime>
#include <gtest/gtest.h>

namespace
{

void expect_as_libc(std::uint64_t seconds)
{
	const auto date = date_of(seconds);
	const auto time = static_cast<time_t>(seconds);
	tm expected = {};

	gmtime_r(&time, &expected);
	EXPECT_EQ(date.year, static_cast<std::uint64_t>(expected.tm_year) + 1900) << seconds;
	EXPECT_EQ(date.month, static_cast<unsigned>(expected.tm_mon) + 1) << seconds;
	EXPECT_EQ(date.day, static_cast<unsigned>(expected.tm_mday)) << seconds;
	EXPECT_EQ(date.hour, static_cast<unsigned>(expected.tm_hour)) << seconds;
	EXPECT_EQ(date.minute, static_cast<unsigned>(expected.tm_min)) << seconds;
	EXPECT_EQ(date.second, static_cast<unsigned>(expected.tm_sec)) << seconds;
}

TEST(date, every_day_of_500_years)
{
	for (std::uint64_t day = 0; day < 500 * 366; ++day)
		expect_as_libc(day * 86'400 + day % 86'400);
}

TEST(date, last_second_of_a_day)
{
	expect_as_libc(951'868'799); // 2000-02-29T23:59:59
	expect_as_libc(1'798'761'599);
	expect_as_libc(18'446'744'073); // the largest wall clock
}

}
