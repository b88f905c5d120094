// SPDX-License-Identifier: Apache-2.0
#include "find.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr std::size_t largest_image = 256 << 20;

failure unreadable(error cause)
{
	return {cause.code == ENOENT || cause.code == ENOTDIR ? status::no_image : status::not_startable,
		std::move(cause)};
}

} // namespace

std::vector<std::string> bundled_names(const context &world)
{
	std::vector<std::string> names;

	for (const std::string &folder : world.image_folders) {
		std::error_code wrong;

		for (std::filesystem::directory_iterator at(folder, wrong), end; !wrong && at != end;
		     at.increment(wrong))
			if (at->is_regular_file(wrong))
				names.push_back(at->path().filename().string());
	}
	std::ranges::sort(names);
	names.erase(std::unique(names.begin(), names.end()), names.end());
	return names;
}

outcome<guest_file> find_image(const context &world, const std::string &word)
{
	const std::string name = std::filesystem::path(word).filename().string();
	auto here = world.calls.read_file(word, largest_image);

	if (here && name.empty())
		return give_up(status::no_image, {ENOENT, word + ": no such image"});
	if (here)
		return guest_file{printable(name), std::move(*here)};
	// A folder that happens to be called "hello" is no reason to find no hello.
	if (word.find('/') != std::string::npos || word.empty() ||
	    (here.error().code != ENOENT && here.error().code != EISDIR))
		return std::unexpected(unreadable(here.error()));

	for (const std::string &folder : world.image_folders) {
		auto bundled = world.calls.read_file(folder + "/" + word, largest_image);

		if (bundled)
			return guest_file{printable(word), std::move(*bundled)};
		if (bundled.error().code != ENOENT && bundled.error().code != ENOTDIR)
			return std::unexpected(unreadable(bundled.error()));
	}

	const auto names = bundled_names(world);

	return give_up(status::no_image,
		       {ENOENT, fmt::format("{}: no such file, and no bundled image of this name{}", printable(word),
					    names.empty() ? "" : fmt::format(" ({})", fmt::join(names, ", ")))});
}

} // namespace vmctl::cli
