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

bool is_path(std::string_view word)
{
	return word.find('/') != std::string_view::npos;
}

failure unreadable(error cause)
{
	return {cause.code == ENOENT || cause.code == ENOTDIR ? status::no_image : status::not_startable,
		std::move(cause)};
}

outcome<guest_file> read_guest(const context &world, const std::string &path)
{
	const std::string name = std::filesystem::path(path).filename().string();
	auto bytes = world.calls.read_file(path, largest_image);

	if (!bytes)
		return std::unexpected(unreadable(bytes.error()));
	return guest_file{printable(name), path, std::move(*bytes)};
}

// The path of the bundled image `name`, or empty.
std::string bundled_path(const context &world, const std::string &name)
{
	for (const std::string &folder : world.image_folders)
		if (const std::string path = folder + "/" + name; !is_path(name) && world.calls.is_file(path))
			return path;
	return {};
}

failure nothing_found(const context &world, const std::string &word)
{
	const auto names = bundled_names(world);

	return {status::no_image,
		{ENOENT, fmt::format("{}: no image and no file of this name{}", word,
				     names.empty() ? "" : fmt::format("; bundled are {}", fmt::join(names, ", ")))}};
}

// Says that `taken` was, when something else is called `word` as well.
void tell_choice(const context &world, const std::string &word, const char *taken, bool bundled)
{
	std::vector<std::string> others;

	if (bundled)
		others.emplace_back("the bundled one");
	// A folder that happens to be called "hello" is no second one.
	if (world.calls.is_file(word))
		others.push_back(fmt::format("./{}", word));
	if (!others.empty())
		world.complain({0, fmt::format("{}: taking the {} image, not {}", word, taken,
					       fmt::join(others, " or "))});
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

bool is_bundled(const context &world, const std::string &name)
{
	return !bundled_path(world, name).empty();
}

outcome<guest_file> find_bundled(const context &world, const std::string &name)
{
	const std::string path = bundled_path(world, name);

	if (path.empty())
		return give_up(status::no_image, {ENOENT, fmt::format("{}: no such bundled image in {}", name,
								      fmt::join(world.image_folders, " or "))});
	return read_guest(world, path);
}

outcome<guest_file> find_file(const context &world, const std::string &word)
{
	if (is_path(word))
		return read_guest(world, word);

	const std::string path = word.empty() ? "" : bundled_path(world, word);

	if (!path.empty())
		tell_choice(world, word, "bundled", false);
	else if (!world.calls.is_file(word))
		return std::unexpected(nothing_found(world, word));
	return read_guest(world, path.empty() ? word : path);
}

outcome<std::optional<image>> find_loaded(const device &in, const std::string &word)
{
	const auto id = parse_number(word);

	// What cannot be a name is none.
	if (!id && !check_name(word))
		return std::nullopt;

	auto opened = id ? in.open_image(*id) : in.open_image(word);

	if (opened)
		return std::move(*opened);
	if (opened.error().code == ENOENT)
		return std::nullopt;
	return give_up(status::broken, {opened.error().code, word + ": " + opened.error().what});
}

outcome<found_image> find_image(const context &world, const outcome<device> &in, const std::string &word)
{
	if (in && !is_path(word)) {
		auto loaded = find_loaded(*in, word);

		if (!loaded)
			return std::unexpected(loaded.error());
		if (*loaded) {
			tell_choice(world, word, "loaded", is_bundled(world, word));
			return std::move(**loaded);
		}
	}

	auto file = find_file(world, word);

	if (file)
		return std::move(*file);
	// It may have been loaded before.
	if (!in && !is_path(word) && file.error().status == status::no_image)
		file.error().cause.what += "; and " + in.error().cause.what;
	return std::unexpected(file.error());
}

outcome<std::uint64_t> memory_needed(const found_image &from)
{
	if (const auto *file = std::get_if<guest_file>(&from)) {
		const auto elf = elf_image::parse(file->bytes);

		if (!elf)
			return give_up(status::not_startable, {elf.error().code, file->path + ": " + elf.error().what});
		return elf->memory_min();
	}

	const auto info = std::get<image>(from).info();

	if (!info)
		return give_up(status::broken, info.error());
	return info->memory_min;
}

outcome<image> load_file(const device &to, const guest_file &file, const image_options &options)
{
	auto loaded = to.load_image(file.bytes, file.label, options);

	if (!loaded)
		return give_up(status::broken,
			       {loaded.error().code, file.path + ": " + loaded.error().what, loaded.error().fix});
	return std::move(*loaded);
}

} // namespace vmctl::cli
