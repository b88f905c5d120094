// SPDX-License-Identifier: Apache-2.0
// Network devices of our kind, by netlink: libnl knows nothing of what is in their data.
#pragma once

#include <vector>

#include "netlink.hpp"
#include "vmctl/network.hpp"

namespace vmctl
{

// One that is down, and has no addresses.
[[nodiscard]] result<void> make_link(nl_sock *socket, const network_options &options);

// Gives a link another name, and turns it on.
[[nodiscard]] result<void> name_link(nl_sock *socket, std::uint32_t index, const std::string &name);

// All there are, without their addresses.
[[nodiscard]] result<std::vector<network_info>> list_links(nl_sock *socket);

} // namespace vmctl
