// SPDX-License-Identifier: Apache-2.0
/// \file
/// Networks: devices of this host's behind which VMs have addresses.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "error.hpp"

struct nl_sock;

namespace vmctl
{

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

	bool operator==(const subnet &) const = default;
};

/// `10.9.0.1` of 0x0a090001.
[[nodiscard]] std::string ip4_text(std::uint32_t address);

/// The reverse. EINVAL.
[[nodiscard]] result<std::uint32_t> parse_ip4(std::string_view text);

/// May a network be called \p name? Up to 15 letters, digits, '.', '_' or '-', of which the
/// first is a letter. EINVAL, with a text that does not repeat \p name.
[[nodiscard]] result<void> check_network_name(std::string_view name);

/// What create_network() needs to know.
struct network_options {
	/// See check_network_name().
	std::string name{};
	/// Where its VMs are.
	subnet addresses{};
	/// Bytes of a packet at most: 576 to 65,535. Nothing: 65,520.
	std::optional<std::uint32_t> mtu{};
	/// Who may attach VMs, besides those with CAP_NET_ADMIN.
	std::optional<std::uint32_t> owner{};
};

/// A network, as of when it was asked.
struct network_info {
	std::string name{};                ///< of its device
	std::uint32_t index = 0;           ///< of its device
	std::optional<subnet> addresses{}; ///< nothing when its device has none
	std::uint32_t mtu = 0;             ///< bytes of a packet at most
	bool up = false;                   ///< packets go through
};

/// What has gone through a network since it was made.
struct network_counters {
	std::uint64_t packets_from_vms = 0, bytes_from_vms = 0;
	std::uint64_t packets_to_vms = 0, bytes_to_vms = 0;
	/// Packets that went nowhere, by the reason that `ethtool -S` gives.
	std::vector<std::pair<std::string, std::uint64_t>> drops{};
};

/// The networks of this network namespace, by a netlink socket.
class networks final
{
public:
	/// EMFILE and the like.
	[[nodiscard]] static result<networks> open();

	/// Makes a network whose device is up and has its address. EPERM, EEXIST another device
	/// is called so, EADDRINUSE the host has an address there already, EOPNOTSUPP the module is
	/// not loaded, EINVAL. After a failure there is no device.
	[[nodiscard]] result<void> create(const network_options &options) const;

	/// All there are, by index.
	[[nodiscard]] result<std::vector<network_info>> list() const;

	/// The one called \p name. ENOENT.
	[[nodiscard]] result<network_info> find(std::string_view name) const;

	/// The counters of \p what. ENOENT.
	[[nodiscard]] result<network_counters> count(const network_info &what) const;

	/// Deletes the device of \p what, found by its name if it has no index; VMs on it live.
	/// EPERM, ENOENT.
	[[nodiscard]] result<void> remove(const network_info &what) const;

private:
	struct closer {
		void operator()(nl_sock *socket) const;
	};

	explicit networks(nl_sock *socket) : socket_(socket) {}

	[[nodiscard]] result<void> make_link(const network_options &options) const;
	[[nodiscard]] result<void> add_address(const network_info &to, const subnet &what) const;
	[[nodiscard]] result<void> check_free(const subnet &wanted) const;

	std::unique_ptr<nl_sock, closer> socket_;
};

} // namespace vmctl
