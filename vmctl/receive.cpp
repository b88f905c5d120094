// SPDX-License-Identifier: Apache-2.0
// The receiver of a migration. Until it is told to make the VM it has an image without a
// name, which goes with us; the VM is made by one call, so it is there or it is not.
#include "receive.hpp"

#include <array>
#include <cerrno>
#include <chrono>

#include <fmt/format.h>
#include <poll.h>

#include "handover.hpp"
#include "launch.hpp"
#include "place.hpp"
#include "saved.hpp"

namespace vmctl::cli
{

namespace
{

// The sender waits for it.
outcome<void> say(const context &world, std::string_view line)
{
	world.out.print("{}\n", line);
	if (!world.out.flush())
		return give_up(status::broken, {world.out.error(), errno_text(world.out.error())});
	return {};
}

// The next line, without its end. Reads no further. Late words do not count: the sender has
// told its user to look here, and he must not find another VM after that.
outcome<std::string> hear(const context &world)
{
	using clock = std::chrono::steady_clock;

	const auto until = clock::now() + handover::longest_wait;
	std::string line;
	std::array<std::byte, 1> next{};

	for (;;) {
		const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
		pollfd entry{.fd = world.in, .events = POLLIN, .revents = 0};

		const int ready = left <= 0 ? 0 : world.calls.poll({&entry, 1}, static_cast<int>(left));

		if (ready == 0)
			return give_up(status::some_failed, {ETIMEDOUT, "the sender is silent: nothing is made"});
		if (ready == -EINTR)
			continue; // was stopped: a read would wait without a limit

		const ssize_t got = world.calls.read(world.in, next);

		if (got == -EINTR)
			continue;
		if (got < 0)
			return give_up(status::broken, {static_cast<int>(-got), errno_text(static_cast<int>(-got))});
		if (got == 0)
			return give_up(status::some_failed, {ECANCELED, "the sender gave up: nothing is made"});
		if (next.front() == std::byte{'\n'})
			return line;
		line += static_cast<char>(next.front());
		if (line.size() > handover::longest_line)
			return give_up(status::some_failed, {EPROTO, "the sender is no vmctl"});
	}
}

// What the sender's last word asks for.
outcome<spawn_request> parse_order(const std::string &line)
{
	const std::size_t blank = line.find(' ');
	const std::string verb = line.substr(0, blank);
	spawn_request request;

	if (verb != handover::start && verb != handover::keep)
		return give_up(status::some_failed, {EPROTO, "the sender is no vmctl"});
	request.start = verb == handover::start;
	if (blank == std::string::npos)
		return request;
	request.name = line.substr(blank + 1);
	if (const auto judged = check_name(request.name); !judged)
		return give_up(status::some_failed, judged.error());
	return request;
}

outcome<std::uint64_t> make(const context &world, const device &to, const restored &of, const std::string &order,
			    std::vector<network_place> places)
{
	auto request = parse_order(order);

	if (!request)
		return std::unexpected(request.error());
	request->arguments = of.arguments;
	request->places = std::move(places);
	keep_address(*request, of.ip4);

	spawn_report made = to.spawn(of.from, *request);

	if (made.failure)
		return give_up(status::broken, std::move(*made.failure));
	tell_address(world, to, *request, made.ids.front());
	return made.ids.front();
}

} // namespace

int receive(const context &world, const invocation &in)
{
	for (const char *other : {"number", "name", "quiet", "progress"})
		if (in.has(other))
			return world.end({status::usage,
					  {EINVAL, fmt::format("--incoming and --{}: the sender says", other)}});
	if (in.operands.front() != "-" || !in.arguments.empty())
		return world.end({status::usage, {EINVAL, "--incoming takes a VM from standard input"}});

	const device to = CLI_TRY(world, open_device(world));
	auto places = CLI_TRY(world, find_places(world, in));

	CLI_TRY(world, say(world, handover::waiting));

	const restored arrived = CLI_TRY(world, restore_from(world, to, "-", {.to_the_end = false}));

	CLI_TRY(world, say(world, handover::arrived));

	const std::string order = CLI_TRY(world, hear(world));
	const auto id = make(world, to, arrived, order, std::move(places));

	if (!id) {
		static_cast<void>(say(world, handover::failed));
		return world.end(id.error());
	}
	CLI_TRY(world, say(world, fmt::format("{} {}", handover::running, *id)));
	return status::ok;
}

} // namespace vmctl::cli
