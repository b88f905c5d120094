// SPDX-License-Identifier: Apache-2.0
// Ports of this host that lead to VMs, and networks that reach the world.
#pragma once

#include "cli.hpp"
#include "firewall.hpp"

namespace vmctl::cli
{

// --publish without --net.
enum class lone_ports { are_refused, have_a_proxy };

// --publish of `in`, for so many VMs.
outcome<std::vector<port_pair>> parse_publish(const invocation &in, std::uint32_t count, lone_ports without_net);

// Leads `ports` of this host to a VM of `to` that has a place on a network. After a failure some
// may lead there until the VM has gone and sweep_firewall() has been called.
outcome<void> publish(const context &world, const device &to, std::uint64_t id, std::span<const port_pair> ports);

// Do `ports` lead to another VM already? Who may not look is told no.
result<void> check_unpublished(const context &world, std::span<const port_pair> ports);

// From now on VMs of that network reach the world, by addresses of this host's. After a failure
// they may, until the network has gone and sweep_firewall() has been called.
outcome<void> translate(const context &world, const std::string &network);

// Turns this host into a router, as `option` wants it.
outcome<void> let_host_forward(const std::string &option);

// What is in the table once what led to VMs and networks that are gone has been taken away. Nothing
// for who may not look.
std::optional<firewall> look_at_firewall(const context &world);

// Takes that away, where there can be a table. Who may not, does not.
void sweep_firewall(const context &world);

// The same after a failure that has been told, and is likely to be why this fails, too.
void sweep_silently(const context &world);

} // namespace vmctl::cli
