// SPDX-License-Identifier: Apache-2.0
// Which VMs a command line means.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"

namespace vmctl::cli
{

// One word that names VMs: an id, a range of ids, an exact name, a prefix of
// just one name, or a glob.
class selector
{
public:
	enum class kind { id, range, name, glob };

	static outcome<selector> parse(const std::string &word);

	[[nodiscard]] kind what() const { return kind_; }
	[[nodiscard]] const std::string &word() const { return word_; }
	// Ids it can mean: everything unless it is an id or a range.
	[[nodiscard]] std::uint64_t lowest() const { return low_; }
	[[nodiscard]] std::uint64_t highest() const { return high_; }
	// True when meaning nothing, or losing some on the way, is no failure.
	[[nodiscard]] bool is_set() const { return kind_ == kind::range || kind_ == kind::glob; }

	// The rows it means, as indices. None, and several for a prefix, is a failure
	// unless it is a set.
	[[nodiscard]] outcome<std::vector<std::size_t>> match(std::span<const vm_info> rows) const;

private:
	[[nodiscard]] outcome<std::vector<std::size_t>> match_name(std::span<const vm_info> rows) const;

	kind kind_ = kind::name;
	std::string word_;
	std::uint64_t low_ = 0;
	std::uint64_t high_ = UINT64_MAX;
};

// A VM that was chosen.
struct chosen {
	vm_info row;
	bool by_name; // named alone: its vanishing is a failure
};

// What came of a selection.
struct selection {
	std::vector<chosen> vms;    // in the order asked for, each once
	std::vector<error> missing; // selectors that mean nothing
};

// The VMs that `words` mean, or all that there are: one sweep of LIST.
outcome<selection> select(const device &from, std::span<const std::string> words, bool all);

// The same for the operands and --all of `in`: a usage failure when both or none
// of them are given.
outcome<selection> select(const device &from, const invocation &in);

// The one VM that `words` mean; several are a usage failure.
outcome<chosen> select_one(const device &from, std::span<const std::string> words);

// What a list shows.
struct listed {
	std::vector<vm_info> rows;
	std::vector<error> missing; // selectors that mean nothing
};

// The VMs that `words` mean, and without words all, those that have ended only if
// `ended_too`.
outcome<listed> select_shown(const device &from, std::span<const std::string> words, bool ended_too);

// The same over rows at hand.
outcome<selection> select(std::span<const vm_info> rows, std::span<const selector> selectors);

} // namespace vmctl::cli
