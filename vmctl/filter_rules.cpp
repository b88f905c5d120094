// SPDX-License-Identifier: Apache-2.0
#include "filter_rules.hpp"

#include <algorithm>
#include <utility>

namespace vmctl::cli
{

namespace
{

// `first`, and all chains that its rules lead to.
std::vector<std::string> reach(const chains &all, const std::string &first)
{
	std::vector<std::string> reached{first};

	for (std::size_t i = 0; i < reached.size(); i++)
		if (const auto found = all.find(reached[i]); found != all.end())
			for (const rule &each : found->second)
				for (const std::string &target : each.targets)
					if (all.contains(target) && std::ranges::find(reached, target) == reached.end())
						reached.push_back(target);
	return reached;
}

// Does the chain end so that nothing else gets through?
bool drops_the_rest(const chains &all, const std::string &name)
{
	const auto found = all.find(name);

	return found != all.end() && std::ranges::any_of(found->second, [](const rule &each) {
		       return each.then == verdict::drop && each.is_unconditional();
	       });
}

} // namespace

void add_if_shut(std::vector<shut_chain> &to, const chains &all, bool policy_drops, shut_chain chain)
{
	if (!policy_drops && !drops_the_rest(all, chain.name))
		return;
	chain.parts = reach(all, chain.name);
	for (const std::string &part : chain.parts) {
		const auto found = all.find(part);

		if (found == all.end())
			continue;
		for (const rule &each : found->second)
			if (each.then == verdict::pass || (each.then == verdict::other && !each.is_unconditional())) {
				chain.rules.push_back(each.asks);
				chain.rules.back().is_followed &= each.then == verdict::pass;
			}
	}
	to.push_back(std::move(chain));
}

} // namespace vmctl::cli
