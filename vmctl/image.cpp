// SPDX-License-Identifier: Apache-2.0
// image ls, inspect, rm, tag and load: what VMs can be made from.
#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "find.hpp"
#include "json.hpp"
#include "launch.hpp"
#include "saved.hpp"
#include "screen.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

using json = nlohmann::ordered_json;

// What can be named: images that the module has, and bundled files.
struct shelf {
	std::vector<image_info> loaded;
	std::vector<guest_file> bundled;
	std::optional<failure> trouble; // why `loaded` is not known
};

outcome<std::vector<image_info>> look_into_module(const context &world)
{
	const auto to = open_device(world);

	if (!to)
		return std::unexpected(to.error());

	auto images = to->images();

	if (!images)
		return give_up(status::broken, images.error());
	return std::move(*images);
}

shelf look_around(const context &world)
{
	shelf seen;
	auto loaded = look_into_module(world);

	// Without a module nothing is loaded.
	if (loaded)
		seen.loaded = std::move(*loaded);
	else if (!is_module_missing(loaded.error()))
		seen.trouble = std::move(loaded.error());
	for (const std::string &name : bundled_names(world))
		if (auto file = find_bundled(world, name); file)
			seen.bundled.push_back(std::move(*file));
	return seen;
}

// A file as `image ls --json` and `image inspect` show it.
json file_json(const guest_file &file)
{
	const auto elf = elf_image::parse(file.bytes);

	return {
		{"id", nullptr},
		{"name", file.label},
		{"file", file.path},
		{"bytes", file.bytes.size()},
		{"memory_min", elf ? json(elf->memory_min()) : json(nullptr)},
	};
}

// Owners show where there are several.
void print_shelf(const context &world, const shelf &seen)
{
	const bool owners = std::ranges::any_of(seen.loaded, [&](const image_info &row) {
		return row.uid != seen.loaded.front().uid;
	});
	std::vector<std::string> titles{"NAME", "ID", "FROM", "SIZE", "MEMORY", "USERS", "AGE"};
	std::vector<bool> numbers{false, true, false, true, true, true, true};

	if (owners) {
		titles.emplace_back("UID");
		numbers.push_back(true);
	}

	table shown(titles, numbers);

	for (const image_info &row : seen.loaded) {
		std::vector<std::string> cells{row.name.empty() ? "-" : row.name,
					       std::to_string(row.id),
					       printable(row.label),
					       size_text(row.bytes),
					       size_text(row.memory_default),
					       std::to_string(row.users),
					       age_of(row.created_ns, now_ns())};

		if (owners)
			cells.push_back(std::to_string(row.uid));
		shown.add(cells);
	}
	for (const guest_file &file : seen.bundled) {
		std::vector<std::string> cells{file.label, "-", "bundled", size_text(file.bytes.size()), "-", "-", "-"};

		if (owners)
			cells.emplace_back("-");
		shown.add(cells);
	}
	print_table(world, shown);
}

outcome<void> needs_operands(const invocation &in, std::size_t count, const char *which)
{
	if (in.operands.size() < count)
		return bad_usage(which);
	return {};
}

// The status that a refused call on an image stands for: the caller's mistake or ours.
int status_of(const error &cause)
{
	const bool refused = cause.code == ENOENT || cause.code == EPERM || cause.code == EEXIST;

	return refused ? status::some_failed : status::broken;
}

// The loaded image that `word` means; there is none without its failure.
outcome<image> find_loaded_only(const context &world, const device &to, const std::string &word)
{
	auto loaded = find_loaded(to, word);

	if (!loaded)
		return std::unexpected(loaded.error());
	if (!*loaded)
		return give_up(status::some_failed,
			       {ENOENT, fmt::format("{}: no such image is loaded{}", word,
						    is_bundled(world, word) ? "; it is bundled, a file" : "")});
	return std::move(**loaded);
}

// Takes the name of the image that `word` means. True when that is done.
bool remove_one(const context &world, const device &to, const std::string &word)
{
	const auto found = find_loaded_only(world, to, word);

	if (!found) {
		world.complain(found.error().cause);
		return false;
	}
	if (const auto removed = found->remove(); !removed) {
		world.complain(about(word, removed.error()));
		return false;
	}
	return true;
}

// The same with all that have a name; somebody else may be faster.
outcome<bool> remove_all(const context &world, const device &to)
{
	const auto rows = to.images();
	bool done = true;

	if (!rows)
		return give_up(status::broken, rows.error());
	for (const image_info &row : *rows) {
		if (row.name.empty())
			continue;

		const auto opened = to.open_image(row.id);
		const auto removed = opened ? opened->remove() : std::unexpected(opened.error());

		if (removed || removed.error().code == ENOENT)
			continue;
		world.complain(about(row.name, removed.error()));
		done = false;
	}
	return done;
}

outcome<json> describe(const context &world, const outcome<device> &to, const std::string &word)
{
	const auto found = find_image(world, to, word);

	if (!found)
		return std::unexpected(found.error());
	// What is no guest is no image.
	if (const auto least = memory_needed(*found); !least)
		return std::unexpected(least.error());
	if (const auto *file = std::get_if<guest_file>(&*found))
		return file_json(*file);

	auto info = std::get<image>(*found).info();

	if (!info)
		return give_up(status::broken, info.error());
	info->users--; // that is us
	return to_json(*info);
}

