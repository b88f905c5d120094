// SPDX-License-Identifier: Apache-2.0
// net on-demand: addresses that get a VM when a packet comes.
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include "find.hpp"
#include "json.hpp"
#include "launch.hpp"
#include "screen.hpp"
#include "text.hpp"

namespace vmctl::cli
{

using json = nlohmann::ordered_json;

namespace
{

// The first address and the last, as numbers.
using addresses = std::pair<std::uint32_t, std::uint32_t>;

outcome<addresses> parse_addresses(std::string_view option, std::string_view text)
{
	constexpr std::uint64_t all_bits = 32;
	const std::size_t slash = text.find('/');
	const auto base = parse_ip4(text.substr(0, slash));
	const auto bits = slash == text.npos ? all_bits : parse_number(text.substr(slash + 1));

	if (!base || !bits || *bits == 0 || *bits > all_bits)
		return bad_usage(fmt::format("--{} {}: not addresses such as 10.9.4.0/24", option, text));

	const auto mask = static_cast<std::uint32_t>(~0ull << (all_bits - *bits));

	return addresses(*base & mask, *base | ~mask);
}

std::string addresses_text(const demand_range &range)
{
	const std::uint32_t differs = range.first ^ range.last;

	// As --range makes them.
	if ((differs & (differs + 1)) != 0 || (range.first & differs) != 0)
		return fmt::format("{}-{}", ip4_text(range.first), ip4_text(range.last));
	return fmt::format("{}/{}", ip4_text(range.first), std::countl_zero(differs));
}

std::string service_text(const service &one)
{
	return fmt::format("{}/{}", one.port, one.udp ? "udp" : "tcp");
}

outcome<service> parse_service(std::string_view text)
{
	const std::size_t slash = text.find('/');
	const auto port = parse_number(text.substr(0, slash));
	const std::string_view protocol = slash == text.npos ? "tcp" : text.substr(slash + 1);

	if (!port || *port == 0 || *port > UINT16_MAX || (protocol != "tcp" && protocol != "udp"))
		return bad_usage(fmt::format("--ports {}: not a port such as 80/tcp or 53/udp", text));
	return service{.port = static_cast<std::uint16_t>(*port), .udp = protocol == "udp"};
}

outcome<std::vector<service>> parse_services(const invocation &in)
{
	std::vector<service> all;

	for (const std::string &text : in.values("ports")) {
		const auto one = parse_service(text);

		if (!one)
			return std::unexpected(one.error());
		all.push_back(*one);
	}
	if (all.size() > most_services)
		return bad_usage(fmt::format("--ports: at most {}", most_services));
	return all;
}

// As "2s", "500ms", "5m" or "1h"; a number alone is seconds.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text)
{
	struct unit {
		std::string_view name;
		std::uint64_t thousandths;
	};
	static constexpr std::array<unit, 4> units{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};

	for (const unit &one : units) {
		if (!text.ends_with(one.name))
			continue;
		const auto number = parse_seconds(text.substr(0, text.size() - one.name.size()));

		return number ? std::optional(std::chrono::milliseconds(*number * one.thousandths / 1000))
			      : std::nullopt;
	}
	const auto seconds = parse_seconds(text);

	return seconds ? std::optional(std::chrono::milliseconds(*seconds)) : std::nullopt;
}

// Nothing is "never".
outcome<std::chrono::milliseconds> parse_idle(const invocation &in)
{
	const auto text = in.value("idle");

	if (const auto keep = in.value("keep")) {
		if (*keep != "cold")
			return bad_usage(fmt::format("--keep {}: not cold", *keep));
		if (text)
			return bad_usage("--idle says when VMs end, --keep that they do not");
		return std::chrono::milliseconds(0);
	}
	if (!text)
		return demand_range().idle;

	const auto idle = parse_duration(*text);

	if (!idle || idle->count() == 0 || *idle > longest_idle)
		return bad_usage(fmt::format("--idle {}: not a time such as 2s, 500ms or 5m, up to {}h", *text,
					     longest_idle.count()));
	return *idle;
}

outcome<demand_range> parse_range(const invocation &in)
{
	const auto wanted = parse_addresses("range", in.value("range").value_or(""));

	if (!wanted)
		return std::unexpected(wanted.error());

	auto services = parse_services(in);
	const auto idle = parse_idle(in);
	const auto rate = parse_between(in, "rate", 1, most_births);
	const auto max = parse_between(in, "max", 1, UINT32_MAX);
	// A prefix has a bit at least, so it fits.
	const std::uint32_t all = wanted->second - wanted->first + 1;

	if (!services)
		return std::unexpected(services.error());
	if (!idle)
		return std::unexpected(idle.error());
	if (!rate)
		return std::unexpected(rate.error());
	if (!max)
		return std::unexpected(max.error());
	return demand_range{.first = wanted->first,
			    .last = wanted->second,
			    .idle = *idle,
			    .rate = rate->value_or(most_births),
			    .max = max->value_or(all),
			    .services = *std::move(services)};
}

// Its index.
outcome<std::uint32_t> find_network(const context &world, const std::string &name)
{
	if (const auto judged = check_network_name(name); !judged)
		return bad_usage(fmt::format("{}: {}", name, judged.error().what));

	const std::uint32_t index = world.calls.interface_index(name);

	if (index == 0)
		return give_up(status::some_failed, {ENODEV, fmt::format("{}: no such network", name)});
	return index;
}

int add(const context &world, const invocation &in)
{
	if (in.operands.empty())
		return world.end(bad_usage("the name of a network is needed").error());

	const demand_range range = CLI_TRY(world, parse_range(in));
	const auto word = in.value("image");

	if (!word)
		return world.end(bad_usage("--image is needed: what the VMs are made from").error());

	const launch plan = CLI_TRY(world, prepare_image(world, in, *word));
	spawn_request request = plan.request;

	request.places = {{.network = CLI_TRY(world, find_network(world, in.operands.front()))}};
	if (const auto made = plan.to.make_on_demand(plan.from, request, range); !made)
		return world.end({status::some_failed, about(in.operands.front(), made.error())});
	return status::ok;
}

// Of the network that is named, or of all.
outcome<std::vector<demand_info>> list_wanted(const context &world, const invocation &in)
{
	const auto from = open_device(world);

	if (!from)
		return std::unexpected(from.error());

	auto rows = from->demands();

	if (!rows)
		return give_up(status::broken, rows.error());
	if (in.operands.empty())
		return *std::move(rows);

	const auto network = find_network(world, in.operands.front());

	if (!network)
		return std::unexpected(network.error());
	std::erase_if(*rows, [&](const demand_info &row) { return row.network != *network; });
	return *std::move(rows);
}

outcome<std::map<std::uint32_t, std::string>> name_networks()
{
	std::map<std::uint32_t, std::string> names;
	const auto known = networks::open();

	if (!known)
		return give_up(status::broken, known.error());

	const auto all = known->list();

	if (!all)
		return give_up(status::broken, all.error());
	for (const network_info &one : *all)
		names[one.index] = one.name;
	return names;
}

json to_json(const demand_info &row, const std::string &network)
{
	json ports = json::array();

	for (const service &one : row.range.services)
		ports.push_back(service_text(one));
	return {
		{"id", row.id},
		{"network", network.empty() ? json(nullptr) : json(network)},
		{"range", addresses_text(row.range)},
		{"image", row.image},
		{"image_id", row.image_id},
		{"memory", row.memory},
		{"ports", ports},
		{"idle_ms", row.range.idle.count() == 0 ? json(nullptr) : json(row.range.idle.count())},
		{"rate", row.range.rate},
		{"max", row.range.max},
		{"uid", row.uid},
		{"vms", row.vms},
		{"born", row.born},
		{"refused", row.refused},
	};
}

std::string idle_text(std::chrono::milliseconds idle)
{
	return idle.count() == 0 ? "never"
				 : time_text(static_cast<std::uint64_t>(std::chrono::nanoseconds(idle).count()));
}

std::string services_text(const std::vector<service> &services)
{
	std::string text;

	for (const service &one : services)
		text += (text.empty() ? "" : ",") + service_text(one);
	return text.empty() ? "any" : text;
}

int list(const context &world, const invocation &in)
{
	const auto rows = CLI_TRY(world, list_wanted(world, in));
	auto names = CLI_TRY(world, name_networks());

	if (in.has("json")) {
		json_array array(world.out);

		for (const demand_info &row : rows)
			array.add(to_json(row, names[row.network]));
		return status::ok;
	}

	table shown({"NETWORK", "RANGE", "IMAGE", "PORTS", "IDLE", "RATE", "MAX", "VMS", "BORN", "REFUSED"},
		    {false, false, false, false, false, true, true, true, true, true});

	for (const demand_info &row : rows)
		shown.add({names[row.network].empty() ? "-" : names[row.network], addresses_text(row.range), row.image,
			   services_text(row.range.services), idle_text(row.range.idle), std::to_string(row.range.rate),
			   std::to_string(row.range.max), std::to_string(row.vms), std::to_string(row.born),
			   std::to_string(row.refused)});
	print_table(world, shown);
	return status::ok;
}

// Those that `text` means, of one network.
outcome<std::vector<demand_info>> find_registered(const context &world, const invocation &in, const std::string &text)
{
	const auto wanted = parse_addresses("rm", text);

	if (!wanted)
		return std::unexpected(wanted.error());

	auto rows = list_wanted(world, in);

	if (!rows)
		return rows;
	std::erase_if(*rows, [&](const demand_info &row) {
		return row.network == 0 || addresses(row.range.first, row.range.last) != *wanted;
	});
	if (rows->empty())
		return give_up(status::some_failed, {ENOENT, text + ": no such range on demand"});
	if (rows->size() > 1)
		return give_up(status::some_failed, {EINVAL, text + ": several networks have such a range: name one"});
	return rows;
}

int remove(const context &world, const invocation &in)
{
	const std::string text = in.value("rm").value_or("");
	const device from = CLI_TRY(world, open_device(world));

	for (const demand_info &row : CLI_TRY(world, find_registered(world, in, text)))
		if (const auto removed = from.remove_demand(row.id); !removed && removed.error().code != ENOENT)
			return world.end({status::some_failed, about(text, removed.error())});
	return status::ok;
}

bool has_any(const invocation &in, std::span<const char *const> options)
{
	return std::ranges::any_of(options, [&](const char *option) { return in.has(option); });
}

} // namespace

int verb_net_on_demand(const context &world, const invocation &in)
{
	static constexpr std::array of_new{"range", "image", "memory", "ports", "idle", "keep", "rate", "max"};
	const bool is_new = has_any(in, of_new) || !in.arguments.empty();

	if (in.has("rm") && is_new)
		return world.end(bad_usage("--rm takes no other option").error());
	if (in.has("rm"))
		return remove(world, in);
	return is_new ? add(world, in) : list(world, in);
}

} // namespace vmctl::cli
