// SPDX-License-Identifier: Apache-2.0
#include "filter_rules.hpp"

#include <algorithm>

namespace vmctl::cli
{

namespace
{

// Words of a line; what is in quotes is one.
std::vector<std::string> words_of(std::string_view line)
{
	std::vector<std::string> words(1);
	bool quoted = false;

	for (const char c : line)
		if (c == '"')
			quoted = !quoted;
		else if (c != ' ' || quoted)
			words.back() += c;
		else if (!words.back().empty())
			words.emplace_back();
	return words;
}

void add_option(rule &to, const std::string &name, const std::string &value, bool is_negated)
{
	if (name == "-i" || name == "-s")
		to.asks.from.push_back({{value}, is_negated});
	else if (name == "-o" || name == "-d")
		to.asks.to.push_back({{value}, is_negated});
	else if ((name == "--ctstate" || name == "--state") && !is_negated && value.find("ESTABLISHED") != value.npos)
		to.asks.replies = true;
	else if (name == "--ctstate" && !is_negated && value.find("DNAT") != value.npos)
		to.asks.translated = true;
	else if (name == "-j" || name == "-g") {
		to.then = value == "ACCEPT"                      ? verdict::pass
			  : value == "DROP" || value == "REJECT" ? verdict::drop
								 : verdict::other;
		to.targets.push_back(value);
	} else if (name != "-m" && name != "--comment" && name != "--reject-with")
		to.asks.has_more = true;
}

// After `-A CHAIN`.
rule read_words(const std::vector<std::string> &words)
{
	rule made;
	bool is_negated = false;

	for (std::size_t i = 2; i < words.size(); i++) {
		if (words[i] == "!") {
			is_negated = true;
			continue;
		}
		if (words[i].starts_with("-") && i + 1 < words.size() && !words[i + 1].starts_with("-")) {
			add_option(made, words[i], words[i + 1], is_negated);
			i++;
		} else {
			made.asks.has_more = true;
		}
		is_negated = false;
	}
	return made;
}

} // namespace

std::vector<shut_chain> shut_chains_of_iptables(std::string_view text)
{
	std::vector<shut_chain> shut;
	bool policy_drops = false;
	chains all;

	for (std::size_t at = 0; at < text.size();) {
		const std::size_t end = std::min(text.find('\n', at), text.size());
		const std::vector<std::string> words = words_of(text.substr(at, end - at));

		at = end + 1;
		if (words.size() < 2)
			continue;
		if (words[0] == "-A")
			all[words[1]].push_back(read_words(words));
		else if (words[0] == "-N")
			all[words[1]];
		else if (words[0] == "-P" && words[1] == "FORWARD")
			policy_drops = words.back() == "DROP";
	}
	add_if_shut(shut, all, policy_drops, {.family = "ip", .table = "filter", .name = "FORWARD", .is_legacy = true});
	return shut;
}

} // namespace vmctl::cli
