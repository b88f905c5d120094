// SPDX-License-Identifier: Apache-2.0
#include "publish.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <unistd.h>

#include "port_socket.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr unsigned cap_sys_admin = 21; // linux/capability.h
// While it lives, no other vmctl of root's changes the table. Who is not root does without: few
// have the rights, and one who could hold the lock could hold up all.
class table_lock
{
public:
	explicit table_lock(const context &world)
		: file_(world.calls, ::open("/run/vmctl-net.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600))
	{
		if (file_.fd() >= 0)
			static_cast<void>(::flock(file_.fd(), LOCK_EX));
	}

private:
	descriptor file_;
};

result<void> turn_on(const std::string &path)
{
	if (std::ifstream(path).get() == '1')
		return {};

	std::ofstream file(path);

	if (file << '1' && file.flush())
		return {};
	return fail(EACCES, path + ": cannot be written", "run as root");
}

result<void> forward_packets()
{
	return turn_on("/proc/sys/net/ipv4/ip_forward");
}

// This host's own packets for 127.0.0.1 may leave by the network. The module lets no VM send any
// there.
result<void> lead_local_packets(const std::string &network)
{
	return turn_on(fmt::format("/proc/sys/net/ipv4/conf/{}/route_localnet", network));
}

// Could a program of this host's have the port now? Who may not ask is told yes.
result<void> try_port(const context &world, const port_pair &ports)
{
	const auto probe = bind_port(world.calls, ports);

	if (!probe && (probe.error().code == EADDRINUSE || probe.error().code == EADDRNOTAVAIL))
		return std::unexpected(probe.error());
	return {};
}

result<void> check_unpublished(const firewall &now, const port_pair &wanted)
{
	for (const published_port &other : now.published)
		if (other.ports.collides(wanted))
			return fail(EADDRINUSE,
				    fmt::format("{} leads to VM {} already", outside_text(other.ports), other.vm));
	return {};
}

// Does the module show us everybody's VMs? Not for the root of a user namespace, nor for one
// without all rights.
bool sees_all_vms()
{
	std::uint64_t first = 1, outside = 1, count = 0, rights = 0;
	std::ifstream status("/proc/self/status");
	std::string word;

	std::ifstream("/proc/self/uid_map") >> first >> outside >> count;
	while (status >> word && word != "CapEff:")
		;
	status >> std::hex >> rights;
	return first == 0 && outside == 0 && count == UINT32_MAX && (rights >> cap_sys_admin & 1) != 0;
}

// Does it lead nowhere, as far as we can know? Without a module there are no VMs.
bool is_stale(const outcome<device> &in, const published_port &one, bool sees_all)
{
	if (!in)
		return is_module_missing(in.error());
	if (one.uid != ::geteuid() && !sees_all)
		return false;

	const auto rows = in->list(one.vm, one.vm);

	return rows && (rows->empty() ||
			std::ranges::find(rows->front().places, one.ip4, &vm_place::ip4) == rows->front().places.end());
}

// Without what leads nowhere.
result<firewall> swept(const context &world, firewall all)
{
	if (!all.exists)
		return all;

	const auto in = open_device(world);
	const auto opened = VMCTL_TRY(networks::open());
	const auto networks = VMCTL_TRY(opened.list());
	const bool sees_all = sees_all_vms();

	std::erase_if(all.published, [&](const published_port &one) { return is_stale(in, one, sees_all); });
	std::erase_if(all.translated, [&](const std::string &name) {
		return std::ranges::find(networks, name, &network_info::name) == networks.end();
	});
	return all;
}

// Reads the table, takes away what leads nowhere, and lets `add` say what comes to it. What is
// there then.
result<firewall> edit(const context &world, auto add)
{
	const table_lock alone(world);
	const firewall now = VMCTL_TRY(read_firewall(world.calls));
	firewall wanted = VMCTL_TRY(swept(world, now));

	VMCTL_TRY(add(wanted));
	VMCTL_TRY(change_firewall(world.calls, now, wanted));
	return wanted;
}

result<firewall> sweep(const context &world)
{
	return edit(world, [](firewall &) { return result<void>(); });
}

result<void> publish_at(const context &world, const vm_info &vm, std::span<const port_pair> ports)
{
	std::array<char, IF_NAMESIZE> network{};

	if (vm.places.empty() || ::if_indextoname(vm.places.front().network, network.data()) == nullptr)
		return fail(EADDRNOTAVAIL, vm.name + ": has no address on a network");

	const auto add = [&](firewall &wanted) -> result<void> {
		for (const port_pair &one : ports) {
			VMCTL_TRY(check_unpublished(wanted, one));
			VMCTL_TRY(try_port(world, one));
			wanted.published.push_back(
				{.ports = one, .ip4 = vm.places.front().ip4, .vm = vm.id, .uid = ::geteuid()});
		}
		return {};
	};

	VMCTL_TRY(edit(world, add));
	if (!std::ranges::all_of(ports, &port_pair::is_for_this_host_alone))
		VMCTL_TRY(forward_packets());
	return lead_local_packets(network.data());
}

} // namespace

outcome<std::vector<port_pair>> parse_publish(const invocation &in, std::uint32_t count, lone_ports without_net)
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
	if (!all.empty() && !in.has("net") && without_net == lone_ports::are_refused)
		return bad_usage("--publish wants --net where nobody stays to be the proxy");
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
	const auto changed = edit(world, [&](firewall &wanted) -> result<void> {
		wanted.translated.push_back(network);
		return {};
	});

	if (!changed)
		return give_up(status::some_failed, about("--nat", changed.error()));
	return let_host_forward("--nat");
}

outcome<void> let_host_forward(const std::string &option)
{
	if (const auto done = forward_packets(); !done)
		return give_up(status::some_failed, about(option, done.error()));
	return {};
}

std::optional<firewall> look_at_firewall(const context &world)
{
	auto left = sweep(world);

	if (left)
		return *std::move(left);
	if (left.error().code != EPERM && left.error().code != ENOENT)
		world.complain(left.error());
	return {};
}

result<void> check_unpublished(const context &world, std::span<const port_pair> ports)
{
	const auto now = can_have_firewall(world.calls) ? look_at_firewall(world) : std::nullopt;

	for (const port_pair &one : ports)
		VMCTL_TRY(check_unpublished(now.value_or(firewall{}), one));
	return {};
}

void sweep_firewall(const context &world)
{
	if (can_have_firewall(world.calls))
		look_at_firewall(world);
}

void sweep_silently(const context &world)
{
	if (can_have_firewall(world.calls))
		static_cast<void>(sweep(world));
}

} // namespace vmctl::cli
