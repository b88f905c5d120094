// SPDX-License-Identifier: Apache-2.0
// Saved images, as verbs take them.
#pragma once

#include <string>

#include "cli.hpp"

namespace vmctl::cli
{

// Is there a saved image in the file that `word` means?
bool is_saved(const context &world, const std::string &word);

// Restores the image in a file, or on standard input for "-".
outcome<restored> restore_from(const context &world, const device &to, const std::string &word,
			       const restore_options &options = {});

} // namespace vmctl::cli
