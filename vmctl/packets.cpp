// SPDX-License-Identifier: Apache-2.0
#include "packets.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <sys/wait.h>

#include "network_manager.hpp"
#include "program.hpp"
#include "routes.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

using finding = host_check::finding;
using verdict = host_check::verdict;

// --- files ------------------------------------------------------------------

std::string text_of(system &calls, const std::string &path)
{
	const auto bytes = calls.read_file(path, 16 << 20);

	return bytes ? std::string(reinterpret_cast<const char *>(bytes->data()), bytes->size()) : "";
}

std::optional<std::uint64_t> number_of(system &calls, const std::string &path)
{
	const std::string text = text_of(calls, path);

	return parse_number(text.substr(0, text.find('\n')));
}

// --- what networks want -----------------------------------------------------

bool publishes(const firewall &ours, const network_info &network)
{
	return std::ranges::any_of(ours.published, [&](const published_port &one) {
		return !one.ports.is_for_this_host_alone() && network.addresses && network.addresses->has(one.ip4);
	});
}

bool translates(const firewall &ours, const network_info &network)
{
	return std::ranges::find(ours.translated, network.name) != ours.translated.end();
}

// Networks for which this host has to forward packets.
std::string wanting(const packet_paths &paths)
{
	std::string names;

	for (const network_info &network : paths.networks)
		if (paths.ours && (publishes(*paths.ours, network) || translates(*paths.ours, network)))
			names += (names.empty() ? "" : ", ") + network.name;
	return names;
}

// --- checks -----------------------------------------------------------------

void add_devices(std::vector<finding> &to, const packet_paths &paths)
{
	for (const network_info &network : paths.networks)
		if (!network.addresses)
			to.push_back({"network", verdict::bad, network.name + " has no address",
				      fmt::format("sudo ip address add ADDRESS/BITS dev {}", network.name)});
		else if (!network.up)
			to.push_back({"network", verdict::bad, network.name + " is down",
				      fmt::format("sudo ip link set {} up", network.name)});
}

void add_forwarding(std::vector<finding> &to, bool forwards, const packet_paths &paths)
{
	constexpr const char *subject = "ip_forward";
	const std::string names = wanting(paths);

	if (forwards)
		to.push_back({subject, verdict::good, "on: packets go to VMs and come from them", ""});
	else if (!names.empty())
		to.push_back({subject, verdict::bad, "off: published ports and --nat want it on, for " + names,
			      "sudo sysctl -w net.ipv4.ip_forward=1"});
	else if (!paths.ours)
		to.push_back({subject, verdict::unknown,
			      "off: published ports and --nat want it on; " + paths.ours.error().what, ""});
	else
		to.push_back({subject, verdict::good, "off: VMs are reached from this host alone", ""});
}

std::string chain_text(const shut_chain &chain, const std::string &networks)
{
	return fmt::format("chain {} of table {} {}{} drops packets to and from {}", chain.name, chain.family,
			   chain.table, chain.is_legacy ? " (iptables-legacy)" : "", networks);
}

void add_chain(std::vector<finding> &to, const shut_chain &chain, const packet_paths &paths)
{
	constexpr const char *subject = "firewall";
	std::string others; // of which nothing is forwarded, as nobody has asked for it

	for (const network_info &network : paths.networks) {
		const bool ports = publishes(*paths.ours, network), nat = translates(*paths.ours, network);
		const passage found = judge(chain, network, ports, nat);
		const std::string text = chain_text(chain, network.name);

		if (found == passage::shut)
			to.push_back({subject, verdict::bad, text, opening_of(chain, network.name)});
		else if (found == passage::unclear)
			to.push_back({subject, verdict::unknown, text + ", if no rule is for them", ""});
		else if (!ports && !nat && judge(chain, network, true, true) == passage::shut)
			others += (others.empty() ? "" : ", ") + network.name;
	}
	if (!others.empty())
		to.push_back({subject, verdict::good,
			      chain_text(chain, others) + ": their VMs are reached from this host alone", ""});
}

void add_firewalls(std::vector<finding> &to, const packet_paths &paths)
{
	const std::size_t before = to.size();

	if (!paths.ours || !paths.shut) {
		to.push_back({"firewall", verdict::unknown,
			      "cannot tell whether one drops packets of VMs: " +
				      (paths.shut ? paths.ours.error() : paths.shut.error()).what,
			      ""});
		return;
	}
	for (const shut_chain &chain : *paths.shut)
		add_chain(to, chain, paths);
	if (to.size() == before)
		to.push_back({"firewall", verdict::good, "none drops packets of VMs", ""});
}

// Does the kernel drop what comes by `device` and would not be answered there?
bool is_strict(system &calls, const std::string &device)
{
	const auto setting = [&](const std::string &of) {
		return number_of(calls, fmt::format("/proc/sys/net/ipv4/conf/{}/rp_filter", of)).value_or(0);
	};

	return std::max(setting("all"), setting(device)) == 1;
}

// Routes to the world, the one that is taken first. Half of the world is one, too: who wants to be
// before the default takes two halves.
std::vector<route> uplinks(std::vector<route> routes)
{
	std::erase_if(routes, [](const route &one) { return std::popcount(one.mask) > 1; });
	std::ranges::sort(routes, [](const route &a, const route &b) {
		return std::pair(b.mask, a.metric) < std::pair(a.mask, b.metric);
	});
	return routes;
}

bool publishes_everywhere(const firewall &ours)
{
	return std::ranges::any_of(ours.published, [](const published_port &one) { return one.ports.address == 0; });
}

