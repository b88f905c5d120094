// SPDX-License-Identifier: Apache-2.0
/// \file
/// VMs that are made when a packet comes for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace vmctl
{

/// Ports that a range can be limited to.
inline constexpr std::size_t most_services = 16;

/// VMs that a user's ranges can have made in a second.
inline constexpr std::uint32_t most_births = 1000;

/// A VM that has had nothing to do can be left alone for so long.
inline constexpr std::chrono::hours longest_idle{24};

/// A port that VMs are made for.
struct service {
	std::uint16_t port = 0;
	bool udp = false; ///< else TCP

	bool operator==(const service &) const = default;
};

/// Addresses of a network that get their VMs when a packet comes for one.
struct demand_range {
	std::uint32_t first = 0; ///< the lowest, as a number
	std::uint32_t last = 0;  ///< the highest
	/// A VM that waits ends when nothing has come or gone for so long, and ten times as
	/// long while its guest says that connections are open. 0: never.
	std::chrono::milliseconds idle{2000};
	std::uint32_t rate = most_births;                              ///< VMs made a second, with bursts of 256
	std::uint32_t max = std::numeric_limits<std::uint32_t>::max(); ///< VMs at once
	/// No other packets than theirs make a VM. Empty: those of TCP and UDP, and pings.
	std::vector<service> services{};
};

/// A range that is registered.
struct demand_info {
	std::uint64_t id = 0;       ///< unique for the life of the module
	std::uint32_t network = 0;  ///< index of its device; 0: not of this network namespace
	std::uint32_t uid = 0;      ///< owner
	demand_range range{};       ///< as it was registered
	std::uint64_t image_id = 0; ///< of what its VMs are made from
	std::string image{};        ///< the image's label
	std::uint64_t memory = 0;   ///< bytes of each VM
	std::uint32_t vms = 0;      ///< that there are, or are being made
	std::uint64_t born = 0;     ///< VMs made so far
	std::uint64_t refused = 0;  ///< packets whose VM was not made so far
};

} // namespace vmctl
