// SPDX-License-Identifier: Apache-2.0
// What run, spawn, create and clone have in common: an image, checked options, a device.
#pragma once

#include "cli.hpp"
#include "publish.hpp"

namespace vmctl::cli
{

// What can be launched. The request points into the invocation it came from.
struct launch {
	device to;
	image from;
	std::string said; // what the image was called by
	spawn_request request;
	std::vector<port_pair> ports{}; // of this host, that shall lead to it
};

// Judges options, image, device and limits, in this order: mistakes of the
// command line and of a file show without a module.
outcome<launch> prepare(const context &world, const invocation &in, std::uint32_t count,
			lone_ports without_net = lone_ports::are_refused);

// The same for one VM of the image that `word` means, without its ports.
outcome<launch> prepare_image(const context &world, const invocation &in, const std::string &word);

// What the command line says of the VMs, judged without the module.
outcome<spawn_request> parse_request(const invocation &in, std::uint32_t count);

// What the module says to a request, whose network is found.
outcome<void> judge(const context &world, const invocation &in, spawn_request &request, const device &to);

// Makes what is planned, as spawn and create do, and tells of it. The status.
int make_all(const context &world, const invocation &in, launch plan, bool start);

// Leads the ports of `plan` to the one VM that was made from it, and has not been started. After a
// failure the VM is gone, and the caller calls sweep_firewall().
outcome<void> open_ports(const context &world, const launch &plan, std::uint64_t id);

// Makes the one VM of a plan with ports, as plan.request says. After a failure the caller calls
// sweep_firewall().
spawn_report make_published(const context &world, launch &plan);

// Prints the ids of new VMs. When nobody can be told, removes the VMs, says so, and is
// false.
bool tell_ids(const context &world, const device &to, std::span<const std::uint64_t> ids);

// Prints the id of a new image. When nobody can be told, takes its name away, unless it
// was another's, which is replaced: who had that knows it. The status.
int tell_image(const context &world, const image &made, bool replaces);

// --name of `in`, for so many VMs; empty without it.
outcome<std::string> parse_name(const invocation &in, std::uint32_t count);

// -m of `in`, in bytes; nothing without it.
outcome<std::optional<std::uint64_t>> parse_memory(const invocation &in);

// Is `memory`, if given, as much as a VM of the image that `word` means needs at least?
outcome<void> check_needs(const std::string &word, std::optional<std::uint64_t> memory, std::uint64_t least);

// -n of `in`; 1 without it.
outcome<std::uint32_t> parse_count(const invocation &in);

} // namespace vmctl::cli
