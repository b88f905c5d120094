// SPDX-License-Identifier: Apache-2.0
// snapshot and clone: images of VMs as they are, and VMs that go on from there.
#include <cerrno>

#include <fmt/format.h>

#include "launch.hpp"
#include "select.hpp"

namespace vmctl::cli
{

namespace
{

// Of a VM, told by its name when it fails.
outcome<image> told(const chosen &one, result<image> taken)
{
	if (taken)
		return std::move(*taken);

	const int code = taken.error().code;
	const bool refused = code == EEXIST || code == ESRCH || code == ENOENT || code == EBUSY;

	return give_up(refused ? status::some_failed : status::broken,
		       {code, one.row.name + ": " + taken.error().what, taken.error().fix});
}

outcome<image> take(const device &to, const chosen &one, std::string_view name = {}, bool replace = false)
{
	const auto opened = to.open_vm(one.row.id);

	return told(one, opened ? opened->snapshot(name, replace) : std::unexpected(opened.error()));
}

outcome<image> take_when_ready(const context &world, const device &to, const chosen &one, std::string_view name,
			       bool replace)
{
	const auto opened = to.open_vm(one.row.id);

	if (!opened)
		return told(one, std::unexpected(opened.error()));
	if (const auto stat = opened->stat(); stat && stat->ready > 0)
		world.complain({0, one.row.name + " has been ready before; waiting until it is again"});
	return told(one, opened->snapshot_when_ready(name, replace));
}

} // namespace

int verb_snapshot(const context &world, const invocation &in)
{
	if (in.operands.size() != 2)
		return world.end({status::usage, {EINVAL, "a VM and a name for its image are needed"}});

	const std::string &name = in.operands[1];

	if (const auto judged = check_name(name); !judged)
		return world.end({status::usage, {EINVAL, name + ": " + judged.error().what}});

	const device to = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(to, std::span(in.operands).first(1)));
	const bool replaces = to.open_image(name).has_value();
	const image taken = CLI_TRY(world, in.has("when-ready") ? take_when_ready(world, to, one, name, in.has("force"))
								: take(to, one, name, in.has("force")));

	return tell_image(world, taken, replaces);
}

int verb_clone(const context &world, const invocation &in)
{
	const std::uint32_t count = CLI_TRY(world, parse_count(in));
	spawn_request request = CLI_TRY(world, parse_request(in, count));

	device to = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(to, in.operands));

	CLI_TRY(world, judge(world, in, request, to));

	image from = CLI_TRY(world, take(to, one));

	return make_all(world, in, launch{std::move(to), std::move(from), one.row.name, std::move(request)}, true);
}

} // namespace vmctl::cli
