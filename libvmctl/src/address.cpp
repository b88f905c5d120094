// SPDX-License-Identifier: Apache-2.0
#include "vmctl/address.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace vmctl
{

namespace
{

constexpr unsigned longest_prefix = 30; // the host, and a VM
constexpr unsigned shortest_prefix = 8;
constexpr unsigned shortest_prefix6 = 16;

// The bits after the slash.
result<unsigned> parse_prefix(std::string_view text)
{
	const std::size_t slash = text.find('/');
	const std::string_view bits = slash == text.npos ? "" : text.substr(slash + 1);
	unsigned prefix = 0;
	const auto [end, wrong] = std::from_chars(bits.begin(), bits.end(), prefix);

	if (wrong != std::errc{} || end != bits.end())
		return fail(EINVAL, "no number of bits");
	return prefix;
}

// Addresses of one host, and not of the link alone (RFC 4291 2.4).
bool may_be_hosts(const ip6_address &address)
{
	const bool link_local = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;

	return address[0] != 0 && address[0] != 0xff && !link_local;
}

} // namespace

std::string ip4_text(std::uint32_t address)
{
	return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff, address & 0xff);
}

result<std::uint32_t> parse_ip4(std::string_view text)
{
	in_addr parsed{};

	if (::inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1)
		return fail(EINVAL, "not an IPv4 address such as 10.9.0.2");
	return ntohl(parsed.s_addr);
}

result<subnet> subnet::parse(std::string_view text)
{
	const auto address = parse_ip4(text.substr(0, text.find('/')));
	const auto bits = parse_prefix(text);
	subnet parsed;

	if (!address || !bits)
		return fail(EINVAL, "not a subnet such as 10.9.0.0/16");
	parsed.prefix = *bits;
	if (parsed.prefix < shortest_prefix || parsed.prefix > longest_prefix)
		return fail(EINVAL, fmt::format("a subnet has from /{} to /{}", shortest_prefix, longest_prefix));
	parsed.host = *address;
	if (parsed.host == parsed.base())
		parsed.host++;
	if ((parsed.host | parsed.mask()) == UINT32_MAX)
		return fail(EINVAL, "the last address is for broadcasts");
	if (const std::uint32_t first = parsed.host >> 24; first == 0 || first == 127 || first >= 224)
		return fail(EINVAL, "no host may have such an address");
	return parsed;
}

std::string ip6_text(const ip6_address &address)
{
	std::array<char, INET6_ADDRSTRLEN> text{};

	return ::inet_ntop(AF_INET6, address.data(), text.data(), text.size());
}

result<subnet6> subnet6::parse(std::string_view text, std::uint32_t ip4)
{
	const auto bits = parse_prefix(text);
	const std::uint32_t number = htonl(ip4);
	subnet6 parsed;

	if (!bits ||
	    ::inet_pton(AF_INET6, std::string(text.substr(0, text.find('/'))).c_str(), parsed.host.data()) != 1)
		return fail(EINVAL, "not a subnet such as fd00:9::/64");
	if (*bits < shortest_prefix6 || *bits > subnet6::longest)
		return fail(EINVAL, fmt::format("a subnet has from /{} to /{}", shortest_prefix6, subnet6::longest));
	if (!may_be_hosts(parsed.host))
		return fail(EINVAL, "no VM may have such an address");
	parsed.prefix = *bits;
	std::memcpy(parsed.host.data() + parsed.host.size() - sizeof number, &number, sizeof number);
	return parsed;
}

} // namespace vmctl
