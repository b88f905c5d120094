// SPDX-License-Identifier: BSD-2-Clause
//
// Hypercalls answer bad arguments with an errno and keep the registers.

#include "check.hpp"

#include <mayfly/clock.hpp>
#include <mayfly/events.hpp>
#include <mayfly/hypercall.hpp>
#include <mayfly/memory.hpp>
#include <mayfly/vm.hpp>

/// Calls with known values in all registers; returns the bits of those that have
/// changed (registers.S).
extern "C" unsigned long registers_changed(std::uint64_t number, std::uint64_t argument);

namespace
{

constexpr std::int64_t no_entry = -2;
constexpr std::int64_t bad_address = -14;
constexpr std::int64_t invalid = -22;
constexpr std::int64_t no_such_call = -38;

void check_call(std::int64_t result, std::int64_t expected, const char *what)
{
	check_equal(static_cast<unsigned long>(result), static_cast<unsigned long>(expected), what);
}

void check_bad_arguments()
{
	using mayfly::hypercall;
	const auto end = mayfly::memory_bytes();

	for (const std::uint64_t number : {5ul, 7ul, 1000ul, ~0ul, 1ul << 32})
		check_call(hypercall(number), no_such_call, "an unknown hypercall is -ENOSYS");

	check_call(hypercall(MAYFLY_HC_CONSOLE, end, 1), bad_address, "console behind memory");
	check_call(hypercall(MAYFLY_HC_CONSOLE, end - 1, 2), bad_address, "console across its end");
	check_call(hypercall(MAYFLY_HC_CONSOLE, end - 2048, 4096), bad_address,
		   "console far across its end takes nothing");
	check_call(hypercall(MAYFLY_HC_CONSOLE, ~0ul, 2), bad_address, "console that wraps");
	check_call(hypercall(MAYFLY_HC_CONSOLE, 0, 1), bad_address, "console at null");

	check_call(hypercall(MAYFLY_HC_DISCARD, end - 4095, 1), invalid, "discard unaligned");
	check_call(hypercall(MAYFLY_HC_DISCARD, end, 1), invalid, "discard behind memory");
	check_call(hypercall(MAYFLY_HC_DISCARD, end - 4096, 2), invalid, "discard across its end");
	check_call(hypercall(MAYFLY_HC_DISCARD, end - 4096, 1ul << 52), invalid, "discard that wraps");
	check_call(hypercall(MAYFLY_HC_DISCARD, MAYFLY_GPA_DEVICE, 1), invalid, "discard of the device page");

	check_call(mayfly::notify(0), no_entry, "notify without a channel");
	check_call(mayfly::notify(~0ul), no_entry, "notify far away");
}

}

void check_hypercalls()
{
	check_bad_arguments();
	check_equal(registers_changed(12345, 0), 0, "registers are kept");
	check_equal(registers_changed(MAYFLY_HC_READY, 0), 0, "registers are kept by ready()");
	check_equal(registers_changed(MAYFLY_HC_WAIT, mayfly::now_ns() + 1'000'000), 0,
		    "registers are kept across parking");
}
