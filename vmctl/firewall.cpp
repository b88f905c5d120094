// SPDX-License-Identifier: Apache-2.0
#include "firewall.hpp"

#include <algorithm>
#include <cerrno>
#include <span>

#include <fmt/format.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include "program.hpp"
#include "text.hpp"

namespace vmctl::cli
{

using nlohmann::json;

namespace
{

// A packet for a port of this host goes to a VM's, whether it arrives here or begins here; nobody
// elsewhere may mean our 127.0.0.1. Where the VM would answer past this host, or to an address that
// means itself, the sender is this host.
constexpr std::string_view new_table = R"(create table inet mayfly
add set inet mayfly translated { type ifname; }
add map inet mayfly published { typeof ip daddr . meta l4proto . th dport : ip daddr . th dport; flags interval; }
add chain inet mayfly arriving { type nat hook prerouting priority dstnat; }
add rule inet mayfly arriving ip daddr 127.0.0.0/8 return
add rule inet mayfly arriving fib daddr type local meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published
add chain inet mayfly beginning { type nat hook output priority -100; }
add rule inet mayfly beginning fib daddr type local meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published
add chain inet mayfly leaving { type nat hook postrouting priority srcnat; }
add rule inet mayfly leaving meta oifkind "mayfly" ct status dnat ip saddr 127.0.0.0/8 masquerade
add rule inet mayfly leaving meta iifkind "mayfly" meta oifkind "mayfly" ct status dnat masquerade
add rule inet mayfly leaving meta iifkind "mayfly" iifname @translated meta oifkind != "mayfly" masquerade
add chain inet mayfly passing { type filter hook forward priority mangle; }
add rule inet mayfly passing meta iifkind "mayfly" iifname @translated tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
add rule inet mayfly passing meta oifkind "mayfly" oifname @translated tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
)";

// Debian has it where only root's PATH leads, and not always.
result<program_end> start_nft(system &calls, std::vector<std::string> words, std::string_view script)
{
	words.insert(words.begin(), "nft");

	auto ended = run_program(calls, words, script);

	if (ended || ended.error().code != ENOENT)
		return ended;
	words.front() = "/usr/sbin/nft";
	return run_program(calls, std::move(words), script);
}

result<std::string> run_nft(system &calls, std::vector<std::string> words, std::string_view script)
{
	auto ended = start_nft(calls, std::move(words), script);

	if (!ended && ended.error().code == ENOENT)
		return fail(ENOENT, "there is no program nft", "apt install nftables");
	if (!ended)
		return std::unexpected(ended.error());
	if (WIFEXITED(ended->status) && WEXITSTATUS(ended->status) == 0)
		return std::move(ended->out);

	const std::string_view said = ended->err;
	const auto says = [&](std::string_view words_of_nft) { return said.find(words_of_nft) != said.npos; };

	if (says("Operation not permitted"))
		return fail(EPERM, "not permitted to change what this host does with packets",
			    "run as root, or with CAP_NET_ADMIN");
	if (says("File exists"))
		return fail(EEXIST, "somebody else has changed the table of nftables meanwhile");
	if (script.empty() && says("No such file or directory"))
		return fail(ENODATA, "no such table");
	if (said.empty())
		return fail(EIO, "nft has failed, and does not say why");
	return fail(EIO, fmt::format("nft: {}", said.substr(0, said.find('\n'))));
}

// An address, or the prefix of all.
std::uint32_t address_of(const json &value)
{
	return value.is_object() ? 0 : parse_ip4(value.get<std::string>()).value_or(0);
}

// Of an element that we have made: `comment` is "VM UID".
std::optional<published_port> parse_element(const json &pair)
{
	const json &element = pair.at(0).at("elem"), &outside = element.at("val").at("concat"),
		   &inside = pair.at(1).at("concat");
	const std::string comment = element.value("comment", "");
	const std::size_t blank = comment.find(' ');

	if (blank == comment.npos)
		return {};

	const auto vm = parse_number(comment.substr(0, blank)), uid = parse_number(comment.substr(blank + 1));

	if (!vm || !uid)
		return {};
	return published_port{
		.ports = {.address = address_of(outside.at(0)),
			  .outside = outside.at(2).get<std::uint16_t>(),
			  .inside = inside.at(1).get<std::uint16_t>(),
			  .udp = outside.at(1) == "udp" || outside.at(1) == IPPROTO_UDP},
		.ip4 = address_of(inside.at(0)),
		.vm = *vm,
		.uid = static_cast<std::uint32_t>(*uid),
	};
}

void add_object(firewall &to, const json &object)
{
	if (object.contains("map"))
		for (const json &pair : object["map"].value("elem", json::array()))
			if (const auto found = parse_element(pair))
				to.published.push_back(*found);
	if (object.contains("set"))
		for (const json &name : object["set"].value("elem", json::array()))
			to.translated.push_back(name.get<std::string>());
}

std::string key_of(const port_pair &ports)
{
	return fmt::format("{} . {} . {}", ports.address == 0 ? "0.0.0.0/0" : ip4_text(ports.address),
			   ports.udp ? "udp" : "tcp", ports.outside);
}

bool is_same(const published_port &a, const published_port &b)
{
	return a.vm == b.vm && a.ip4 == b.ip4 && a.ports == b.ports;
}

bool contains(const std::vector<published_port> &all, const published_port &one)
{
	return std::ranges::any_of(all, [&](const published_port &other) { return is_same(one, other); });
}

bool contains(const std::vector<std::string> &all, const std::string &one)
{
	return std::ranges::find(all, one) != all.end();
}

// Calls `visit` with what is in `some` and not in `others`.
template <class List> void each_beyond(const List &some, const List &others, auto visit)
{
	for (const auto &one : some)
		if (!contains(others, one))
			visit(one);
}

std::string script_of(const firewall &now, const firewall &wanted)
{
	std::string script(now.exists ? "" : new_table);

	each_beyond(now.published, wanted.published, [&](const published_port &one) {
		script += fmt::format("delete element inet mayfly published {{ {} }}\n", key_of(one.ports));
	});
	each_beyond(now.translated, wanted.translated, [&](const std::string &name) {
		script += fmt::format("delete element inet mayfly translated {{ \"{}\" }}\n", name);
	});
	each_beyond(wanted.published, now.published, [&](const published_port &one) {
		script += fmt::format("create element inet mayfly published {{ {} comment \"{} {}\" : {} . {} }}\n",
				      key_of(one.ports), one.vm, one.uid, ip4_text(one.ip4), one.ports.inside);
	});
	each_beyond(wanted.translated, now.translated, [&](const std::string &name) {
		script += fmt::format("add element inet mayfly translated {{ \"{}\" }}\n", name);
	});
	return script;
}

result<std::uint16_t> parse_port(std::string_view text)
{
	const auto number = parse_number(text);

	if (!number || *number == 0 || *number > UINT16_MAX)
		return fail(EINVAL, "a port is a number from 1 to 65535");
	return static_cast<std::uint16_t>(*number);
}

} // namespace

