// SPDX-License-Identifier: Apache-2.0
// Which image a word means, and loading it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli.hpp"

namespace vmctl::cli
{

// The bundled image that starts when none is named.
constexpr const char *default_image = "hello";

// A guest's ELF file, found and read.
struct guest_file {
	std::string label;
	std::string path;
	std::vector<std::byte> bytes;
};

// One that the module has, or a file that it could be given.
using found_image = std::variant<image, guest_file>;

// The names of the bundled images, sorted.
std::vector<std::string> bundled_names(const context &world);

// Is an image of this name bundled?
bool is_bundled(const context &world, const std::string &name);

// The bundled image `name`, whatever lies here.
outcome<guest_file> find_bundled(const context &world, const std::string &name);

// The file that `word` means: with a slash its path; else a bundled image or a file
// here, in this order. Failure: no_image, or not_startable when it is there but cannot
// be read.
outcome<guest_file> find_file(const context &world, const std::string &word);

// The image in the module that `word` means: its id or the name of one of the caller's.
// Nothing when there is none.
outcome<std::optional<image>> find_loaded(const device &in, const std::string &word);

// The image that `word` means: a loaded one unless it has a slash, else as find_file().
// Says which was taken if there are two. Without a module, when `in` is a failure,
// nothing is loaded.
outcome<found_image> find_image(const context &world, const outcome<device> &in, const std::string &word);

// Bytes of memory that a VM needs at least. Failure: not_startable for what is no guest.
outcome<std::uint64_t> memory_needed(const found_image &from);

// Gives the module what is in `file`.
outcome<image> load_file(const device &to, const guest_file &file, const image_options &options = {});

} // namespace vmctl::cli
