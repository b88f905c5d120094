// SPDX-License-Identifier: BSD-2-Clause
//
// Where memory is, and giving it back.

#pragma once

#include <cstddef>
#include <cstdint>
#include <mayfly/hypercall.hpp>

namespace mayfly
{

inline constexpr std::size_t page_size = 4096;

/// Virtual address of guest-physical address 0 in the map of all memory (up to
/// 64 GiB). The heap lives in it; code, data and stack are seen here too.
inline constexpr std::uint64_t direct_map = 0xffffff8000000000;

/// The guest-physical address of what @p pointer points at.
inline std::uint64_t gpa_of(const volatile void *pointer)
{
	const auto address = reinterpret_cast<std::uint64_t>(pointer);
	return address - (address >= window ? window : direct_map);
}

/// A pointer to guest-physical address @p gpa.
template <typename T = void> T *at_gpa(std::uint64_t gpa)
{
	return reinterpret_cast<T *>(direct_map + gpa);
}

/// Gives @p pages whole pages from @p start on back to the host. They read as
/// zero (as the image's bytes where there are any) afterwards, and cost nothing
/// until written again. Returns 0, or -EINVAL (-22) when @p start is not
/// page-aligned or the range is not this VM's memory; then the pages before the
/// offending 512 are gone.
int discard(void *start, std::size_t pages);

}
