// SPDX-License-Identifier: Apache-2.0
//
// What the measuring programs share: the clock, averages, calls that must work.

#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include <sys/ioctl.h>
#include <x86intrin.h>

namespace bench
{

/// Under `nested-host --icount` the number of instructions executed so far, plus
/// the nanoseconds that the CPU has been idle.
inline std::uint64_t ticks()
{
	_mm_lfence();
	return __rdtsc();
}

/// The same of this thread alone: neither idle time nor other threads.
inline std::uint64_t own_ticks()
{
	timespec now{};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Says what went wrong, with errno, and ends the program.
[[noreturn]] inline void die(const char *what)
{
	std::fprintf(stderr, "bench: %s: %s\n", what, std::strerror(errno));
	std::exit(1);
}

/// ioctl(2) that must work. What the kernel returned.
template <class Argument> int call(int fd, unsigned long request, Argument argument, const char *what)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		die(what);
	return result;
}

inline double median(std::vector<double> values)
{
	auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);

	std::nth_element(values.begin(), middle, values.end());
	return *middle;
}

/// Ticks that \p rounds of two instructions take; the least of several readings,
/// as interrupts make some larger.
inline std::uint64_t ticks_of_loop(std::uint64_t rounds)
{
	std::uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 5; i++) {
		std::uint64_t left = rounds;
		const std::uint64_t start = ticks();

		asm volatile("1: dec %0; jnz 1b" : "+r"(left) : : "cc");
		least = std::min(least, ticks() - start);
	}
	return least;
}

/// Whether own_ticks() runs as fast as ticks(). The kernel corrects its idea of the
/// TSC's frequency in the second second after boot.
inline bool own_ticks_agree()
{
	constexpr std::uint64_t window = 1'000'000, patience = 3'000'000'000;
	const std::uint64_t first = ticks();

	while (ticks() - first < patience) {
		const std::uint64_t own_start = own_ticks(), start = ticks();

		while (ticks() - start < window)
			;
		const std::uint64_t all = ticks() - start, own = own_ticks() - own_start;
		if (own > all - all / 1000 && own < all + all / 1000)
			return true;
	}
	return false;
}

/// Ends the program if ticks are no instructions here. Says how it knows.
inline void check_clock()
{
	constexpr std::uint64_t rounds = 100'000, instructions = 2 * rounds;
	const std::uint64_t found = ticks_of_loop(rounds);

	std::fprintf(stderr, "counted with the TSC: %llu ticks for a loop of %llu instructions\n",
		     static_cast<unsigned long long>(found), static_cast<unsigned long long>(instructions));
	if (found < instructions || found > instructions + instructions / 1000) {
		std::fprintf(stderr, "bench: the TSC does not count instructions: --icount does that\n");
		std::exit(1);
	}
	if (!own_ticks_agree()) {
		std::fprintf(stderr, "bench: the threads' clock disagrees with the TSC\n");
		std::exit(1);
	}
}

/// Ticks that a few thousand instructions take which always are the same.
inline std::uint64_t spin()
{
	const std::uint64_t start = ticks();

	for (unsigned i = 0; i < 2000; i++)
		asm volatile("");
	return ticks() - start;
}

/// Spins for \p window ticks. How many of them somebody else has used:
/// interrupts, what they started, other threads.
inline double taken_by_others(std::uint64_t window)
{
	const std::uint64_t start = ticks();
	std::uint64_t least = spin(), sum = 0, rounds = 0;

	while (ticks() - start < window) {
		const std::uint64_t round = spin();

		least = std::min(least, round);
		sum += round;
		rounds++;
	}
	return static_cast<double>(sum - rounds * least);
}

/// What one operation costs, in instructions, by the names of --json.
struct costs {
	double create_cold = 0;      ///< until the guest has left guest mode once
	double create_own = 0;       ///< of those, in the caller's own thread
	double exit = 0;             ///< guest to kernel and back
	double exit_cpuid = 0;       ///< the same, for CPUID
	double destroy = 0;          ///< as the caller sees it, waiting included
	double destroy_own = 0;      ///< of those, in the caller's own thread
	double destroy_deferred = 0; ///< later, by others: RCU and workers
};

inline constexpr unsigned trips = 1000;            // per reading of exit
inline constexpr unsigned readings = 15;           // of exit; their median counts
inline constexpr std::uint64_t quiet = 60'000'000; // ticks in which others catch up

}
