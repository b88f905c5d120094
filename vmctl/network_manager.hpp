// SPDX-License-Identifier: Apache-2.0
// NetworkManager, which may take away the address of a network that it manages.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

// What it does with `networks`; nothing where it does not run.
std::vector<host_check::finding> check_network_manager(system &calls, std::span<const network_info> networks);

// From `nmcli -t -f GENERAL.DEVICE,GENERAL.STATE device show`.
std::vector<host_check::finding> judge_network_manager(std::string_view text, std::span<const network_info> networks);

} // namespace vmctl::cli
