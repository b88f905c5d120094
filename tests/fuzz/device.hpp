// SPDX-License-Identifier: Apache-2.0
//
// What both fuzzers ask of the device.

#pragma once

#include <fmt/format.h>

#include "live/descriptor.hpp"
#include "options.hpp"

namespace fuzz
{

inline mayfly_info info(const live::fd &device)
{
	mayfly_info result{};

	if (const int ret = live::call_row(device, MAYFLY_INFO, result))
		throw broken_rule(fmt::format("INFO answered {}", ret));
	return result;
}

}
