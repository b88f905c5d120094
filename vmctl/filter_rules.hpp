// SPDX-License-Identifier: Apache-2.0
// Rules of a table, from whoever prints them, on their way to chains that are shut.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "packet_filter.hpp"

namespace vmctl::cli
{

enum class verdict { none, pass, drop, other };

struct rule {
	passing_rule asks;
	verdict then = verdict::none;
	std::vector<std::string> targets; // chains

	[[nodiscard]] bool is_unconditional() const
	{
		return asks.from.empty() && asks.to.empty() && !asks.replies && !asks.translated && !asks.has_more;
	}
};

// Rules by their chain.
using chains = std::map<std::string, std::vector<rule>>;

// Adds `chain`, one of `all`, if its policy or its rules drop what is not let through.
void add_if_shut(std::vector<shut_chain> &to, const chains &all, bool policy_drops, shut_chain chain);

} // namespace vmctl::cli