bool port_pair::is_for_this_host_alone() const
{
	return address >> 24 == IN_LOOPBACKNET;
}

bool port_pair::collides(const port_pair &other) const
{
	return udp == other.udp && outside == other.outside &&
	       (address == other.address || address == 0 || other.address == 0);
}

result<port_pair> parse_port_pair(std::string_view text)
{
	const std::size_t slash = text.find('/');
	const std::string_view protocol = slash == text.npos ? "tcp" : text.substr(slash + 1);
	std::string_view rest = text.substr(0, slash);
	const std::size_t last = rest.rfind(':');
	port_pair ports;

	if (last == rest.npos || (protocol != "tcp" && protocol != "udp"))
		return fail(EINVAL, "not [ADDRESS:]PORT:PORT[/tcp|/udp], as 8080:80");
	ports.udp = protocol == "udp";
	ports.inside = VMCTL_TRY(parse_port(rest.substr(last + 1)));
	rest = rest.substr(0, last);

	const std::size_t colon = rest.rfind(':');

	ports.outside = VMCTL_TRY(parse_port(colon == rest.npos ? rest : rest.substr(colon + 1)));
	if (colon != rest.npos)
		ports.address = VMCTL_TRY(parse_ip4(rest.substr(0, colon)));
	return ports;
}

std::string outside_text(const port_pair &ports)
{
	return fmt::format("{}:{}/{}", ip4_text(ports.address), ports.outside, ports.udp ? "udp" : "tcp");
}

bool can_have_firewall(system &calls)
{
	return calls.exists("/proc/sys/net/netfilter/nf_conntrack_max");
}

result<firewall> read_firewall(system &calls)
{
	const auto text = run_nft(calls, {"-j", "list", "table", "inet", "mayfly"}, "");
	firewall found;

	if (!text && text.error().code == ENODATA)
		return found;
	if (!text)
		return std::unexpected(text.error());
	found.exists = true;
	try {
		const json all = json::parse(*text);

		for (const json &object : all.at("nftables"))
			add_object(found, object);
	} catch (const json::exception &) {
		return fail(EBADMSG, "the table mayfly of nftables is not as it was made",
			    "nft delete table inet mayfly");
	}
	return found;
}

result<std::string> read_all_rules(system &calls)
{
	return run_nft(calls, {"-j", "list", "ruleset"}, "");
}

result<void> change_firewall(system &calls, const firewall &now, const firewall &wanted)
{
	const bool is_empty = wanted.published.empty() && wanted.translated.empty();
	const std::string script = !is_empty ? script_of(now, wanted) : now.exists ? "delete table inet mayfly\n" : "";

	if (!script.empty())
		VMCTL_TRY(run_nft(calls, {"-f", "-"}, script));
	return {};
}

} // namespace vmctl::cli
