// SPDX-License-Identifier: BSD-2-Clause
//
// The one way out of a VM. Everything else in this library is built on it; apps
// rarely need it.

#pragma once

#include <cstdint>
#include <mayfly_guest.h>

namespace mayfly
{

/// Virtual address at which the loader maps guest-physical address 0; the window
/// is 1 GiB long. Code, data and stack live in it.
inline constexpr std::uint64_t window = 0xffffffff80000000;

/// Calls Mayfly: @p number is MAYFLY_HC_*, the arguments' meaning depends on it
/// (mayfly_guest.h). Returns what Mayfly answered: negative is an errno.
inline std::int64_t hypercall(std::uint64_t number, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0)
{
	std::int64_t result;

	// The stub keeps every register but rax. It may read memory (console)
	// and change it (discard), hence the clobber.
	asm volatile("call %c[stub]"
		     : "=a"(result)
		     : [stub] "i"(window + MAYFLY_GPA_STUB), "a"(number), "D"(a), "S"(b), "d"(c)
		     : "memory", "cc");
	return result;
}

/// Ends the VM with @p status, at once: no destructor runs.
[[noreturn]] inline void end_vm(int status)
{
	hypercall(MAYFLY_HC_EXIT, static_cast<std::uint32_t>(status));
	__builtin_trap();
}

}
