// SPDX-License-Identifier: BSD-2-Clause
//
// daytime [LINES]: prints the time each second, UTC and ISO 8601, until it has
// printed LINES of them or is asked to stop. It sleeps in between.

#include "date.hpp"

#include <charconv>
#include <mayfly/clock.hpp>
#include <mayfly/console.hpp>
#include <mayfly/events.hpp>
#include <string_view>

namespace
{

constexpr int usage_error = 2;

void print_time(std::uint64_t wall)
{
	const auto now = date_of(wall / mayfly::nanoseconds_per_second);

	mayfly::print("%04lu-%02u-%02uT%02u:%02u:%02uZ\n", now.year, now.month, now.day, now.hour, now.minute,
		      now.second);
}

// Sleeps until the wall clock shows @second; false if we shall stop before.
bool sleep_until(std::uint64_t second)
{
	const auto target = second * mayfly::nanoseconds_per_second;

	for (;;) {
		const auto wall = mayfly::wall_ns();
		if (wall >= target)
			return true;
		if (mayfly::wait_until(mayfly::now_ns() + (target - wall)).stop())
			return false;
	}
}

}

int main(int argc, char **argv)
{
	std::uint64_t lines = UINT64_MAX;

	if (argc > 1) {
		const std::string_view text = argv[1];
		const auto [end, error] = std::from_chars(text.begin(), text.end(), lines);
		if (error != std::errc{} || end != text.end()) {
			mayfly::print("daytime: not a number of lines: %s\n", argv[1]);
			return usage_error;
		}
	}

	while (lines-- != 0) {
		const auto wall = mayfly::wall_ns();
		print_time(wall);
		if (lines != 0 && !sleep_until(wall / mayfly::nanoseconds_per_second + 1))
			break;
	}
	return 0;
}
