// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

/// Brings lwIP's timers up to @p now, in nanoseconds of now_ns().
void advance_ticks(std::uint64_t now);

/// When a timer has to be looked at next; MAYFLY_FOREVER if none runs.
std::uint64_t next_tick();

/// A piece of a packet has come.
void expect_fragments(std::uint64_t now);
