// SPDX-License-Identifier: Apache-2.0
// Where this host sends packets: the main table of its routes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vmctl::cli
{

struct route {
	std::string device;
	std::uint32_t base = 0, mask = 0; // of addresses
	std::uint32_t metric = 0;         // the lowest one of those that are alike counts
};

// From /proc/net/route. Routes that forbid are none.
std::vector<route> parse_routes(std::string_view text);

} // namespace vmctl::cli
