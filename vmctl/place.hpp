// SPDX-License-Identifier: Apache-2.0
// What --net says: a network, and perhaps an address there.
#pragma once

#include "cli.hpp"

namespace vmctl::cli
{

// Judges --net of `in`, for so many VMs, without looking for the network.
outcome<void> check_place(const invocation &in, std::uint32_t count);

// The place that --net of `in` means; nothing without it.
outcome<std::optional<network_place>> find_place(const context &world, const invocation &in);

} // namespace vmctl::cli
