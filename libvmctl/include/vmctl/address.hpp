// SPDX-License-Identifier: Apache-2.0
/// \file
/// Addresses of VMs and of networks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "error.hpp"

namespace vmctl
{

/// `10.9.0.1` of 0x0a090001.
[[nodiscard]] std::string ip4_text(std::uint32_t address);

/// The reverse. EINVAL.
[[nodiscard]] result<std::uint32_t> parse_ip4(std::string_view text);

/// IPv4 addresses that begin alike, and the host's own among them.
struct subnet {
	std::uint32_t host = 0; ///< as a number: 10.9.0.1 is 0x0a090001
	unsigned prefix = 0;    ///< bits that are alike

	/// Reads `10.9.0.0/16`, where the host gets the first address, or `10.9.0.7/16`, where it
	/// gets that one. EINVAL for anything else, and for what has no room for a VM.
	[[nodiscard]] static result<subnet> parse(std::string_view text);

	/// The lowest address, which nobody has.
	[[nodiscard]] std::uint32_t base() const { return host & mask(); }

	/// `255.255.0.0`, as a number.
	[[nodiscard]] std::uint32_t mask() const { return static_cast<std::uint32_t>(~0ull << (32 - prefix)); }

	/// Is \p address one of these?
	[[nodiscard]] bool has(std::uint32_t address) const { return ((address ^ host) & mask()) == 0; }

	/// Is one of these one of \p other's?
	[[nodiscard]] bool overlaps(const subnet &other) const
	{
		return prefix < other.prefix ? has(other.host) : other.has(host);
	}

	bool operator==(const subnet &) const = default;
};

/// An IPv6 address, as it is in a packet.
using ip6_address = std::array<std::uint8_t, 16>;

/// `fd00::a09:1`.
[[nodiscard]] std::string ip6_text(const ip6_address &address);

/// IPv6 addresses that begin alike, and the host's own among them. A VM's ends with its IPv4 address.
struct subnet6 {
	static constexpr unsigned longest = 96; ///< bits: the rest is the IPv4 address

	ip6_address host{};
	unsigned prefix = 0; ///< bits that are alike

	/// Reads `fd00:9::/64`, where the host gets what \p ip4 makes of it. EINVAL for anything
	/// else, for more than 96 bits, and for addresses that no host may have.
	[[nodiscard]] static result<subnet6> parse(std::string_view text, std::uint32_t ip4);

	bool operator==(const subnet6 &) const = default;
};

} // namespace vmctl
