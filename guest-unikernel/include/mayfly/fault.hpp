// SPDX-License-Identifier: BSD-2-Clause
//
// Surviving a CPU exception on purpose. Without this a fault is reported on the
// console and ends the VM with status 128 + vector.

#pragma once

#include <cstdint>
#include <optional>

namespace mayfly
{

/// The vectors of the CPU's exceptions that have something to tell.
enum class vector : std::uint8_t {
	divide = 0,
	debug = 1,
	breakpoint = 3,
	invalid_opcode = 6,
	double_fault = 8,
	general_protection = 13,
	page_fault = 14,
};

/// What happened.
struct fault {
	mayfly::vector vector;
	std::uint64_t rip;        ///< the instruction, or the one after a trap
	std::uint64_t error_code; ///< 0 for vectors without one
	std::uint64_t address;    ///< of a page fault, else 0
};

/// The fault that has been caught last.
const fault &last_fault();

extern "C" bool call_catching(void (*body)(void *), void *argument);

/// Runs @p body. Returns the fault that ended it early, or nothing. Objects made
/// inside @p body are abandoned by a fault, not destroyed.
template <typename F> std::optional<fault> catch_fault(F body)
{
	if (!call_catching([](void *f) { (*static_cast<F *>(f))(); }, &body))
		return std::nullopt;
	return last_fault();
}

}
