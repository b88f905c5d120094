// SPDX-License-Identifier: Apache-2.0
//
// What both fuzzers ask of the device, and how they wait.

#pragma once

#include <chrono>

#include <unistd.h>

#include <fmt/format.h>

#include "live/descriptor.hpp"
#include "options.hpp"

namespace fuzz
{

inline mayfly_info info(const live::fd &device)
{
	mayfly_info result{};

	if (const int ret = live::call(device, MAYFLY_INFO, &result))
		throw broken_rule(fmt::format("INFO answered {}", ret));
	return result;
}

/// Waits until \p condition holds, \p seconds at most; says whether it does.
template <class Condition> bool eventually(Condition condition, unsigned seconds)
{
	const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);

	while (!condition()) {
		if (std::chrono::steady_clock::now() > limit)
			return false;
		usleep(200);
	}
	return true;
}

}
