// SPDX-License-Identifier: Apache-2.0
// image ls, inspect, rm, tag and load: what VMs can be made from.
#include <algorithm>
#include <array>
#include <chrono>

#include <fmt/format.h>

#include "find.hpp"
#include "json.hpp"
#include "launch.hpp"
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
	else if (loaded.error().cause.code != ENOENT)
		seen.trouble = std::move(loaded.error());
	for (const std::string &name : bundled_names(world))
		if (auto file = find_bundled(world, name); file)
			seen.bundled.push_back(std::move(*file));
	return seen;
}

json file_json(const guest_file &file)
{
	return {{"id", nullptr}, {"name", file.label}, {"file", file.path}, {"bytes", file.bytes.size()}};
}

void print_names(const context &world, const shelf &seen)
{
	const auto is_loaded = [&](const std::string &name) {
		return std::ranges::find(seen.loaded, name, &image_info::name) != seen.loaded.end();
	};

	for (const image_info &row : seen.loaded)
		fmt::print(world.out, "{}\n", row.name.empty() ? std::to_string(row.id) : row.name);
	for (const guest_file &file : seen.bundled)
		if (!is_loaded(file.label))
			fmt::print(world.out, "{}\n", file.label);
}

void print_table(const context &world, const shelf &seen)
{
	const auto now = static_cast<std::uint64_t>(
		std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
	table shown({"NAME", "ID", "FROM", "SIZE", "MEMORY", "USERS", "AGE"},
		    {false, true, false, true, true, true, true});

	for (const image_info &row : seen.loaded)
		shown.add({row.name.empty() ? "-" : row.name, std::to_string(row.id), printable(row.label),
			   size_text(row.bytes), size_text(row.memory_default), std::to_string(row.users),
			   age_text(now - std::min<std::uint64_t>(row.created_ns, now))});
	for (const guest_file &file : seen.bundled)
		shown.add({file.label, "-", "bundled", size_text(file.bytes.size()), "-", "-", "-"});
	shown.print(world.out);
}

outcome<void> needs_operands(const invocation &in, std::size_t count, const char *which)
{
	if (in.operands.size() < count)
		return bad_usage(which);
	return {};
}

// The loaded image that `word` means; there is none without its failure.
outcome<image> find_loaded_only(const context &world, const device &to, const std::string &word)
{
	auto loaded = find_loaded(to, word);

	if (!loaded)
		return std::unexpected(loaded.error());
	if (*loaded)
		return std::move(**loaded);

	error cause{ENOENT, printable(word) + ": no such image is loaded"};

	if (find_bundled(world, word))
		cause.fix = fmt::format("vmctl image load {}, which is bundled", word);
	return give_up(status::some_failed, std::move(cause));
}

// A loaded image, and what it was called by.
struct named_image {
	std::string word;
	image held;
};

// All that have a name; or those that the operands mean, complaining of what is not there.
outcome<std::vector<named_image>> select_images(const context &world, const device &to, const invocation &in)
{
	std::vector<named_image> picked;

	if (in.has("all") != in.operands.empty())
		return bad_usage(in.has("all") ? "--all and names exclude each other"
					       : "which image? Give names or ids, or --all");
	for (const std::string &word : in.operands)
		if (auto found = find_loaded_only(world, to, word); found)
			picked.push_back({printable(word), std::move(*found)});
		else
			world.complain(found.error().cause);
	if (!in.has("all"))
		return picked;

	auto rows = to.images();

	if (!rows)
		return give_up(status::broken, rows.error());
	for (const image_info &row : *rows)
		if (!row.name.empty())
			if (auto opened = to.open_image(row.id); opened)
				picked.push_back({row.name, std::move(*opened)});
	return picked;
}

outcome<json> describe(const context &world, const outcome<device> &to, const std::string &word)
{
	const auto found = find_image(world, to, word);

	if (!found)
		return std::unexpected(found.error());
	if (const auto *loaded = std::get_if<image>(&*found)) {
		const auto info = loaded->info();

		if (!info)
			return give_up(status::broken, info.error());
		return to_json(*info);
	}

	const auto &file = std::get<guest_file>(*found);
	const auto elf = elf_image::parse(file.bytes);

	if (!elf)
		return give_up(status::not_startable,
			       {elf.error().code, printable(file.path) + ": " + elf.error().what});

	json object = file_json(file);

	object["memory_min"] = elf->memory_min();
	return object;
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
	return bad_usage(fmt::format("--cpu {}: not sse2 or sse4.2", printable(*text)));
}

// --name, or else what the file is called.
outcome<std::string> parse_image_name(const invocation &in, const guest_file &file)
{
	const auto given = in.value("name");
	const std::string name = given.value_or(file.label);

	if (const auto judged = check_name(name); !judged)
		return bad_usage(fmt::format("{}: {}{}", printable(name), judged.error().what,
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
		print_names(world, seen);
	} else {
		print_table(world, seen);
	}
	return seen.trouble ? world.end(*seen.trouble) : int{status::ok};
}

int verb_image_inspect(const context &world, const invocation &in)
{
	CLI_TRY(world, needs_operands(in, 1, "which image?"));

	const auto to = open_device(world);
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
	const device to = CLI_TRY(world, open_device(world));
	const auto picked = CLI_TRY(world, select_images(world, to, in));
	int result = in.has("all") || picked.size() == in.operands.size() ? status::ok : status::some_failed;

	for (const named_image &one : picked) {
		const auto removed = one.held.remove();

		// With --all somebody else may have been faster.
		if (removed || (in.has("all") && removed.error().code == ENOENT))
			continue;
		world.complain({removed.error().code, fmt::format("{}: {}", one.word, removed.error().what)});
		result = status::some_failed;
	}
	return result;
}

int verb_image_tag(const context &world, const invocation &in)
{
	CLI_TRY(world, needs_operands(in, 2, "an image and its new name are needed"));

	const std::string &name = in.operands[1];

	if (const auto judged = check_name(name); !judged)
		return world.end({status::usage,
				  {EINVAL, fmt::format("{}: {}", printable(name), judged.error().what)}});

	const device to = CLI_TRY(world, open_device(world));
	const image one = CLI_TRY(world, find_loaded_only(world, to, in.operands[0]));

	if (const auto tagged = one.tag(name, in.has("force")); !tagged)
		return world.end({status::some_failed, tagged.error()});
	return status::ok;
}

int verb_image_load(const context &world, const invocation &in)
{
	CLI_TRY(world, needs_operands(in, 1, "which file?"));

	image_options options;

	options.memory = CLI_TRY(world, parse_memory(in));
	options.level = CLI_TRY(world, parse_level(in));

	const guest_file file = CLI_TRY(world, find_file(world, in.operands.front()));
	const std::string name = CLI_TRY(world, parse_image_name(in, file));
	const auto to = open_device(world);
	const image loaded = CLI_TRY(world, load_file(to, file, options));

	if (const auto tagged = loaded.tag(name, in.has("force")); !tagged)
		return world.end({status::broken, tagged.error()});

	const auto info = loaded.info();

	if (!info)
		return world.end({status::broken, info.error()});
	fmt::print(world.out, "{}\n", info->id);
	return status::ok;
}

} // namespace vmctl::cli
