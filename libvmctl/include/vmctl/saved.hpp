// SPDX-License-Identifier: Apache-2.0
/// \file
/// Images in files: docs/snapshots.md has the format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "error.hpp"
#include "image.hpp"

namespace vmctl
{

/// Takes the bytes of a saved image, in order; its error ends the saving.
using byte_sink = std::function<result<void>(std::span<const std::byte>)>;

/// Gives the bytes of a saved image, in order: as many as it has now, at least one, or 0
/// at the end. Its error ends the restoring.
using byte_source = std::function<result<std::size_t>(std::span<std::byte>)>;

/// What came out of a file.
struct restored {
	/// The image; it goes with its last VM, unless it is given a name.
	image from;
	/// The arguments of the VM that was saved.
	std::vector<std::string> arguments{};
	/// Its address on the first of its networks, as a number; 0: it had none.
	std::uint32_t ip4 = 0;
};

/// What a restored image shall be.
struct restore_options {
	/// Its name, as image::tag(); empty for none.
	std::string name{};
	/// Take the name from the image that has it.
	bool replace = false;
	/// Nothing may follow it.
	bool to_the_end = true;
};

/// Do these bytes begin a saved image? The first 8 are enough to know.
[[nodiscard]] bool is_saved_image(std::span<const std::byte> bytes);

} // namespace vmctl
