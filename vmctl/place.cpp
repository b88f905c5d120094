// SPDX-License-Identifier: Apache-2.0
#include "place.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "text.hpp"

namespace vmctl::cli
{

namespace
{

struct named_place {
	std::string network;
	std::optional<std::uint32_t> ip4{}, dns4{};
};

// KEY=ADDRESS, each once.
result<void> parse_address(std::string_view text, named_place &place)
{
	const std::size_t equals = text.find('=');
	const std::string_view key = text.substr(0, equals);
	auto *const address = key == "ip" ? &place.ip4 : key == "dns" ? &place.dns4 : nullptr;

	if (equals == text.npos || !address || *address)
		return fail(EINVAL, "not NAME[,ip=ADDRESS][,dns=ADDRESS]");

	const auto parsed = parse_ip4(text.substr(equals + 1));

	if (!parsed || *parsed == 0)
		return fail(EINVAL, "not an IPv4 address such as 10.9.0.2");
	*address = *parsed;
	return {};
}

result<named_place> parse_words(std::string_view text, std::uint32_t count)
{
	std::size_t comma = text.find(',');
	named_place place{.network = std::string(text.substr(0, comma))};

	VMCTL_TRY(check_network_name(place.network));
	while (comma != text.npos) {
		const std::size_t next = text.find(',', comma + 1);

		VMCTL_TRY(parse_address(text.substr(comma + 1, next - comma - 1), place));
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

} // namespace

outcome<void> check_place(const invocation &in, std::uint32_t count)
{
	const auto text = in.value("net");

	if (!text)
		return {};
	if (const auto place = parse_place(*text, count); !place)
		return std::unexpected(place.error());
	return {};
}

outcome<std::optional<network_place>> find_place(const context &world, const invocation &in)
{
	const auto text = in.value("net");

	if (!text)
		return std::nullopt;

	const auto place = parse_place(*text, 1);

	if (!place)
		return std::unexpected(place.error());

	const std::uint32_t index = world.calls.interface_index(place->network);

	if (index == 0)
		return give_up(status::broken,
			       {ENODEV, fmt::format("--net {}: no such network", place->network),
				fmt::format("make it: vmctl net create {} --subnet 10.9.0.0/16", place->network)});
	return network_place{.network = index, .ip4 = place->ip4.value_or(0), .dns4 = place->dns4.value_or(0)};
}

} // namespace vmctl::cli
