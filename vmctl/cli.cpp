// SPDX-License-Identifier: Apache-2.0
// From argv to a verb.
#include "cli.hpp"

#include <algorithm>

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <fmt/format.h>

#include "text.hpp"

namespace po = boost::program_options;

namespace vmctl::cli
{

namespace
{

constexpr const char *operands_key = "operands";

po::options_description describe(const verb &which)
{
	po::options_description description;
	auto add = description.add_options();

	add("help,h", "");
	for (const option &entry : which.options) {
		// Values stay strings: lexical_cast would take -1 for a huge number.
		if (entry.repeats)
			add(entry.names, po::value<std::vector<std::string>>(), "");
		else if (*entry.value != '\0')
			add(entry.names, po::value<std::string>(), "");
		else
			add(entry.names, "");
	}
	add(operands_key, po::value<std::vector<std::string>>(), "");
	return description;
}

int no_such_verb(const context &world, std::string_view name)
{
	const std::string guess = closest_verb(name);
	const std::string_view family = find_family(name.substr(0, name.find(' ')));

	world.complain({EINVAL, fmt::format("{}: no such command{}", name,
					    guess.empty() ? fmt::format("; 'vmctl help{}{}' lists them",
									family.empty() ? "" : " ", family)
							  : fmt::format("; did you mean '{}'?", guess))});
	return status::usage;
}

// `vmctl image`, and no more: the help if it was asked for.
int no_verb_of(context &world, std::string_view family, const std::vector<std::string> &words)
{
	world.verb = family;
	if (!std::ranges::count(words, "--help") && !std::ranges::count(words, "-h"))
		return world.end({status::usage, {EINVAL, "which command?"}});
	print_family(world, family);
	return status::ok;
}

// Takes the name of a verb out of `words`, from `first` on: one word, or two of a family.
std::string take_name(std::vector<std::string> &words, std::vector<std::string>::iterator first)
{
	std::string name = *first;

	// `vmctl --json ps` is as good as `vmctl ps --json`.
	first = words.erase(first);
	if (find_family(name).empty())
		return name;
	first = std::find_if(first, words.end(), [](const std::string &word) { return !word.starts_with('-'); });
	if (first == words.end())
		return name;
	name += " " + *first;
	words.erase(first);
	return name;
}

} // namespace

void context::complain(const error &cause) const
{
	out.flush();
	err.print("vmctl: {}{}{}\n", verb, verb.empty() ? "" : ": ", printable(cause.what));
	if (!cause.fix.empty())
		err.print("vmctl: to mend it: {}\n", printable(cause.fix));
}

int context::end(const failure &why) const
{
	complain(why.cause);
	if (why.status == status::usage)
		err.print("vmctl: try 'vmctl help{}{}'\n", verb.empty() ? "" : " ", verb);
	return why.status;
}

std::optional<std::string> invocation::value(const char *option) const
{
	const auto found = options_.find(option);

	if (found == options_.end())
		return {};
	return found->second.as<std::string>();
}

std::vector<std::string> invocation::values(const char *option) const
{
	const auto found = options_.find(option);

	if (found == options_.end())
		return {};
	return found->second.as<std::vector<std::string>>();
}

const verb *find_verb(std::string_view name)
{
	for (const verb &entry : verbs()) {
		if (name == entry.name)
			return &entry;

		const std::string aliases = fmt::format(" {} ", entry.aliases);

		if (!name.empty() && aliases.find(fmt::format(" {} ", name)) != std::string::npos)
			return &entry;
	}
	return nullptr;
}

std::string_view find_family(std::string_view word)
{
	for (const verb &entry : verbs())
		if (const std::string_view name = entry.name; name.starts_with(fmt::format("{} ", word)))
			return name.substr(0, word.size());
	return {};
}

outcome<invocation> parse(const verb &which, std::span<const std::string> words)
{
	namespace style = po::command_line_style;

	// Boost would drop the `--` and mix the guest's arguments with ours. Where there are
	// none, operands follow that are no options.
	const auto dashes = std::ranges::find(words, "--");
	const std::vector<std::string> own(words.begin(), dashes);
	po::variables_map options;

	try {
		const auto description = describe(which);
		po::positional_options_description positional;

		positional.add(operands_key, -1);
		po::store(po::command_line_parser(own)
				  .options(description)
				  .positional(positional)
				  .style(style::unix_style & ~style::allow_guessing)
				  .run(),
			  options);
	} catch (const po::error &wrong) {
		return bad_usage(wrong.what());
	}

	std::vector<std::string> operands, arguments;

	if (options.count(operands_key) != 0)
		operands = options[operands_key].as<std::vector<std::string>>();
	if (dashes != words.end()) {
		auto &rest = which.takes_arguments ? arguments : operands;

		rest.insert(rest.end(), dashes + 1, words.end());
	}
	if (options.count("help") != 0)
		return invocation(std::move(options), {}, {});
	if (operands.size() > which.most_operands)
		return bad_usage(fmt::format("{}: one operand too many{}", operands[which.most_operands],
					     which.takes_arguments ? "; the guest's arguments follow '--'" : ""));
	return invocation(std::move(options), std::move(operands), std::move(arguments));
}

namespace
{

int do_command(context &world, std::span<const char *const> argv)
{
	std::vector<std::string> words(argv.begin(), argv.end());
	const auto first = std::ranges::find_if(words, [](const std::string &word) {
		return !word.starts_with('-') || word == "--";
	});

	if (first == words.end() || *first == "--") {
		if (std::ranges::count(words, "--version") || std::ranges::count(words, "-V"))
			return verb_version(world, {});
		if (words.empty() || std::ranges::count(words, "--help") || std::ranges::count(words, "-h")) {
			print_overview(world);
			return status::ok;
		}
		return world.end(failure{status::usage, {EINVAL, words.front() + ": a command must come first"}});
	}

	const std::string name = take_name(words, first);
	const verb *which = find_verb(name);

	if (const auto family = find_family(name); which == nullptr && !family.empty())
		return no_verb_of(world, family, words);
	if (which == nullptr)
		return no_such_verb(world, name);
	world.verb = which->name;

	const auto parsed = parse(*which, words);

	if (!parsed)
		return world.end(parsed.error());
	if (parsed->has("help")) {
		print_help(world, *which);
		return status::ok;
	}

	return which->run(world, *parsed);
}

} // namespace

int dispatch(context &world, std::span<const char *const> argv)
{
	const int result = do_command(world, argv);

	// A full disk must not look like success.
	if (world.out.flush())
		return result;
	world.complain({world.out.error(), "writing the output: " + errno_text(world.out.error())});
	return status::broken;
}

outcome<device> open_device(const context &world)
{
	auto opened = device::open(world.calls);

	if (!opened)
		return give_up(status::broken, opened.error());
	return std::move(*opened);
}

bool is_module_missing(const failure &why)
{
	return why.cause.code == ENOENT || why.cause.code == ENXIO || why.cause.code == ENODEV;
}

} // namespace vmctl::cli
