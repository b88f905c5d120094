// SPDX-License-Identifier: Apache-2.0
#include "netlink.hpp"

#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <netlink/errno.h>

namespace vmctl
{

namespace
{

// libnl has errors of its own, which say less.
int errno_of(int code)
{
	static constexpr std::pair<int, int> all[] = {
		{NLE_PERM, EPERM},   {NLE_NOACCESS, EPERM},      {NLE_EXIST, EEXIST},
		{NLE_NODEV, ENOENT}, {NLE_NOMEM, ENOMEM},        {NLE_OPNOTSUPP, EOPNOTSUPP},
		{NLE_BUSY, EBUSY},   {NLE_RANGE, ERANGE},        {NLE_NOADDR, EADDRNOTAVAIL},
		{NLE_INVAL, EINVAL}, {NLE_OBJ_NOTFOUND, ENOENT},
	};

	for (const auto &[theirs, ours] : all)
		if (std::abs(code) == theirs)
			return ours;
	return EIO;
}

error explain(int code, std::string_view doing)
{
	const int number = errno_of(code);

	switch (number) {
	case EPERM:
		return {number, fmt::format("{}: not permitted", doing), "run as root, or with CAP_NET_ADMIN"};
	case EOPNOTSUPP:
		return {number, fmt::format("{}: the kernel knows no networks of Mayfly's", doing),
			"load the module: insmod mayfly.ko"};
	default:
		return {number, fmt::format("{}: {}", doing, nl_geterror(code))};
	}
}

} // namespace

std::unexpected<error> netlink_failed(int code, std::string_view doing)
{
	return std::unexpected(explain(code, doing));
}

} // namespace vmctl
