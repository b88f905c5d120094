// SPDX-License-Identifier: BSD-2-Clause
//
// The clock goes forward, and waits last as long as they should.

#include "check.hpp"

#include <mayfly/clock.hpp>
#include <mayfly/events.hpp>

namespace
{

constexpr std::uint64_t millisecond = 1'000'000;
constexpr std::uint64_t year_2020 = 1'577'836'800 * mayfly::nanoseconds_per_second;
constexpr std::uint64_t year_2200 = 7'258'118'400 * mayfly::nanoseconds_per_second;

bool never_goes_back()
{
	auto last = mayfly::now_ns();

	for (int i = 0; i < 10'000; ++i) {
		const auto now = mayfly::now_ns();
		if (now < last)
			return false;
		last = now;
	}
	return true;
}

}

void check_time()
{
	check(never_goes_back(), "the clock never goes back");
	check(mayfly::wall_ns() > year_2020 && mayfly::wall_ns() < year_2200, "the date is plausible");

	const auto start = mayfly::now_ns();
	const auto deadline = start + 10 * millisecond;
	const auto events = mayfly::wait_until(deadline);
	const auto end = mayfly::now_ns();
	check(!events, "a wait ends without an event");
	check(end >= deadline, "it does not end before its deadline");
	check(end < deadline + 20 * mayfly::nanoseconds_per_second, "nor long after");

	check(!mayfly::wait_until(0), "a deadline in the past returns at once");
	check(!mayfly::wait_until(mayfly::now_ns()), "and so does one that is now");
}
