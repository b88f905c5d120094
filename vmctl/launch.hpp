// SPDX-License-Identifier: Apache-2.0
// What run, spawn and create have in common: an image, checked options, a device.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli.hpp"

namespace vmctl::cli
{

// An image's file, found and read.
struct guest_file {
	std::string name;
	std::vector<std::byte> bytes;
};

// The guest that starts when none is named.
constexpr const char *default_image = "hello";

// Finds `word`: a file when it holds a slash or is one here, else a bundled
// image. Failure: no_image, or not_startable when it is there but cannot be read.
outcome<guest_file> find_image(const context &world, const std::string &word);

// What can be launched. The request points into the invocation it came from.
struct launch {
	device to;
	image from;
	spawn_request request;
};

// Judges options, image, device and limits, in this order: mistakes of the
// command line show without a module.
outcome<launch> prepare(const context &world, const invocation &in, std::uint32_t count);

// -n of `in`; 1 without it.
outcome<std::uint32_t> parse_count(const invocation &in);

} // namespace vmctl::cli
