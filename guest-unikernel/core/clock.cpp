// SPDX-License-Identifier: BSD-2-Clause
//
// The clock of the device page: the TSC scaled by Mayfly's numbers, which a
// sequence count guards against being read while they change.

#include <mayfly/clock.hpp>
#include <mayfly/vm.hpp>

namespace
{

struct reading {
	std::uint64_t monotonic;
	std::uint64_t wall_offset;
};

std::uint64_t read_tsc()
{
	std::uint32_t low, high;

	// Not before the sequence count has been read.
	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return std::uint64_t{high} << 32 | low;
}

reading read_clock()
{
	const auto &clock = mayfly::device_page().clock;

	for (;;) {
		const std::uint32_t before = clock.seq;
		const auto ticks = static_cast<unsigned __int128>(read_tsc());
		const reading now = {
			.monotonic = static_cast<std::uint64_t>(ticks * clock.mult >> clock.shift),
			.wall_offset = clock.wall_ns,
		};
		if ((before & 1) == 0 && clock.seq == before)
			return now;
		asm volatile("pause");
	}
}

}

std::uint64_t mayfly::now_ns()
{
	return read_clock().monotonic;
}

std::uint64_t mayfly::wall_ns()
{
	const auto now = read_clock();
	return now.wall_offset + now.monotonic;
}

bool mayfly::clock_is_stable()
{
	return (device_page().clock.flags & MAYFLY_CLOCK_STABLE) != 0;
}
