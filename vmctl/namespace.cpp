// SPDX-License-Identifier: Apache-2.0
#include "namespace.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>

namespace vmctl::cli
{

namespace
{

// ip-netns(8)
result<void> enter(const context &world, const std::string &name)
{
	if (name.empty() || name.find('/') != name.npos || name == "." || name == "..")
		return fail(EINVAL, "not a name of a namespace");

	const descriptor there(world.calls, world.calls.open("/run/netns/" + name, O_RDONLY));

	if (there.fd() == -ENOENT)
		return fail(ENOENT, "no such network namespace", "make it: ip netns add " + name);
	if (there.fd() < 0)
		return fail(-there.fd(), errno_text(-there.fd()));
	if (::setns(there.fd(), CLONE_NEWNET) != 0)
		return fail(errno, "entering it: " + errno_text(errno), errno == EPERM ? "run as root" : "");
	return {};
}

} // namespace

outcome<void> enter_namespace(const context &world, const invocation &in)
{
	const auto name = in.value("netns");

	if (!name)
		return {};
	if (const auto entered = enter(world, *name); !entered)
		return give_up(entered.error().code == EINVAL ? status::usage : status::some_failed,
			       about("--netns " + *name, entered.error()));
	return {};
}

} // namespace vmctl::cli
