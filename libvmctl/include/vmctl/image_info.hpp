// SPDX-License-Identifier: Apache-2.0
/// \file
/// An image at a glance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "module_info.hpp"

namespace vmctl
{

/// What kind of guest is in an image.
enum class guest_profile : std::uint32_t {
	unikernel = 1, ///< a program that is its own kernel
};

/// `unikernel`; `unknown` for one this library does not know.
[[nodiscard]] std::string_view to_string(guest_profile profile);

/// An image at a glance, as of when it was asked.
struct image_info {
	/// Unique for the life of the module, from 1.
	std::uint64_t id = 0;
	/// The image it was derived from, which may be gone; 0 for none.
	std::uint64_t parent = 0;
	/// Bytes it holds: pages and tables.
	std::uint64_t bytes = 0;
	/// VMs and open handles that keep it; image::info() counts its own.
	std::uint64_t users = 0;
	/// Bytes of memory that a VM of it needs at least.
	std::uint64_t memory_min = 0;
	/// Bytes of memory that a VM gets whose maker has no preference.
	std::uint64_t memory_default = 0;
	/// When it was made: nanoseconds of Unix time.
	std::uint64_t created_ns = 0;
	/// It was made from a VM: VMs made from it go on from there.
	bool snapshot = false;
	/// Its guests count the TSC's ticks, and could not bear another frequency.
	bool same_tsc = false;
	/// Its owner, as the caller's user namespace sees it.
	std::uint32_t uid = 0;
	/// What kind of guest is in it.
	guest_profile profile = guest_profile::unikernel;
	/// The maker of the CPU that its guests see, wherever they run.
	cpu_vendor vendor = cpu_vendor::amd;
	/// What that CPU can do.
	cpu_level level = cpu_level::sse2;
	/// What it was made from; lists of VMs show it. Not to be trusted on a terminal.
	std::string label{};
	/// Unique among its owner's images; empty for none.
	std::string name{};
};

} // namespace vmctl
