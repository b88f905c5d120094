// SPDX-License-Identifier: Apache-2.0
#include "routes.hpp"

#include <sstream>

#include <arpa/inet.h>
#include <net/route.h>

namespace vmctl::cli
{

std::vector<route> parse_routes(std::string_view text)
{
	std::istringstream lines{std::string(text)};
	std::vector<route> all;
	std::string line;

	std::getline(lines, line); // titles
	while (std::getline(lines, line)) {
		std::istringstream words(line);
		std::uint32_t base = 0, gateway = 0, flags = 0, references = 0, uses = 0, mask = 0;
		route row;

		// Addresses are as in a packet.
		words >> row.device >> std::hex >> base >> gateway >> flags >> std::dec >> references >> uses >>
			row.metric >> std::hex >> mask;
		row.base = ntohl(base);
		row.mask = ntohl(mask);
		if (words && (flags & RTF_UP) != 0 && (flags & RTF_REJECT) == 0)
			all.push_back(row);
	}
	return all;
}

} // namespace vmctl::cli
