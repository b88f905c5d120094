// SPDX-License-Identifier: Apache-2.0
// CONTROL, and what a signal in the middle of it means.
#pragma once

#include "uapi.hpp"
#include "vmctl/operation.hpp"
#include "vmctl/system.hpp"

namespace vmctl
{

// One CONTROL, which is asked for again when a signal cuts it short.
class control_call final
{
public:
	control_call(operation what, std::uint32_t port) : what_(what)
	{
		argument.op = static_cast<std::uint32_t>(what);
		argument.port = port;
	}

	mayfly_control argument{};

	// 0 or a positive errno.
	[[nodiscard]] int make(system &calls, int fd);

	// The outcome of one VM for which the answer was errno \p code.
	[[nodiscard]] int outcome(int code) const;

private:
	operation what_;
	bool again_ = false;
};

} // namespace vmctl
