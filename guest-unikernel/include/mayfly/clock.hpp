// SPDX-License-Identifier: BSD-2-Clause
//
// Time without leaving the VM.

#pragma once

#include <cstdint>

namespace mayfly
{

inline constexpr std::uint64_t nanoseconds_per_second = 1'000'000'000;

/// Nanoseconds since this VM was made. Never goes back while clock_is_stable().
/// Deadlines of wait_until() are on this clock.
std::uint64_t now_ns();

/// Nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
std::uint64_t wall_ns();

/// Whether the host trusts its TSC; where it does not, time is only a hint.
bool clock_is_stable();

}
