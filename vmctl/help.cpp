// SPDX-License-Identifier: Apache-2.0
// help, version and completion, all from the table of verbs.
#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "help.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

// Edits that turn one word into the other.
std::size_t distance(std::string_view from, std::string_view to)
{
	std::vector<std::size_t> row(to.size() + 1);

	std::iota(row.begin(), row.end(), 0);
	for (std::size_t i = 0; i < from.size(); i++) {
		std::size_t diagonal = std::exchange(row[0], i + 1);

		for (std::size_t j = 0; j < to.size(); j++) {
			const std::size_t changed = diagonal + (from[i] != to[j]);

			diagonal = row[j + 1];
			row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, changed});
		}
	}
	return row.back();
}

void print_command(const context &world, const verb &entry)
{
	world.out.print("  {:<13}  {}{}\n", entry.name, entry.summary,
			*entry.aliases == '\0' ? "" : fmt::format(" ({})", entry.aliases));
}

void print_commands(const context &world)
{
	const char *group = "";

	for (const verb &entry : verbs()) {
		if (std::string_view(group) != entry.group)
			world.out.print("\n{}:\n", entry.group);
		group = entry.group;
		print_command(world, entry);
	}
}

// What may follow a verb, for the shell's completion.
std::string candidates(const verb &entry)
{
	const std::string_view synopsis = entry.synopsis;
	std::vector<std::string> words{"--help"};

	for (const option &each : entry.options)
		words.push_back(spellings(each).front());
	if (synopsis.find("VM") != std::string_view::npos)
		words.emplace_back("$(\"$vmctl\" ps -a 2>/dev/null | awk 'NR > 1 { print $1, $2 }' || true)");
	if (synopsis.find("IMAGE") != std::string_view::npos)
		words.emplace_back("$(\"$vmctl\" images 2>/dev/null | awk 'NR > 1 && /^[^-]/ { print $1 }' || true)");
	if (synopsis.find("LOADED") != std::string_view::npos)
		words.emplace_back(
			"$(\"$vmctl\" images 2>/dev/null | awk '$2 ~ /[0-9]/ { print /^-/ ? $2 : $1 }' || true)");
	if (synopsis.find("COMMAND") != std::string_view::npos)
		words.emplace_back("$verbs");
	if (synopsis.find(" bash") != std::string_view::npos)
		words.emplace_back("bash");
	return fmt::format("{}", fmt::join(words, " "));
}

void print_statuses(const context &world)
{
	world.out.print("\nExit statuses: {}\n", guests_statuses);
	for (const exit_meaning &entry : exit_meanings)
		world.out.print("  {:>3}  {}\n", entry.status, entry.meaning);
}

} // namespace

std::vector<std::string> words_of(const char *text)
{
	std::vector<std::string> words;
	std::string word;

	for (const char *at = text;; at++) {
		if (*at != ' ' && *at != '\0') {
			word += *at;
		} else if (!word.empty()) {
			words.push_back(std::exchange(word, {}));
		}
		if (*at == '\0')
			return words;
	}
}

std::vector<std::string> spellings(const option &entry)
{
	const std::string_view names = entry.names;
	const std::size_t comma = names.find(',');
	std::vector<std::string> made{fmt::format("--{}", names.substr(0, comma))};

	if (comma != std::string_view::npos)
		made.push_back(fmt::format("-{}", names.substr(comma + 1)));
	return made;
}

std::string closest_verb(std::string_view typed)
{
	std::string best;
	std::size_t least = typed.size() < 4 ? 2 : 3;

	for (const verb &entry : verbs()) {
		auto names = words_of(entry.aliases);

		names.insert(names.begin(), entry.name);
		for (const std::string &name : names) {
			const std::size_t edits = distance(typed, name);

			if (edits < least) {
				least = edits;
				best = name;
			}
		}
	}
	return best;
}

void print_overview(const context &world)
{
	world.out.print("vmctl: {}\n\n", tagline);
	for (const example &entry : examples)
		world.out.print("  {:<25}  {}\n", entry.command, entry.purpose);
	world.out.print("\n'vmctl help' lists all commands, 'vmctl help COMMAND' explains one.\n");
}

void print_family(const context &world, std::string_view family)
{
	world.out.print("usage: vmctl {} COMMAND\n\n", family);
	for (const verb &entry : verbs())
		if (std::string_view(entry.name).starts_with(fmt::format("{} ", family)))
			print_command(world, entry);
}

