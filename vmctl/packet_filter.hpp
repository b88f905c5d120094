// SPDX-License-Identifier: Apache-2.0
// Which firewalls of this host's drop what it forwards, whoever has made them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

// What a packet must come from, or go to: devices and addresses, one of them or none.
struct packet_end {
	std::vector<std::string> names;
	bool is_negated = false;
};

// A rule that lets packets through.
struct passing_rule {
	std::vector<packet_end> from, to;
	bool replies = false;    // of connections that have begun
	bool translated = false; // for a published port
	bool has_more = false;   // conditions that are not followed here
	bool is_followed = true; // what it does is
};

// A chain that all forwarded packets pass, and that drops what no rule lets through.
struct shut_chain {
	std::string family, table, name;   // as `nft` calls them
	bool is_legacy = false;            // of iptables-legacy, which nft does not see
	std::vector<std::string> parts{};  // itself, and the chains that its rules lead to
	std::vector<passing_rule> rules{}; // of all of them
};

// From `nft -j list ruleset`. EBADMSG.
result<std::vector<shut_chain>> shut_chains_of_nft(std::string_view text);

// From `iptables-legacy -S`.
std::vector<shut_chain> shut_chains_of_iptables(std::string_view text);

enum class passage { open, shut, unclear };

// Do packets of `network` pass: those for its published ports, and those of VMs that speak by the
// host's addresses?
passage judge(const shut_chain &chain, const network_info &network, bool publishes, bool translates);

// The commands that let them pass.
std::string opening_of(const shut_chain &chain, const std::string &network);

} // namespace vmctl::cli
