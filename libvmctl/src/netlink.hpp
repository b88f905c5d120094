// SPDX-License-Identifier: Apache-2.0
// What the sources that use libnl share.
#pragma once

#include <memory>
#include <string_view>

#include <netlink/netlink.h>

#include "vmctl/error.hpp"

namespace vmctl
{

template <auto free> struct deleter {
	void operator()(auto *object) const { free(object); }
};

// The error that libnl's \p code means.
[[nodiscard]] std::unexpected<error> netlink_failed(int code, std::string_view doing);

[[nodiscard]] inline std::unexpected<error> netlink_no_memory()
{
	return fail(ENOMEM, "no memory");
}

} // namespace vmctl
