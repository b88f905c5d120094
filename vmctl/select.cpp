// SPDX-License-Identifier: Apache-2.0
#include "select.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <fnmatch.h>

#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr std::string_view digits = "0123456789";

bool starts_with_digit(std::string_view word)
{
	return !word.empty() && digits.find(word.front()) != std::string_view::npos;
}

std::unexpected<failure> no_such_vm(const std::string &word)
{
	return give_up(status::some_failed, {ENOENT, word + ": no such VM"});
}

} // namespace

outcome<selector> selector::parse(const std::string &word)
{
	selector made;

	made.word_ = word;
	if (word.empty())
		return bad_usage("a VM's name cannot be empty");
	// Names start with a letter, so this is an id or a range.
	if (starts_with_digit(word)) {
		const std::size_t dash = std::min(word.find('-'), word.size());
		const auto low = parse_number(std::string_view(word).substr(0, dash));
		const auto high = dash < word.size() ? parse_number(std::string_view(word).substr(dash + 1)) : low;

		if (!low || !high)
			return bad_usage(word + ": neither an id nor a range of ids such as 1-1000");
		if (*low > *high)
			return bad_usage(word + ": the range runs backwards");
		made.kind_ = dash < word.size() ? kind::range : kind::id;
		made.low_ = *low;
		made.high_ = *high;
	} else if (word.find_first_of("*?[") != std::string::npos) {
		made.kind_ = kind::glob;
	}
	return made;
}

outcome<std::vector<std::size_t>> selector::match_name(std::span<const vm_info> rows) const
{
	std::vector<std::size_t> exact, prefix;

	for (std::size_t i = 0; i < rows.size(); i++) {
		if (rows[i].name == word_)
			exact.push_back(i);
		else if (rows[i].name.starts_with(word_))
			prefix.push_back(i);
	}
	// Root sees several owners' VMs, whose names may be the same.
	if (exact.size() > 1)
		return give_up(status::some_failed,
			       {EINVAL,
				fmt::format("{}: {} owners have a VM of this name; use its id", word_, exact.size())});
	if (exact.size() == 1)
		return exact;
	if (prefix.size() > 1)
		return give_up(status::some_failed,
			       {EINVAL, fmt::format("{}: {} VMs start like this; for all of them: '{}*'", word_,
						    prefix.size(), word_)});
	if (prefix.empty())
		return no_such_vm(word_);
	return prefix;
}

outcome<std::vector<std::size_t>> selector::match(std::span<const vm_info> rows) const
{
	std::vector<std::size_t> found;

	switch (kind_) {
	case kind::name:
		return match_name(rows);
	case kind::glob:
		for (std::size_t i = 0; i < rows.size(); i++)
			if (fnmatch(word_.c_str(), rows[i].name.c_str(), 0) == 0)
				found.push_back(i);
		break;
	case kind::id:
	case kind::range: {
		const auto first = std::ranges::lower_bound(rows, low_, {}, &vm_info::id);

		for (auto at = first; at != rows.end() && at->id <= high_; ++at)
			found.push_back(static_cast<std::size_t>(at - rows.begin()));
		break;
	}
	}
	if (found.empty())
		return no_such_vm(word_);
	return found;
}

outcome<selection> select(std::span<const vm_info> rows, std::span<const selector> selectors)
{
	selection made;
	// Where a row went, plus one, so that none is chosen twice.
	std::vector<std::size_t> taken(rows.size());

	for (const selector &wanted : selectors) {
		const auto found = wanted.match(rows);

		if (!found) {
			made.missing.push_back(found.error().cause);
			continue;
		}
		for (const std::size_t index : *found) {
			if (taken[index] != 0) {
				made.vms[taken[index] - 1].by_name |= !wanted.is_set();
				continue;
			}
			made.vms.push_back({rows[index], !wanted.is_set()});
			taken[index] = made.vms.size();
		}
	}
	return made;
}

outcome<selection> select(const device &from, const invocation &in)
{
	const bool all = in.has("all");

	if (all && !in.operands.empty())
		return bad_usage("--all and names exclude each other");
	if (!all && in.operands.empty())
		return bad_usage("which VM? Give ids, names, globs or ranges, or --all");
	return select(from, in.operands, all);
}

outcome<selection> select(const device &from, std::span<const std::string> words, bool all)
{
	std::vector<selector> selectors;
	std::uint64_t low = UINT64_MAX, high = 0;

	for (const std::string &word : words) {
		auto parsed = selector::parse(word);

		if (!parsed)
			return std::unexpected(parsed.error());
		low = std::min(low, parsed->lowest());
		high = std::max(high, parsed->highest());
		selectors.push_back(std::move(*parsed));
	}

	auto rows = all ? from.list() : from.list(low, high);

	if (!rows)
		return give_up(status::broken, rows.error());
	if (!all)
		return select(*rows, selectors);

	selection made;

	made.vms.reserve(rows->size());
	for (vm_info &row : *rows)
		made.vms.push_back({std::move(row), false});
	return made;
}

// The caller's VM of just this name: one call, however many there are.
std::optional<chosen> find_exactly(const device &from, const std::string &word)
{
	const auto meant = selector::parse(word);

	if (!meant || meant->what() != selector::kind::name)
		return {};

	const auto opened = from.open_vm(word);
	auto row = opened ? opened->info() : std::unexpected(opened.error());

	if (!row)
		return {};
	return chosen{.row = std::move(*row), .by_name = true};
}

outcome<chosen> select_one(const device &from, std::span<const std::string> words)
{
	if (words.empty())
		return bad_usage("which VM?");
	if (words.size() == 1)
		if (auto exact = find_exactly(from, words.front()))
			return std::move(*exact);

	auto picked = select(from, words, false);

	if (!picked)
		return std::unexpected(picked.error());
	if (!picked->missing.empty())
		return give_up(status::some_failed, picked->missing.front());
	if (picked->vms.size() != 1)
		return bad_usage(fmt::format("one VM at a time, not {}", picked->vms.size()));
	return std::move(picked->vms.front());
}

outcome<listed> select_shown(const device &from, std::span<const std::string> words, bool ended_too)
{
	listed made;

	if (words.empty()) {
		auto rows = from.list();

		if (!rows)
			return give_up(status::broken, rows.error());
		made.rows = std::move(*rows);
		if (!ended_too)
			std::erase_if(made.rows, [](const vm_info &row) { return row.ended(); });
		return made;
	}

	auto picked = select(from, words, false);

	if (!picked)
		return std::unexpected(picked.error());
	for (chosen &one : picked->vms)
		made.rows.push_back(std::move(one.row));
	made.missing = std::move(picked->missing);
	return made;
}

} // namespace vmctl::cli
