// SPDX-License-Identifier: Apache-2.0
// save and restore: VMs and images in files.
#include "saved.hpp"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <fmt/format.h>

#include "find.hpp"
#include "launch.hpp"
#include "new_file.hpp"
#include "place.hpp"
#include "receive.hpp"
#include "select.hpp"
#include "signals.hpp"
#include "standstill.hpp"

namespace vmctl::cli
{

namespace
{

// What shall be saved.
struct subject {
	std::string name;
	std::optional<vm> machine; // or else
	std::optional<image> picture;
};

outcome<subject> find_subject(const device &in, const std::string &word)
{
	auto one = select_one(in, std::span(&word, 1));

	if (one) {
		auto opened = in.open_vm(one->row.id);

		if (!opened)
			return give_up(status::some_failed, opened.error());
		return subject{.name = one->row.name, .machine = std::move(*opened), .picture = {}};
	}
	if (one.error().status != status::some_failed)
		return std::unexpected(one.error());

	auto loaded = find_loaded(in, word);

	if (!loaded)
		return std::unexpected(loaded.error());
	if (!*loaded)
		return give_up(status::some_failed, {ENOENT, word + ": no such VM or image"});
	return subject{.name = word, .machine = {}, .picture = std::move(**loaded)};
}

result<void> save_to(const device &from, const subject &what, new_file &to)
{
	const byte_sink sink = [&](std::span<const std::byte> bytes) { return to.write(bytes); };

	if (what.machine)
		VMCTL_TRY(from.save(*what.machine, sink));
	else
		VMCTL_TRY(from.save(*what.picture, sink));
	return to.finish();
}

// The VM stands still meanwhile, and ends when all is saved; else it goes on.
result<void> save_and_stop(const device &from, const subject &what, new_file &to)
{
	if (!to.can_be_synced())
		return fail(EINVAL, "--stop needs a file: a pipe does not tell what has arrived");

	const standstill held = VMCTL_TRY(standstill::begin(*what.machine));

	VMCTL_TRY(save_to(from, what, to));
	if (auto same = held.check(); !same)
		return fail(same.error().code, same.error().what + ", so it was not ended");
	return what.machine->kill();
}

std::unexpected<failure> not_saved(const std::string &name, error cause)
{
	const bool gone = cause.code == ESRCH || cause.code == EBUSY;

	cause.what = name + ": " + cause.what;
	return give_up(gone ? status::some_failed : status::broken, std::move(cause));
}

outcome<void> save(const device &from, const subject &what, const std::string &path, bool stop)
{
	auto file = new_file::begin(path);

	if (!file)
		return give_up(status::broken, file.error());

	const auto saved = stop ? save_and_stop(from, what, *file) : save_to(from, what, *file);

	if (!saved)
		return not_saved(what.name, saved.error());
	return {};
}

// Where a file's bytes come from.
class input final
{
public:
	static outcome<input> open(const context &world, const std::string &word)
	{
		if (word == "-")
			return input(world.calls, world.in, {});

		const int fd = world.calls.open(word, O_RDONLY);

		if (fd < 0)
			return give_up(fd == -ENOENT ? status::no_image : status::not_startable,
				       {-fd, word + ": " + errno_text(-fd)});
		return input(world.calls, fd, descriptor(world.calls, fd));
	}

	[[nodiscard]] result<std::size_t> read(std::span<std::byte> room) const
	{
		ssize_t got;

		do
			got = calls_->read(fd_, room);
		while (got == -EINTR);
		if (got < 0)
			return fail(static_cast<int>(-got), errno_text(static_cast<int>(-got)));
		return static_cast<std::size_t>(got);
	}

private:
	input(system &calls, int fd, descriptor own) : calls_(&calls), fd_(fd), own_(std::move(own)) {}

	system *calls_;
	int fd_;
	descriptor own_;
};

} // namespace

bool is_saved(const context &world, const std::string &word)
{
	std::array<std::byte, 8> first{};

	if (!world.calls.is_file(word))
		return false;

	const auto from = input::open(world, word);

	return from && from->read(first) == first.size() && is_saved_image(first);
}

outcome<restored> restore_from(const context &world, const device &to, const std::string &word,
			       const restore_options &options)
{
	const auto from = input::open(world, word);

	if (!from)
		return std::unexpected(from.error());

	auto made = to.restore([&](std::span<std::byte> room) { return from->read(room); }, options);

	if (!made) {
		const int code = made.error().code;
		const bool unfit = code == EBADMSG || code == ENOTSUP || code == EFBIG || code == EISDIR;

		return give_up(unfit            ? status::not_startable
			       : code == EEXIST ? status::some_failed
						: status::broken,
			       {code, (word == "-" ? "standard input" : word) + ": " + made.error().what,
				made.error().fix});
	}
	return std::move(*made);
}

int verb_save(const context &world, const invocation &in)
{
	if (in.operands.size() != 2)
		return world.end({status::usage, {EINVAL, "a VM or an image, and a file are needed"}});

	const std::string &path = in.operands[1];

	if (path == "-" && world.out_is_terminal)
		return world.end({status::usage, {EINVAL, "a terminal is no place for an image"}});

	const device from = CLI_TRY(world, open_device(world));
	const subject what = CLI_TRY(world, find_subject(from, in.operands[0]));
	// A pipe that is closed is an error like others, after which the VM goes on.
	const handled_signals lasting(std::array{SIGPIPE}, SIG_IGN);

	if (in.has("stop") && !what.machine)
		return world.end({status::usage, {EINVAL, what.name + ": an image cannot be stopped"}});
	CLI_TRY(world, save(from, what, path, in.has("stop")));
	return status::ok;
}

int verb_restore(const context &world, const invocation &in)
{
	if (in.operands.empty())
		return world.end({status::usage, {EINVAL, "which file? - is standard input"}});

	if (in.has("incoming"))
		return receive(world, in);

	const std::string &word = in.operands.front();
	const std::uint32_t count = CLI_TRY(world, parse_count(in));
	spawn_request request = CLI_TRY(world, parse_request(in, count));
	device to = CLI_TRY(world, open_device(world));

	CLI_TRY(world, judge(world, in, request, to));

	restored made = CLI_TRY(world, restore_from(world, to, word));

	if (in.arguments.empty())
		request.arguments = made.arguments;
	keep_address(request, made.ip4);
	return make_all(world, in, launch{std::move(to), std::move(made.from), word, std::move(request)}, true);
}

} // namespace vmctl::cli
