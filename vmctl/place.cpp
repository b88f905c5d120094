// SPDX-License-Identifier: Apache-2.0
#include "place.hpp"

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr std::uint64_t bits_of_byte = 8;

struct named_place {
	std::string network;
	std::optional<std::uint32_t> ip4{}, dns4{};
	std::optional<std::uint64_t> rate{};
	bool router = false;
};

result<void> parse_address(std::string_view text, std::optional<std::uint32_t> &address)
{
	const auto parsed = parse_ip4(text);

	if (!parsed || *parsed == 0)
		return fail(EINVAL, "not an IPv4 address such as 10.9.0.2");
	address = *parsed;
	return {};
}

// As tc has it: bits a second.
result<void> parse_rate(std::string_view text, std::optional<std::uint64_t> &rate)
{
	static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 3> units{{
		{"kbit", 1000},
		{"mbit", 1000 * 1000},
		{"gbit", 1000 * 1000 * 1000},
	}};
	constexpr std::uint64_t most = 1000 * 1000; // of a unit

	for (const auto &[unit, bits] : units) {
		if (!text.ends_with(unit))
			continue;

		const auto number = parse_number(text.substr(0, text.size() - unit.size()));

		if (!number || *number == 0 || *number > most)
			break;
		rate = *number * bits / bits_of_byte;
		return {};
	}
	return fail(EINVAL, "not a rate such as 100kbit, 10mbit or 1gbit");
}

// One of the words after the name, each of which is there once.
result<void> parse_word(std::string_view text, named_place &place)
{
	const std::size_t equals = text.find('=');
	const std::string_view key = text.substr(0, equals), value = equals == text.npos ? "" : text.substr(equals + 1);

	if (text == "router" && !place.router) {
		place.router = true;
		return {};
	}
	if (key == "ip" && !place.ip4)
		return parse_address(value, place.ip4);
	if (key == "dns" && !place.dns4)
		return parse_address(value, place.dns4);
	if (key == "rate" && !place.rate)
		return parse_rate(value, place.rate);
	return fail(EINVAL, "not NAME[,ip=ADDRESS][,dns=ADDRESS][,rate=RATE][,router]");
}

result<named_place> parse_words(std::string_view text, std::uint32_t count)
{
	std::size_t comma = text.find(',');
	named_place place{.network = std::string(text.substr(0, comma))};

	VMCTL_TRY(check_network_name(place.network));
	while (comma != text.npos) {
		const std::size_t next = text.find(',', comma + 1);

		VMCTL_TRY(parse_word(text.substr(comma + 1, next - comma - 1), place));
		comma = next;
	}
	if (place.ip4 && count > 1)
		return fail(EINVAL, fmt::format("{} cannot have one address", count_text(count)));
	return place;
}

outcome<named_place> parse_place(std::string_view text, std::uint32_t count)
{
	auto place = parse_words(text, count);

	if (!place)
		return give_up(status::usage, about(fmt::format("--net {}", text), place.error()));
	return *std::move(place);
}

outcome<network_place> find_place(const context &world, const named_place &wanted)
{
	const std::uint32_t index = world.calls.interface_index(wanted.network);

	if (index == 0)
		return give_up(status::broken,
			       {ENODEV, fmt::format("--net {}: no such network", wanted.network),
				fmt::format("make it: vmctl net create {} --subnet 10.9.0.0/16", wanted.network)});
	return network_place{.network = index,
			     .ip4 = wanted.ip4.value_or(0),
			     .dns4 = wanted.dns4.value_or(0),
			     .rate = wanted.rate.value_or(0),
			     .router = wanted.router};
}

} // namespace

outcome<void> check_places(const invocation &in, std::uint32_t count)
{
	const auto all = in.values("net");

	if (all.size() > most_places)
		return bad_usage(fmt::format("--net: a VM has at most {} places on networks", most_places));
	for (const std::string &text : all)
		if (const auto place = parse_place(text, count); !place)
			return std::unexpected(place.error());
	return {};
}

outcome<std::vector<network_place>> find_places(const context &world, const invocation &in)
{
	std::vector<network_place> all;

	for (const std::string &text : in.values("net")) {
		const auto wanted = parse_place(text, 1);

		if (!wanted)
			return std::unexpected(wanted.error());

		const auto found = find_place(world, *wanted);

		if (!found)
			return std::unexpected(found.error());
		all.push_back(*found);
	}
	return all;
}

void keep_address(spawn_request &request, std::uint32_t ip4)
{
	if (ip4 == 0 || request.count != 1 || request.places.empty() || request.places.front().ip4 != 0)
		return;
	request.places.front().ip4 = ip4;
	request.places.front().or_any = true;
}

void tell_address(const context &world, const device &to, const spawn_request &request, std::uint64_t id)
{
	if (request.places.empty() || !request.places.front().or_any)
		return;

	const std::uint32_t wanted = request.places.front().ip4;
	const auto opened = to.open_vm(id);
	const auto row = opened ? opened->info() : std::unexpected(opened.error());

	if (row && !row->places.empty() && row->places.front().ip4 != wanted)
		world.complain({0, fmt::format("{} is taken, or not of this network: {} has {}", ip4_text(wanted),
					       row->name, ip4_text(row->places.front().ip4))});
}

} // namespace vmctl::cli
