// SPDX-License-Identifier: Apache-2.0
// Networks: net create, ls, inspect and rm.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <pwd.h>

#include "json.hpp"
#include "namespace.hpp"
#include "publish.hpp"
#include "screen.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace vmctl::cli
{

using json = nlohmann::ordered_json;

namespace
{

outcome<networks> open_networks()
{
	auto opened = networks::open();

	if (!opened)
		return give_up(status::broken, opened.error());
	opened->sweep();
	return std::move(*opened);
}

// The same for a command line that names some.
outcome<networks> open_for(const invocation &in)
{
	if (in.operands.empty())
		return bad_usage("the name of a network is needed");
	return open_networks();
}

// Calls `show` with each network that is named. The status.
int show_named(const context &world, const invocation &in, const networks &all, auto show)
{
	bool done = true;

	for (const std::string &name : in.operands) {
		const auto found = all.find(name);
		const auto shown = found ? show(*found) : result<void>(std::unexpected(found.error()));

		if (!shown)
			world.complain(shown.error());
		done &= shown.has_value();
	}
	return done ? status::ok : status::some_failed;
}

// Of a user of this machine. getpwnam() wants shared libraries.
std::optional<std::uint32_t> uid_of(const std::string &name)
{
	const std::unique_ptr<FILE, int (*)(FILE *)> users(std::fopen("/etc/passwd", "re"), std::fclose);

	while (users)
		if (const passwd *row = ::fgetpwent(users.get()); !row)
			break;
		else if (name == row->pw_name)
			return row->pw_uid;
	return {};
}

// A user's name, or number.
outcome<std::optional<std::uint32_t>> parse_owner(const invocation &in)
{
	const auto text = in.value("owner");

	if (!text)
		return std::nullopt;
	if (const auto number = parse_number(*text); number && *number < UINT32_MAX)
		return static_cast<std::uint32_t>(*number);
	if (const auto uid = uid_of(*text))
		return *uid;
	return bad_usage(fmt::format("--owner {}: no such user", *text));
}

outcome<std::optional<subnet6>> parse_subnet6(const invocation &in, const subnet &addresses)
{
	const auto text = in.value("subnet6");

	if (!text)
		return std::nullopt;

	const auto parsed = subnet6::parse(*text, addresses.host);

	if (!parsed)
		return bad_usage(fmt::format("--subnet6 {}: {}", *text, parsed.error().what));
	return *parsed;
}

outcome<network_policy> parse_policy(const invocation &in)
{
	const std::string text = in.value("policy").value_or("direct");

	for (const auto policy : {network_policy::direct, network_policy::host, network_policy::isolated})
		if (text == to_string(policy))
			return policy;
	return bad_usage(fmt::format("--policy {}: not direct, host or isolated", text));
}

outcome<network_options> parse_options(const invocation &in)
{
	network_options options;

	if (in.operands.empty())
		return bad_usage("a name for the network is needed");
	options.name = in.operands.front();
	if (const auto judged = check_network_name(options.name); !judged)
		return bad_usage(fmt::format("{}: {}", options.name, judged.error().what));

	const auto text = in.value("subnet");

	if (!text)
		return bad_usage("--subnet is needed, such as --subnet 10.9.0.0/16");

	const auto parsed = subnet::parse(*text);

	if (!parsed)
		return bad_usage(fmt::format("--subnet {}: {}", *text, parsed.error().what));
	options.addresses = *parsed;

	auto addresses6 = parse_subnet6(in, *parsed);

	if (!addresses6)
		return std::unexpected(addresses6.error());
	options.addresses6 = *addresses6;

	const auto policy = parse_policy(in);

	if (!policy)
		return std::unexpected(policy.error());
	options.policy = *policy;

	const auto mtu = parse_between(in, "mtu", 576, 65535);

	if (!mtu)
		return std::unexpected(mtu.error());
	options.mtu = *mtu;

	auto owner = parse_owner(in);

	if (!owner)
		return std::unexpected(owner.error());
	options.owner = *owner;
	return options;
}

// The caller's mistake or ours.
int status_of(const error &cause)
{
	return cause.code == EIO || cause.code == ENOMEM ? status::broken : status::some_failed;
}

// Those that the caller may see.
outcome<std::vector<vm_info>> list_vms(const context &world)
{
	const auto from = open_device(world);

	// Without the module there are no networks either.
	if (!from)
		return is_module_missing(from.error()) ? outcome<std::vector<vm_info>>()
						       : std::unexpected(from.error());

	auto rows = from->list();

	if (!rows)
		return give_up(status::broken, rows.error());
	return *std::move(rows);
}

// Each once.
std::set<std::uint32_t> networks_of(const vm_info &row)
{
	std::set<std::uint32_t> all;

	for (const vm_place &place : row.places)
		all.insert(place.network);
	return all;
}

// VMs of the caller's that each network has.
using counts = std::map<std::uint32_t, std::size_t>;

outcome<counts> count_vms(const context &world)
{
	const auto rows = list_vms(world);
	counts by_network;

	if (!rows)
		return std::unexpected(rows.error());
	for (const vm_info &row : *rows)
		for (const std::uint32_t network : networks_of(row))
			by_network[network]++;
	return by_network;
}

// Its subnet as `net create` takes it; nothing when its device has no address.
std::optional<std::string> subnet_text(const network_info &row)
{
	if (!row.addresses)
		return {};
	return fmt::format("{}/{}", ip4_text(row.addresses->base()), row.addresses->prefix);
}

json host6_of(const network_info &row)
{
	if (!row.addresses6)
		return nullptr;
	return fmt::format("{}/{}", ip6_text(row.addresses6->host), row.addresses6->prefix);
}

json to_json(const network_info &row, std::size_t vms)
{
	return {
		{"name", row.name},
		{"index", row.index},
		{"subnet", row.addresses ? json(*subnet_text(row)) : json(nullptr)},
		{"host", row.addresses ? json(ip4_text(row.addresses->host)) : json(nullptr)},
		{"host6", host6_of(row)},
		{"policy", to_string(row.policy)},
		{"mtu", row.mtu},
		{"up", row.up},
		{"vms", vms},
	};
}

// Calls `show` with each place on a network of VMs that the caller may see.
void for_each_place(const network_info &network, std::span<const vm_info> rows, auto show)
{
	for (const vm_info &row : rows)
		for (const vm_place &place : row.places)
			if (place.network == network.index)
				show(row, place);
}

json vms_of(const network_info &network, std::span<const vm_info> rows)
{
	json array = json::array();

	for_each_place(network, rows, [&](const vm_info &row, const vm_place &place) {
		array.push_back({{"id", row.id},
				 {"name", row.name},
				 {"ip", ip4_text(place.ip4)},
				 {"state", to_string(row.state)}});
	});
	return array;
}

json ports_of(const network_info &network, const firewall &rules)
{
	json array = json::array();

	for (const published_port &one : rules.published)
		if (network.addresses && network.addresses->has(one.ip4))
			array.push_back({{"host", outside_text(one.ports)},
					 {"vm", one.vm},
					 {"ip", ip4_text(one.ip4)},
					 {"port", one.ports.inside}});
	return array;
}

json to_json(const network_counters &counted)
{
	json drops = json::object();

	for (const auto &[reason, number] : counted.drops)
		drops[reason] = number;
	return {
		{"from_vms", {{"packets", counted.packets_from_vms}, {"bytes", counted.bytes_from_vms}}},
		{"to_vms", {{"packets", counted.packets_to_vms}, {"bytes", counted.bytes_to_vms}}},
		{"drops", drops},
	};
}

void print_networks(const context &world, const std::vector<network_info> &all, counts &vms)
{
	table shown({"NAME", "SUBNET", "HOST", "MTU", "STATE", "VMS"}, {false, false, false, true, false, true});

	for (const network_info &row : all)
		shown.add({row.name, subnet_text(row).value_or("-"),
			   row.addresses ? ip4_text(row.addresses->host) : "-", std::to_string(row.mtu),
			   row.up ? "up" : "down", std::to_string(vms[row.index])});
	print_table(world, shown);
}

void print_host(const context &world, const vm_place &place, std::string_view name)
{
	world.out.print("{} {}.mayfly\n", ip4_text(place.ip4), name);
	if (place.has_ip6())
		world.out.print("{} {}.mayfly\n", ip6_text(place.ip6), name);
}

// True when that is done.
bool remove_one(const context &world, const networks &all, const std::string &name, counts &vms, bool forced)
{
	const auto found = all.find(name);

	if (!found) {
		world.complain({found.error().code, found.error().what});
		return false;
	}
	if (const std::size_t users = vms[found->index]; users != 0 && !forced) {
		world.complain({EBUSY, fmt::format("{}: has {}", name, count_text(users)),
				"with -f it goes, and they live without it"});
		return false;
	}
	if (const auto removed = all.remove(*found); !removed) {
		world.complain(about(name, removed.error()));
		return false;
	}
	return true;
}

// What the host does for the VMs of a new network.
outcome<void> lead_packets(const context &world, const invocation &in, const network_options &options)
{
	if (in.has("nat"))
		return translate(world, options.name);
	if (options.policy == network_policy::host)
		return let_host_forward("--policy host");
	return {};
}

} // namespace

int verb_net_create(const context &world, const invocation &in)
{
	const network_options options = CLI_TRY(world, parse_options(in));

	CLI_TRY(world, enter_namespace(world, in));

	const networks all = CLI_TRY(world, open_networks());
	// Nobody ends us while there is half a network.
	const delayed_signals lasting(ending_signals);

	// Of one that was called so too, perhaps. translate() does so itself.
	if (!in.has("nat"))
		sweep_firewall(world);
	if (const auto made = all.create(options); !made)
		return world.end({status_of(made.error()), about(options.name, made.error())});
	if (const auto done = lead_packets(world, in, options); !done) {
		static_cast<void>(all.remove({.name = options.name}));
		sweep_silently(world);
		return world.end(done.error());
	}
	return status::ok;
}

int verb_net_ls(const context &world, const invocation &in)
{
	const networks known = CLI_TRY(world, open_networks());
	counts vms = CLI_TRY(world, count_vms(world));
	const auto all = known.list();

	if (!all)
		return world.end({status::broken, all.error()});
	sweep_firewall(world);
	if (in.has("json")) {
		json_array array(world.out);

		for (const network_info &row : *all)
			array.add(to_json(row, vms[row.index]));
	} else if (in.has("quiet")) {
		for (const network_info &row : *all)
			world.out.print("{}\n", row.name);
	} else {
		print_networks(world, *all, vms);
	}
	return status::ok;
}

int verb_net_hosts(const context &world, const invocation &in)
{
	const networks all = CLI_TRY(world, open_for(in));
	const std::vector<vm_info> rows = CLI_TRY(world, list_vms(world));

	return show_named(world, in, all, [&](const network_info &network) {
		for_each_place(network, rows,
			       [&](const vm_info &row, const vm_place &place) { print_host(world, place, row.name); });
		return result<void>();
	});
}

int verb_net_inspect(const context &world, const invocation &in)
{
	const networks all = CLI_TRY(world, open_for(in));
	const std::vector<vm_info> rows = CLI_TRY(world, list_vms(world));
	// Who may not read it sees a network without what is there.
	const auto rules = look_at_firewall(world);
	json_array array(world.out);

	return show_named(world, in, all, [&](const network_info &network) -> result<void> {
		const network_counters counted = VMCTL_TRY(all.count(network));
		const json vms = vms_of(network, rows);
		json object = to_json(network, vms.size());

		object["vms"] = vms;
		object["nat"] = rules ? json(std::ranges::count(rules->translated, network.name) != 0) : json(nullptr);
		object["published"] = rules ? ports_of(network, *rules) : json(nullptr);
		object.update(to_json(counted));
		array.add(object);
		return {};
	});
}

int verb_net_rm(const context &world, const invocation &in)
{
	const networks all = CLI_TRY(world, open_for(in));
	counts vms = CLI_TRY(world, count_vms(world));
	bool done = true;

	for (const std::string &name : in.operands)
		done &= remove_one(world, all, name, vms, in.has("force"));
	sweep_firewall(world);
	return done ? status::ok : status::some_failed;
}

} // namespace vmctl::cli