void print_help(const context &world, const verb &which)
{
	world.out.print("usage: vmctl {}\n\n{}.\n", which.synopsis, which.summary);
	if (*which.aliases != '\0')
		world.out.print("Also known as: {}\n", which.aliases);
	world.out.print("\n");
	for (const option &entry : which.options) {
		auto names = spellings(entry);

		std::ranges::reverse(names);
		world.out.print("  {:<22}  {}\n",
				fmt::format("{}{}{}{}", names.size() == 1 ? "    " : "", fmt::join(names, ", "),
					    *entry.value == '\0' ? "" : " ", entry.value),
				entry.help);
	}
	world.out.print("  {:<22}  this text\n", "-h, --help");
	for (const operand_rule &each : operand_rules)
		if (std::string_view(which.synopsis).find(each.operand) != std::string_view::npos)
			world.out.print("\n{}\n", each.rule);
}

int verb_help(const context &world, const invocation &in)
{
	if (in.has("man")) {
		if (!in.operands.empty())
			return world.end(failure{status::usage, {EINVAL, "--man is a page about all commands"}});
		print_manual(world);
		return status::ok;
	}
	if (in.operands.empty()) {
		print_overview(world);
		print_commands(world);
		print_statuses(world);
		return status::ok;
	}

	const std::string name = fmt::format("{}", fmt::join(in.operands, " "));
	const verb *which = find_verb(name);

	if (which != nullptr) {
		print_help(world, *which);
		return status::ok;
	}
	if (!find_family(name).empty()) {
		print_family(world, name);
		return status::ok;
	}

	const std::string guess = closest_verb(name);

	return world.end(failure{
		status::usage,
		{EINVAL, fmt::format("{}: no such command{}", name,
				     guess.empty() ? "" : fmt::format("; did you mean '{}'?", guess))}});
}

int verb_version(const context &world, const invocation &)
{
	world.out.print("vmctl {} (interface version {})\n", VMCTL_VERSION, api_version());
	return status::ok;
}

int verb_completion(const context &world, const invocation &in)
{
	if (in.operands.empty() || in.operands.front() != "bash")
		return world.end(failure{status::usage, {EINVAL, "for which shell? There is: bash"}});

	// By first word, and by both words of a family's verbs.
	std::map<std::string, std::string> families;
	std::string firsts, cases, deeper;

	for (const verb &entry : verbs()) {
		const std::string name = entry.name, words = candidates(entry);
		const std::size_t blank = name.find(' ');
		auto names = words_of(entry.aliases);

		if (blank == std::string::npos)
			names.insert(names.begin(), name);
		else
			families[name.substr(0, blank)] += name.substr(blank);
		if (blank != std::string::npos)
			deeper += fmt::format("\t\"{}\") words=\"{}\" ;;\n", name, words);
		if (!names.empty())
			cases += fmt::format("\t{}) words=\"{}\" ;;\n", fmt::join(names, " | "), words);
		firsts += fmt::format(" {}", fmt::join(names, " "));
	}
	for (const auto &[family, words] : families) {
		firsts += " " + family;
		cases += fmt::format("\t{}) words=\"{}\" ;;\n", family, words);
	}
	// The user's shell may have any IFS, and end when a command fails, as compgen does
	// when it finds nothing.
	world.out.print("# bash completion for vmctl: source <(vmctl completion bash)\n"
			"_vmctl()\n{{\n"
			"\tlocal IFS=$' \\t\\n' vmctl=${{COMP_WORDS[0]}} current=${{COMP_WORDS[COMP_CWORD]-}}\n"
			"\tlocal verbs=\"{}\" words=\n"
			"\tCOMPREPLY=()\n"
			"\tif ((COMP_CWORD == 1)); then\n"
			"\t\tCOMPREPLY=($(compgen -W \"$verbs\" -- \"$current\")) || true\n"
			"\t\treturn\n"
			"\tfi\n"
			"\tcase ${{COMP_WORDS[1]}} in\n{}\tesac\n"
			"\t((COMP_CWORD > 2)) && case \"${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}\" in\n{}\tesac\n"
			"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\")) || true\n"
			"}}\ncomplete -o default -F _vmctl vmctl\n",
			firsts, cases, deeper);
	return status::ok;
}

} // namespace vmctl::cli
