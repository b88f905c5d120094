// SPDX-License-Identifier: Apache-2.0
// The manual page says what the table of verbs says, in clean roff.
#include <algorithm>
#include <set>
#include <sstream>

#include "command_line.hpp"
#include "help.hpp"

namespace
{

class manual_test : public command_line
{
protected:
	manual_test() { EXPECT_EQ(run({"help", "--man"}), 0); }

	bool has(const std::string &text) { return out.find(text) != std::string::npos; }

	// As roff writes it: each '-' is one that can be pasted.
	static std::string bold(std::string text)
	{
		for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2)
			text.insert(at, 1, '\\');
		return "\\fB" + text + "\\fR";
	}
};

TEST_F(manual_test, has_every_verb_alias_and_option)
{
	for (const auto &verb : vmctl::cli::verbs()) {
		std::string name;

		for (const std::string &word : vmctl::cli::words_of(verb.name))
			name += (name.empty() ? "" : " ") + bold(word);
		EXPECT_TRUE(has(".TP\n" + name)) << verb.name;
		for (const std::string &alias : vmctl::cli::words_of(verb.aliases))
			EXPECT_TRUE(has(bold(alias))) << alias;
		for (const auto &option : verb.options)
			for (const std::string &spelling : vmctl::cli::spellings(option))
				EXPECT_TRUE(has(bold(spelling))) << verb.name << ' ' << spelling;
	}
}

TEST_F(manual_test, has_every_example_and_status)
{
	for (const auto &example : vmctl::cli::examples)
		EXPECT_TRUE(has(".TP\n" + bold(example.command) + '\n')) << example.command;
	for (const auto &entry : vmctl::cli::exit_meanings)
		EXPECT_TRUE(has(".TP\n" + bold(std::to_string(entry.status)) + '\n')) << entry.meaning;
}

TEST_F(manual_test, tells_a_placeholder_from_a_word)
{
	EXPECT_TRUE(has("\\fBlogs\\fR [\\fB\\-f\\fR] \\fIVM\\fR\\&... | \\fB\\-\\-all\\fR\n"));
}

TEST_F(manual_test, no_text_is_a_request)
{
	const std::set<std::string> known{".\\\"", ".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".BR"};
	std::istringstream lines(out);

	for (std::string line; std::getline(lines, line);) {
		EXPECT_FALSE(line.empty());
		EXPECT_FALSE(line.starts_with('\'')) << line;
		EXPECT_TRUE(!line.starts_with('.') || known.contains(line.substr(0, line.find(' ')))) << line;
		EXPECT_TRUE(std::ranges::all_of(line, [](char c) { return c >= ' ' && c <= '~'; })) << line;
	}
}

TEST_F(manual_test, is_about_all_commands)
{
	EXPECT_EQ(run({"help", "--man", "spawn"}), 2);
	EXPECT_TRUE(err.starts_with("vmctl: help: --man is a page about all commands\n")) << err;
}

} // namespace
