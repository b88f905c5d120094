// SPDX-License-Identifier: BSD-2-Clause
//
// The VM's console: bytes out (`vmctl logs` shows them), none in.

#pragma once

#include <cstddef>
#include <string_view>

namespace mayfly
{

/// Writes @p text as it is. Returns the bytes taken: fewer than given only when
/// @p text is not in this VM's memory.
std::size_t write(std::string_view text);

/// Writes formatted text, checked by the compiler: printf's conversions
/// %d %i %u %o %x %X %p %s %c %% with flags, width, precision and length; no
/// floating point. Leaves the VM once every 256 bytes.
[[gnu::format(printf, 1, 2)]] void print(const char *format, ...);

}
