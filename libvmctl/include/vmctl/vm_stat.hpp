// SPDX-License-Identifier: Apache-2.0
/// \file
/// A VM in detail.
#pragma once

#include <cstdint>

#include "exit_reason.hpp"
#include "vm_info.hpp"

namespace vmctl
{

/// All that is counted of one VM, as of when it was asked.
struct vm_stat {
	/// The VM at a glance.
	vm_info info{};
	/// How often it left guest mode for each reason.
	by_exit_reason<std::uint64_t> exits{};
	/// Guest pages it holds alone.
	std::uint64_t guest_pages = 0;
	/// Pages of second-level tables it holds alone.
	std::uint64_t table_pages = 0;
	/// Pages that show it its devices: the device page and its kind.
	std::uint64_t device_pages = 0;
	/// Bytes of the module's structures.
	std::uint64_t struct_bytes = 0;
	/// Bytes the guest has written to its console so far.
	std::uint64_t console_bytes = 0;
	/// How many of those have been overwritten by later ones.
	std::uint64_t console_lost = 0;
	/// Times it parked.
	std::uint64_t parked = 0;
	/// Times its guest has said that it is ready for a snapshot.
	std::uint64_t ready = 0;
};

} // namespace vmctl
