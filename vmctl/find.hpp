// SPDX-License-Identifier: Apache-2.0
// Which image a word means.
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

// The names of the bundled images, sorted.
std::vector<std::string> bundled_names(const context &world);

} // namespace vmctl::cli
