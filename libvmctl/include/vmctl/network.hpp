// SPDX-License-Identifier: Apache-2.0
/// \file
/// Networks: devices of this host's behind which VMs have addresses.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "address.hpp"
#include "error.hpp"

struct nl_sock;

namespace vmctl
{

/// What becomes of a packet from one VM of a network to another.
enum class network_policy : std::uint32_t {
	direct = 0,   ///< it goes there, and the host's stack does not see it
	host = 1,     ///< the host forwards it, or does not
	isolated = 2, ///< it is dropped
};

/// One word: `direct`, `host`, `isolated`; `?` for a policy that this library does not know.
[[nodiscard]] std::string_view to_string(network_policy policy);

/// May a network be called \p name? Up to 15 letters, digits, '.', '_' or '-', of which the
/// first is a letter. EINVAL, with a text that does not repeat \p name.
[[nodiscard]] result<void> check_network_name(std::string_view name);

/// What create_network() needs to know.
struct network_options {
	/// See check_network_name().
	std::string name{};
	/// Where its VMs are.
	subnet addresses{};
	/// And by IPv6. Nothing: they have IPv4 addresses only.
	std::optional<subnet6> addresses6{};
	network_policy policy = network_policy::direct;
	/// Bytes of a packet at most: 576 to 65,535. Nothing: 65,520.
	std::optional<std::uint32_t> mtu{};
	/// Who may attach VMs, besides those with CAP_NET_ADMIN.
	std::optional<std::uint32_t> owner{};
};

/// A network, as of when it was asked.
struct network_info {
	std::string name{};                  ///< of its device
	std::uint32_t index = 0;             ///< of its device
	std::optional<subnet> addresses{};   ///< nothing when its device has none
	std::optional<subnet6> addresses6{}; ///< likewise
	std::uint32_t mtu = 0;               ///< bytes of a packet at most
	network_policy policy = network_policy::direct;
	bool up = false; ///< packets go through
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
	/// not loaded, EINVAL. After a failure there is no device. Whoever is killed meanwhile leaves
	/// one that is no network yet, for sweep().
	[[nodiscard]] result<void> create(const network_options &options) const;

	/// Removes what makers that were killed have left, as far as the caller may.
	void sweep() const;

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

	[[nodiscard]] result<void> finish(const std::string &made, const network_options &options) const;
	[[nodiscard]] result<void> add_addresses(const network_info &to, const network_options &options) const;
	[[nodiscard]] result<void> add_address(const network_info &to, int family, std::span<const std::uint8_t> bytes,
					       unsigned prefix) const;
	[[nodiscard]] result<void> check_free(const network_options &wanted) const;

	std::unique_ptr<nl_sock, closer> socket_;
};

} // namespace vmctl
