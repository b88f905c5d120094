// SPDX-License-Identifier: Apache-2.0
#include "channel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handover.hpp"
#include "program.hpp"

namespace vmctl::cli
{

namespace
{

struct pipe_ends {
	descriptor read, write;
};

result<pipe_ends> make_pipe(system &calls)
{
	std::array<int, 2> fds{};

	if (::pipe2(fds.data(), O_CLOEXEC) != 0)
		return fail(errno, "making a pipe: " + errno_text(errno));
	return pipe_ends{descriptor(calls, fds[0]), descriptor(calls, fds[1])};
}

// What a signal handler can reach: the program that it ends.
volatile pid_t running = -1;

void end_both(int number)
{
	::kill(running, SIGTERM);
	end_by(number);
}

bool has_ended(pid_t child, int flags)
{
	pid_t ended;

	do
		ended = ::waitpid(child, nullptr, flags);
	while (ended < 0 && errno == EINTR);
	return ended != 0;
}

// Gives it so long to end; whether it has.
bool wait_for_end(pid_t child, std::chrono::milliseconds grace)
{
	constexpr std::chrono::milliseconds step{10};

	for (; grace.count() > 0; grace -= step) {
		if (has_ended(child, WNOHANG))
			return true;
		::poll(nullptr, 0, step.count());
	}
	return false;
}

// Politely first: ssh has a terminal to tidy up.
void end_child(pid_t child)
{
	::kill(child, SIGTERM);
	if (wait_for_end(child, std::chrono::seconds(2)))
		return;
	::kill(child, SIGKILL);
	has_ended(child, 0);
}

} // namespace

channel::channel(pid_t child, descriptor to, descriptor from, std::chrono::milliseconds patience)
	: child_(child), to_(std::move(to)), from_(std::move(from)), patience_(patience)
{
	running = child;
	ending_ = std::make_unique<handled_signals>(ending_signals, end_both);
}

channel::channel(channel &&other) noexcept
	: child_(std::exchange(other.child_, -1)), to_(std::move(other.to_)), from_(std::move(other.from_)),
	  patience_(other.patience_), ending_(std::move(other.ending_))
{
}

channel::~channel()
{
	if (child_ < 0)
		return; // was moved, or has ended
	to_ = descriptor();
	from_ = descriptor();
	end_child(child_);
	ending_.reset();
}

result<channel> channel::open(system &calls, std::vector<std::string> command, std::chrono::milliseconds patience)
{
	pipe_ends in = VMCTL_TRY(make_pipe(calls)), out = VMCTL_TRY(make_pipe(calls));

	for (const int fd : {in.write.fd(), out.read.fd()})
		if (const int code = calls.set_nonblocking(fd); code != 0)
			return fail(-code, "preparing a pipe: " + errno_text(-code));

	const pid_t child = VMCTL_TRY(start_program(std::move(command), in.read.fd(), out.write.fd(), STDERR_FILENO));

	return channel(child, std::move(in.write), std::move(out.read), patience);
}

result<void> channel::wait_for(int fd, short events, clock::time_point until)
{
	pollfd entry{.fd = fd, .events = events, .revents = 0};
	int ready;

	do {
		const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();

		ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
	} while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return fail(errno, errno_text(errno));
	if (ready == 0)
		return fail(ETIMEDOUT, "the other side did not answer in time");
	return {};
}

result<void> channel::write(std::span<const std::byte> bytes) const
{
	while (!bytes.empty()) {
		const ssize_t written = ::write(to_.fd(), bytes.data(), bytes.size());

		if (written >= 0)
			bytes = bytes.subspan(static_cast<std::size_t>(written));
		else if (errno == EAGAIN)
			VMCTL_TRY(wait_for(to_.fd(), POLLOUT, clock::now() + patience_));
		else if (errno == EPIPE)
			return fail(EPIPE, "the other side does not listen any more");
		else if (errno != EINTR)
			return fail(errno, "sending: " + errno_text(errno));
	}
	return {};
}

result<void> channel::write_line(const std::string &line) const
{
	const std::string whole = line + '\n';

	return write(std::as_bytes(std::span(whole)));
}

result<std::string> channel::read_line() const
{
	const auto until = clock::now() + patience_;
	std::string line;

	for (;;) {
		char next = '\0';
		const ssize_t got = ::read(from_.fd(), &next, 1);

		if (got == 0)
			return fail(EPIPE, "the other side has ended");
		if (got < 0 && errno == EAGAIN)
			VMCTL_TRY(wait_for(from_.fd(), POLLIN, until));
		else if (got < 0 && errno != EINTR)
			return fail(errno, "receiving: " + errno_text(errno));
		if (got <= 0)
			continue;
		if (next == '\n')
			return line;
		line += next;
		if (line.size() > handover::longest_line)
			return fail(EPROTO, "the other side is no vmctl");
	}
}

void channel::finish()
{
	to_ = descriptor();
	if (!wait_for_end(child_, std::chrono::seconds(5)))
		return;
	child_ = -1;
	ending_.reset();
}

} // namespace vmctl::cli
