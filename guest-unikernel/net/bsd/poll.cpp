// SPDX-License-Identifier: BSD-2-Clause
//
// poll() and select(): a look at each descriptor, each time that anything has happened.

#include "files.hpp"

#include <mayfly/clock.hpp>
#include <poll.h>
#include <sys/select.h>

namespace
{

constexpr std::uint64_t ns_per_ms = 1'000'000, ns_per_us = 1000;

short events_of(const pollfd &entry)
{
	const auto *f = find_file(entry.fd);
	short found = 0;

	if (entry.fd < 0)
		return 0;
	if (f == nullptr)
		return POLLNVAL;
	if (f->is_readable())
		found |= POLLIN;
	if (f->is_writable())
		found |= POLLOUT;
	if (f->what == file::kind::stream && f->stream().error() != 0)
		found |= POLLERR | POLLHUP;
	if (f->what == file::kind::tcp)
		found |= POLLHUP;
	return static_cast<short>(found & (entry.events | POLLERR | POLLHUP));
}

int look_at_all(pollfd *entries, nfds_t count)
{
	int found = 0;

	for (nfds_t i = 0; i < count; ++i) {
		entries[i].revents = events_of(entries[i]);
		found += entries[i].revents != 0;
	}
	return found;
}

// Calls @look until it finds something or @deadline is over. Packets come and go only when we wait:
// somebody who asks in a circle and always finds something would see no others.
template <class Look> int until_found(std::uint64_t deadline, Look look)
{
	if (look() != 0)
		take_a_look();
	for (;;) {
		const int found = look();
		if (found != 0)
			return found;
		if (deadline != MAYFLY_FOREVER && mayfly::now_ns() >= deadline)
			return 0;
		wait_for_anything(deadline);
	}
}

// Those of @wanted for which @is is true, into @found. Returns their number, -EBADF.
template <class Is> int pick(int count, const fd_set *wanted, fd_set &found, Is is)
{
	int number = 0;

	FD_ZERO(&found);
	for (int fd = 0; wanted != nullptr && fd < count; ++fd) {
		if (!FD_ISSET(fd, wanted))
			continue;
		const auto *f = find_file(fd);
		if (f == nullptr)
			return -EBADF;
		if (is(*f)) {
			FD_SET(fd, &found);
			++number;
		}
	}
	return number;
}

}

extern "C" {

int poll(pollfd *entries, nfds_t count, int timeout)
{
	const auto deadline = timeout < 0 ? MAYFLY_FOREVER
					  : mayfly::now_ns() + static_cast<std::uint64_t>(timeout) * ns_per_ms;

	return until_found(deadline, [&] { return look_at_all(entries, count); });
}

int select(int count, fd_set *read, fd_set *write, fd_set *except, timeval *timeout)
{
	const auto deadline = timeout == nullptr
				      ? MAYFLY_FOREVER
				      : mayfly::now_ns() +
						static_cast<std::uint64_t>(timeout->tv_sec) * 1000 * ns_per_ms +
						static_cast<std::uint64_t>(timeout->tv_usec) * ns_per_us;
	fd_set readable, writable;

	if (count < 0 || count > FD_SETSIZE)
		return result_of(-EINVAL);
	const int found = until_found(deadline, [&] {
		const int in = pick(count, read, readable, [](const file &f) { return f.is_readable(); });
		const int out = pick(count, write, writable, [](const file &f) { return f.is_writable(); });
		return in < 0 ? in : out < 0 ? out : in + out;
	});
	if (found < 0)
		return result_of(found);
	if (read != nullptr)
		*read = readable;
	if (write != nullptr)
		*write = writable;
	if (except != nullptr)
		FD_ZERO(except);
	return found;
}
}
