// SPDX-License-Identifier: Apache-2.0
// The table of nftables that is ours: which ports of this host lead to VMs, and which networks
// reach the world by its addresses. Nobody runs to keep it: it lasts until it is changed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

// A port of this host, and one of a VM.
struct port_pair {
	std::uint32_t address = 0; // of this host; 0: all that it has
	std::uint16_t outside = 0, inside = 0;
	bool udp = false;

	bool operator==(const port_pair &) const = default;
	// Nobody elsewhere can come to it.
	[[nodiscard]] bool is_for_this_host_alone() const;
	// Could a packet be meant for both?
	[[nodiscard]] bool collides(const port_pair &other) const;
};

// "8080:80", "127.0.0.1:5353:53/udp". EINVAL, with a text that does not repeat it.
result<port_pair> parse_port_pair(std::string_view text);

// "127.0.0.1:5353/udp", of the outside.
std::string outside_text(const port_pair &ports);

// One that leads to a VM.
struct published_port {
	port_pair ports;
	std::uint32_t ip4 = 0; // the VM's
	std::uint64_t vm = 0;
	std::uint32_t uid = 0; // who published it
};

// What is in the table.
struct firewall {
	bool exists = false;
	std::vector<published_port> published;
	std::vector<std::string> translated; // networks whose VMs speak by the host's addresses
};

// False without connection tracking: then nothing translates addresses, and there is no table.
bool can_have_firewall(system &calls);

// EPERM: only who has CAP_NET_ADMIN may look. ENOENT: nft is not installed.
result<firewall> read_firewall(system &calls);

// Everybody's rules, as `nft -j list ruleset` prints them. EPERM, ENOENT as above.
result<std::string> read_all_rules(system &calls);

// Makes the difference between `now`, as it was read, and `wanted`, at once or not at all. Nobody
// else may change the table in between.
result<void> change_firewall(system &calls, const firewall &now, const firewall &wanted);

} // namespace vmctl::cli
