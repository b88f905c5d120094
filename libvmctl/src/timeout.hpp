// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <climits>
#include <optional>

namespace vmctl
{

// As poll(2) wants it: nothing is for ever, and what has passed is now.
inline int poll_timeout(std::optional<std::chrono::milliseconds> timeout)
{
	if (!timeout)
		return -1;
	return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(timeout->count(), 0, INT_MAX));
}

} // namespace vmctl
