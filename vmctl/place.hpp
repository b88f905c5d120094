// SPDX-License-Identifier: Apache-2.0
// What --net says: a network, and perhaps an address there, or more.
#pragma once

#include "cli.hpp"

namespace vmctl::cli
{

// Judges --net of `in`, for so many VMs, without looking for the network.
outcome<void> check_places(const invocation &in, std::uint32_t count);

// The places that --net of `in` means, in their order.
outcome<std::vector<network_place>> find_places(const context &world, const invocation &in);

} // namespace vmctl::cli
