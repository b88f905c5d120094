// SPDX-License-Identifier: Apache-2.0
// What will swallow packets of networks: the other half of what doctor says.
#pragma once

#include <vector>

#include "firewall.hpp"
#include "packet_filter.hpp"

namespace vmctl::cli
{

// What is known of a host besides its files.
struct packet_paths {
	std::vector<network_info> networks;
	result<firewall> ours;                // which ports, and whose VMs by our addresses
	result<std::vector<shut_chain>> shut; // of all firewalls
};

// Nothing where there are no networks.
std::vector<host_check::finding> check_packets(system &calls);

// The same of what has been found out.
std::vector<host_check::finding> judge_packets(system &calls, const packet_paths &paths);

} // namespace vmctl::cli