finding judge_uplink(const std::string &device, const std::string &taken, const packet_paths &paths)
{
	const std::string text = fmt::format("strict on {}, while answers leave by {}: it drops what comes for "
					     "published ports by {} from afar",
					     device, taken, device);

	if (!paths.ours)
		return {"rp_filter", verdict::unknown, text + "; " + paths.ours.error().what, ""};
	return {"rp_filter", verdict::bad, text, fmt::format("sudo sysctl -w net/ipv4/conf/{}/rp_filter=2", device)};
}

// A VM's own packets come by the device that leads to it. What may not is what comes from the world,
// while answers to the world leave by another device.
void add_uplinks(std::vector<finding> &to, system &calls, const packet_paths &paths, std::span<const route> ways)
{
	std::vector<std::string> seen;

	if (paths.ours && !publishes_everywhere(*paths.ours))
		return;
	for (const route &one : ways) {
		const bool is_new = std::ranges::find(seen, one.device) == seen.end();

		if (is_new && !seen.empty() && is_strict(calls, one.device))
			to.push_back(judge_uplink(one.device, seen.front(), paths));
		if (is_new)
			seen.push_back(one.device);
	}
}

// Addresses of VMs that lead elsewhere.
void add_strays(std::vector<finding> &to, const packet_paths &paths, const std::vector<route> &routes)
{
	for (const network_info &network : paths.networks)
		for (const route &one : routes)
			if (network.addresses && one.device != network.name && one.mask > network.addresses->mask() &&
			    network.addresses->has(one.base))
				to.push_back({"routes", verdict::bad,
					      fmt::format("{}/{} of {} leads to {}", ip4_text(one.base),
							  std::popcount(one.mask), network.name, one.device),
					      fmt::format("sudo ip route delete {}/{} dev {}, or choose another subnet",
							  ip4_text(one.base), std::popcount(one.mask), one.device)});
}

void add_routes(std::vector<finding> &to, system &calls, const packet_paths &paths)
{
	const std::vector<route> routes = parse_routes(text_of(calls, "/proc/net/route"));
	const std::size_t before = to.size();

	add_uplinks(to, calls, paths, uplinks(routes));
	if (to.size() == before)
		to.push_back({"rp_filter", verdict::good, "it drops no packets of VMs", ""});
	add_strays(to, paths, routes);
}

void add_connections(std::vector<finding> &to, system &calls)
{
	const std::string folder = "/proc/sys/net/netfilter/nf_conntrack_";
	const auto most = number_of(calls, folder + "max"), count = number_of(calls, folder + "count");

	// 0 is no limit.
	if (!most || !count || *most == 0)
		return;
	if (*count >= *most - *most / 20)
		to.push_back({"conntrack", verdict::bad,
			      fmt::format("full, or nearly: {} of {} connections; others are dropped", *count, *most),
			      fmt::format("sudo sysctl -w net.netfilter.nf_conntrack_max={}", *most * 2)});
	else
		to.push_back({"conntrack", verdict::good, fmt::format("{} of {} connections", *count, *most), ""});
}

// --- finding out ------------------------------------------------------------

// Of the older iptables, of which nft knows nothing.
result<std::string> read_legacy_rules(system &calls)
{
	constexpr const char *tables = "/proc/net/ip_tables_names";

	if (!calls.exists(tables))
		return "";

	const auto names = calls.read_file(tables, 4096);

	if (!names)
		return fail(EPERM, "only root sees rules");
	if (text_of(calls, tables).find("filter") == std::string::npos)
		return "";

	auto ended = run_program(calls, {"iptables-legacy", "-S"}, "");

	if (!ended || !WIFEXITED(ended->status) || WEXITSTATUS(ended->status) != 0)
		return fail(ENOENT, "iptables-legacy has rules, and cannot be asked for them");
	return std::move(ended->out);
}

result<std::vector<shut_chain>> find_shut_chains(system &calls)
{
	const auto text = read_all_rules(calls);

	if (!text && text.error().code == EPERM)
		return fail(EPERM, "only root sees rules");
	if (!text)
		return std::unexpected(text.error());

	auto shut = VMCTL_TRY(shut_chains_of_nft(*text));
	const std::string legacy = VMCTL_TRY(read_legacy_rules(calls));

	for (shut_chain &chain : shut_chains_of_iptables(legacy))
		shut.push_back(std::move(chain));
	return shut;
}

// Without nft nobody has made the table.
result<firewall> find_ours(system &calls)
{
	if (!can_have_firewall(calls))
		return firewall{};

	auto found = read_firewall(calls);

	if (!found && found.error().code == ENOENT)
		return firewall{};
	if (!found && found.error().code == EPERM)
		return fail(EPERM, "only root sees whether there are any");
	return found;
}

} // namespace

std::vector<finding> judge_packets(system &calls, const packet_paths &paths)
{
	const bool forwards = number_of(calls, "/proc/sys/net/ipv4/ip_forward") == 1u;
	std::vector<finding> findings;

	add_devices(findings, paths);
	add_forwarding(findings, forwards, paths);
	// Otherwise nothing comes as far as that.
	if (forwards || !wanting(paths).empty())
		add_firewalls(findings, paths);
	add_routes(findings, calls, paths);
	add_connections(findings, calls);
	return findings;
}

std::vector<finding> check_packets(system &calls)
{
	const auto opened = networks::open();
	const auto all = opened ? opened->list() : std::unexpected(opened.error());

	if (!all || all->empty())
		return {};

	std::vector<finding> findings =
		judge_packets(calls, {.networks = *all, .ours = find_ours(calls), .shut = find_shut_chains(calls)});

	for (finding &found : check_network_manager(calls, *all))
		findings.push_back(std::move(found));
	return findings;
}

} // namespace vmctl::cli
