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

// The first place of `request`'s VM, if it may have any address there, has `ip4`, if it can.
void keep_address(spawn_request &request, std::uint32_t ip4);

// Says so if VM `id`, which was made for `request`, could not.
void tell_address(const context &world, const device &to, const spawn_request &request, std::uint64_t id);

} // namespace vmctl::cli
