// SPDX-License-Identifier: Apache-2.0
// Rules are read as far as doctor must know them: which device and address a packet has to come
// from or go to, and whether it belongs to something that has been let through before.
#include "packet_filter.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "text.hpp"

namespace vmctl::cli
{

namespace
{

// Is an address, or a prefix of them, one of the network's?
bool is_in(std::string_view text, const subnet &addresses)
{
	const std::size_t slash = text.find('/');
	const auto address = parse_ip4(text.substr(0, slash));
	const auto bits = slash == text.npos ? 32 : parse_number(text.substr(slash + 1));

	if (!address || !bits || *bits > 32)
		return false;

	return addresses.overlaps({.host = *address, .prefix = static_cast<unsigned>(*bits)});
}

bool is_named(std::string_view name, const network_info &network)
{
	if (name.ends_with('*') || name.ends_with('+'))
		return network.name.starts_with(name.substr(0, name.size() - 1));
	return name == network.name || (network.addresses && is_in(name, *network.addresses));
}

bool is_among(const packet_end &end, const network_info &network)
{
	return std::ranges::any_of(end.names, [&](const std::string &name) { return is_named(name, network); });
}

// Is one of the ends that are asked for the network's?
bool names_it(const std::vector<packet_end> &ends, const network_info &network)
{
	return std::ranges::any_of(ends,
				   [&](const packet_end &end) { return !end.is_negated && is_among(end, network); });
}

// Does a rule let packets through because of their one end, wherever they have the other? From
// everything but some it does, too.
bool covers(const std::vector<packet_end> &end, const std::vector<packet_end> &other, const network_info &network)
{
	if (names_it(end, network))
		return !names_it(other, network);
	return other.empty() && !end.empty() && std::ranges::all_of(end, [&](const packet_end &each) {
		       return each.is_negated && !is_among(each, network);
	       });
}

// A set by its name may have anything in it.
bool is_unclear(const passing_rule &asks, const network_info &network)
{
	const auto is_set = [](const packet_end &end) {
		return std::ranges::any_of(end.names, [](const std::string &name) { return name.starts_with('@'); });
	};

	return (!asks.is_followed && (names_it(asks.from, network) || names_it(asks.to, network))) ||
	       std::ranges::any_of(asks.from, is_set) || std::ranges::any_of(asks.to, is_set);
}

bool has_part(const shut_chain &chain, std::string_view part)
{
	return std::ranges::find(chain.parts, part) != chain.parts.end();
}

// What a chain's rules let through.
struct openings {
	bool from, to; // of what begins there: from the network, and to it
	bool replies_from, replies_to;
	bool to_ports; // that are published
	bool is_unclear;
};

void add_openings(openings &let, const passing_rule &asks, const network_info &network)
{
	const bool is_for_all = asks.from.empty() && asks.to.empty();
	const bool from = is_for_all || covers(asks.from, asks.to, network);
	const bool to = is_for_all || covers(asks.to, asks.from, network);

	let.is_unclear |= is_unclear(asks, network);
	// Of what asks for more, an end tells that the network is meant.
	if (!asks.is_followed || (is_for_all && asks.has_more && !asks.replies && !asks.translated))
		return;
	if (asks.replies) {
		let.replies_from |= from;
		let.replies_to |= to;
	} else if (asks.translated) {
		let.to_ports |= to;
	} else {
		let.from |= from;
		let.to |= to;
	}
}

} // namespace

passage judge(const shut_chain &chain, const network_info &network, bool publishes, bool translates)
{
	openings let{};

	for (const passing_rule &asks : chain.rules)
		add_openings(let, asks, network);
	// firewalld's zones are beyond what is read here.
	let.is_unclear |= chain.table == "firewalld";

	const bool is_published = (let.to || let.to_ports) && (let.from || let.replies_from);
	const bool is_translated = let.from && (let.to || let.replies_to);

	if ((!publishes || is_published) && (!translates || is_translated))
		return passage::open;
	return let.is_unclear ? passage::unclear : passage::shut;
}

std::string opening_of(const shut_chain &chain, const std::string &network)
{
	const auto twice = [&](std::string_view command, std::string_view in, std::string_view out,
			       std::string_view then) {
		return fmt::format("sudo {0} {1} {4}{3}; sudo {0} {2} {4}{3}", command, in, out, then, network);
	};

	if (chain.table == "firewalld")
		return fmt::format("sudo firewall-cmd --zone=trusted --add-interface={}", network);
	if (has_part(chain, "ufw-user-forward"))
		return twice("ufw route allow", "in on", "out on", "");
	if (chain.family != "ip" || chain.table != "filter" || chain.name != "FORWARD")
		return twice(fmt::format("nft insert rule {} {} {}", chain.family, chain.table, chain.name), "iifname",
			     "oifname", " accept");
	return twice(fmt::format("{} -I {}", chain.is_legacy ? "iptables-legacy" : "iptables",
				 has_part(chain, "DOCKER-USER") ? "DOCKER-USER" : "FORWARD"),
		     "-i", "-o", " -j ACCEPT");
}

} // namespace vmctl::cli