outcome<cpu_level> parse_level(const invocation &in)
{
	constexpr std::array levels{cpu_level::sse2, cpu_level::sse42};
	const auto text = in.value("cpu");

	if (!text)
		return cpu_level::sse2;
	for (const cpu_level level : levels)
		if (*text == to_string(level))
			return level;
	return bad_usage(fmt::format("--cpu {}: not sse2 or sse4.2", *text));
}

// --name, or else what the file is called.
outcome<std::string> parse_image_name(const invocation &in, const guest_file &file)
{
	const auto given = in.value("name");
	const std::string name = given.value_or(file.label);

	if (const auto judged = check_name(name); !judged)
		return bad_usage(fmt::format("{}: {}{}", name, judged.error().what,
					     given ? "" : "; give one with --name"));
	return name;
}

} // namespace

int verb_image_ls(const context &world, const invocation &in)
{
	const shelf seen = look_around(world);

	if (in.has("json")) {
		json_array array(world.out);

		for (const image_info &row : seen.loaded)
			array.add(to_json(row));
		for (const guest_file &file : seen.bundled)
			array.add(file_json(file));
	} else if (in.has("quiet")) {
		for (const image_info &row : seen.loaded)
			world.out.print("{}\n", row.id);
	} else {
		print_shelf(world, seen);
	}
	return seen.trouble ? world.end(*seen.trouble) : int{status::ok};
}

int verb_image_inspect(const context &world, const invocation &in)
{
	CLI_TRY(world, needs_operands(in, 1, "which image?"));

	const auto to = open_device(world);

	if (!to && !is_module_missing(to.error()))
		return world.end(to.error());

	int result = status::ok;
	json_array array(world.out);

	for (const std::string &word : in.operands) {
		const auto object = describe(world, to, word);

		if (object) {
			array.add(*object);
			continue;
		}
		world.complain(object.error().cause);
		result = status::some_failed;
	}
	return result;
}

int verb_image_rm(const context &world, const invocation &in)
{
	const bool all = in.has("all");

	if (all != in.operands.empty())
		return world.end({status::usage,
				  {EINVAL, all ? "--all and names exclude each other"
					       : "which image? Give names or ids, or --all"}});

	const device to = CLI_TRY(world, open_device(world));
	bool done = true;

	if (all)
		done = CLI_TRY(world, remove_all(world, to));
	for (const std::string &word : in.operands)
		done &= remove_one(world, to, word);
	return done ? status::ok : status::some_failed;
}

int verb_image_tag(const context &world, const invocation &in)
{
	CLI_TRY(world, needs_operands(in, 2, "a loaded image and its name are needed"));

	const std::string &word = in.operands[0], &name = in.operands[1];

	if (const auto judged = check_name(name); !judged)
		return world.end({status::usage, about(name, judged.error())});

	const device to = CLI_TRY(world, open_device(world));
	const image one = CLI_TRY(world, find_loaded_only(world, to, word));
	const auto before = one.info();

	if (const auto tagged = one.tag(name, in.has("force")); !tagged)
		return world.end({status_of(tagged.error()), about(word, tagged.error())});
	if (before && !before->name.empty() && before->name != name)
		world.complain({0, fmt::format("{}: is called {} no more", name, before->name)});
	return status::ok;
}

namespace
{

// --name, or else what the file is called.
int load_saved(const context &world, const invocation &in, const std::string &word)
{
	if (in.has("memory") || in.has("cpu") || in.has("same-tsc"))
		return world.end({status::usage, {EINVAL, word + ": a saved image has its memory and CPU"}});

	const guest_file called{.label = std::filesystem::path(word).filename().string(), .path = word, .bytes = {}};
	const std::string name = CLI_TRY(world, parse_image_name(in, called));
	const device to = CLI_TRY(world, open_device(world));
	const bool replaces = to.open_image(name).has_value();

	// As below; restore() judges again.
	if (!in.has("force") && replaces)
		return world.end({status::some_failed, {EEXIST, "another image is called " + name}});

	const restored made = CLI_TRY(world, restore_from(world, to, word, {.name = name, .replace = in.has("force")}));

	return tell_image(world, made.from, replaces);
}

} // namespace

int verb_image_load(const context &world, const invocation &in)
{
	CLI_TRY(world, needs_operands(in, 1, "which file?"));

	const std::string &word = in.operands.front();

	if (is_saved(world, word))
		return load_saved(world, in, word);

	image_options options;

	options.memory = CLI_TRY(world, parse_memory(in));
	options.level = CLI_TRY(world, parse_level(in));
	options.same_tsc = in.has("same-tsc");

	const found_image found = CLI_TRY(world, find_file(world, word));
	const auto &file = std::get<guest_file>(found);
	const std::string name = CLI_TRY(world, parse_image_name(in, file));

	const std::uint64_t least = CLI_TRY(world, memory_needed(found));

	CLI_TRY(world, check_needs(word, options.memory, least));

	const device to = CLI_TRY(world, open_device(world));
	const bool replaces = to.open_image(name).has_value();

	// Not after a large file has been loaded; tag() judges again.
	if (!in.has("force") && replaces)
		return world.end({status::some_failed, {EEXIST, "another image is called " + name}});

	const image loaded = CLI_TRY(world, load_file(to, file, options));

	if (const auto tagged = loaded.tag(name, in.has("force")); !tagged)
		return world.end({status_of(tagged.error()), tagged.error()});
	return tell_image(world, loaded, replaces);
}

} // namespace vmctl::cli
