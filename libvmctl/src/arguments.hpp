// SPDX-License-Identifier: Apache-2.0
// A guest's arguments as the module takes and gives them: strings, each with a NUL behind.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmctl
{

inline std::string pack_arguments(std::span<const std::string> arguments)
{
	std::string packed;

	for (const std::string &argument : arguments)
		packed.append(argument).push_back('\0');
	return packed;
}

inline std::vector<std::string> unpack_arguments(std::string_view packed)
{
	std::vector<std::string> arguments;

	while (!packed.empty()) {
		arguments.emplace_back(packed.substr(0, packed.find('\0')));
		packed.remove_prefix(std::min(packed.size(), arguments.back().size() + 1));
	}
	return arguments;
}

} // namespace vmctl
