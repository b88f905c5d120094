// SPDX-License-Identifier: Apache-2.0
#include "publish.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "text.hpp"

namespace vmctl::cli
{

namespace
{

// Without it there is no address translation, so no table of ours.
constexpr const char *connection_tracking = "/proc/sys/net/netfilter/nf_conntrack_max";
constexpr int attempts = 5; // while others change the table

result<void> write_setting(const std::string &path, char value)
{
	std::ofstream file(path);

	if (file << value && file.flush())
		return {};
	return fail(EACCES, path + ": cannot be written", "run as root");
}

result<void> forward_packets()
{
	return write_setting("/proc/sys/net/ipv4/ip_forward", '1');
}

// This host's own packets for 127.0.0.1 may leave by the network. The module lets no VM send any
// there.
result<void> lead_local_packets(const std::string &network)
{
	return write_setting(fmt::format("/proc/sys/net/ipv4/conf/{}/route_localnet", network), '1');
}

// Does a program of this host's have the port? Who may not ask is told no.
bool is_taken(const context &world, const port_pair &ports)
{
	const descriptor probe(world.calls, ::socket(AF_INET, ports.udp ? SOCK_DGRAM : SOCK_STREAM, 0));
	const int one = 1;
	sockaddr_in address{};

	address.sin_family = AF_INET;
	address.sin_port = htons(ports.outside);
	address.sin_addr.s_addr = htonl(ports.address);
	// As a server does: connections of one that has ended are no reason.
	::setsockopt(probe.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	return ::bind(probe.fd(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0 &&
	       errno == EADDRINUSE;
}

result<void> check_free(const context &world, const firewall &now, const port_pair &wanted)
{
	for (const published_port &other : now.published)
		if (other.ports.collides(wanted))
			return fail(EADDRINUSE,
				    fmt::format("{} leads to VM {} already", outside_text(other.ports), other.vm));
	if (is_taken(world, wanted))
		return fail(EADDRINUSE, fmt::format("a program of this host has {}", outside_text(wanted)));
	return {};
}

// Does it lead nowhere, as far as can be known? Without a module there are no VMs, and others'
// only root can see.
bool is_stale(const outcome<device> &in, const published_port &one)
{
	if (!in || (::geteuid() != 0 && one.uid != ::geteuid()))
		return !in && is_module_missing(in.error());

	const auto rows = in->list(one.vm, one.vm);

	return rows && (rows->empty() || rows->front().ended() || rows->front().ip4 != one.ip4);
}

// Without what leads nowhere.
firewall swept(const context &world, const firewall &now, std::span<const network_info> networks)
{
	const auto in = open_device(world);
	firewall left{.exists = now.exists, .published = {}, .translated = {}};

	for (const published_port &one : now.published)
		if (!is_stale(in, one))
			left.published.push_back(one);
	for (const std::string &name : now.translated)
		if (std::ranges::find(networks, name, &network_info::name) != networks.end())
			left.translated.push_back(name);
	return left;
}

result<std::vector<network_info>> list_networks()
{
	return VMCTL_TRY(networks::open()).list();
}

// Reads the table, takes away what leads nowhere, and lets `add` say what comes to it.
result<void> edit(const context &world, auto add)
{
	const auto networks = VMCTL_TRY(list_networks());

	for (int attempt = 1;; attempt++) {
		const firewall now = VMCTL_TRY(read_firewall(world.calls));
		firewall wanted = swept(world, now, networks);

		VMCTL_TRY(add(wanted));

		auto changed = change_firewall(world.calls, now, wanted);
		const bool raced = !changed && (changed.error().code == EEXIST || changed.error().code == ENODATA);

		if (!raced || attempt == attempts)
			return changed;
	}
}

result<void> publish_at(const context &world, const vm_info &vm, std::span<const port_pair> ports)
{
	std::array<char, IF_NAMESIZE> network{};

	if (vm.ip4 == 0 || ::if_indextoname(vm.network, network.data()) == nullptr)
		return fail(EADDRNOTAVAIL, vm.name + ": has no address on a network");

	const auto add = [&](firewall &wanted) -> result<void> {
		for (const port_pair &one : ports) {
			VMCTL_TRY(check_free(world, wanted, one));
			wanted.published.push_back({.ports = one, .ip4 = vm.ip4, .vm = vm.id, .uid = ::geteuid()});
		}
		return {};
	};

	VMCTL_TRY(edit(world, add));
	VMCTL_TRY(forward_packets());
	return lead_local_packets(network.data());
}

} // namespace

outcome<std::vector<port_pair>> parse_publish(const invocation &in, std::uint32_t count)
{
	std::vector<port_pair> all;

	for (const std::string &text : in.values("publish")) {
		const auto parsed = parse_port_pair(text);

		if (!parsed)
			return bad_usage(fmt::format("--publish {}: {}", text, parsed.error().what));
		for (const port_pair &other : all)
			if (other.collides(*parsed))
				return bad_usage(fmt::format("--publish {}: twice", text));
		all.push_back(*parsed);
	}
	if (!all.empty() && count > 1)
		return bad_usage(fmt::format("--publish: {} cannot share a port", count_text(count)));
	if (!all.empty() && !in.has("net"))
		return bad_usage("--publish wants --net: a VM without a network has no ports");
	return all;
}

outcome<void> publish(const context &world, const device &to, std::uint64_t id, std::span<const port_pair> ports)
{
	const auto rows = to.list(id, id);

	if (!rows || rows->empty())
		return give_up(status::broken, rows ? error{ENOENT, "the VM has gone"} : rows.error());
	if (const auto done = publish_at(world, rows->front(), ports); !done)
		return give_up(status::broken, about("--publish", done.error()));
	return {};
}

outcome<void> translate(const context &world, const std::string &network)
{
	auto done = edit(world, [&](firewall &wanted) -> result<void> {
		wanted.translated.push_back(network);
		return {};
	});

	if (done)
		done = forward_packets();
	if (!done)
		return give_up(status::some_failed, about("--nat", done.error()));
	return {};
}

void sweep_firewall(const context &world)
{
	if (!world.calls.exists(connection_tracking))
		return;

	const auto done = edit(world, [](firewall &) { return result<void>(); });

	if (!done && done.error().code != EPERM && done.error().code != ENOENT)
		world.complain(done.error());
}

} // namespace vmctl::cli
