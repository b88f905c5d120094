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

// A snapshot of the VM, told by its name when it fails.
outcome<image> take(const device &to, const chosen &one, std::string_view name = {}, bool replace = false)
{
	const auto opened = to.open_vm(one.row.id);
	auto taken = opened ? opened->snapshot(name, replace) : std::unexpected(opened.error());

	if (taken)
		return std::move(*taken);

	const int code = taken.error().code;
	const bool refused = code == EEXIST || code == ESRCH || code == ENOENT;

	return give_up(refused ? status::some_failed : status::broken,
		       {code, one.row.name + ": " + taken.error().what, taken.error().fix});
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
	const image taken = CLI_TRY(world, take(to, one, name, in.has("force")));

	return tell_image(world, taken);
}

int verb_clone(const context &world, const invocation &in)
{
	const std::uint32_t count = CLI_TRY(world, parse_count(in));
	spawn_request request = CLI_TRY(world, parse_request(in, count));

	device to = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(to, in.operands));

	CLI_TRY(world, judge(request, to));

	image from = CLI_TRY(world, take(to, one));

	return make_all(world, in, launch{std::move(to), std::move(from), one.row.name, std::move(request)}, true);
}

} // namespace vmctl::cli
