// SPDX-License-Identifier: BSD-2-Clause
//
// BSD's calls over the sockets that do not block: a call that would have to wait waits here for
// anything to happen, and tries again.

#include "files.hpp"

#include <algorithm>
#include <fcntl.h>
#include <mayfly/console.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <new>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{

namespace net = mayfly::net;

using kind = file::kind;

// Runs @attempt, which returns a negative errno, until it need not wait.
template <class Attempt> std::ptrdiff_t until_done(const file &f, int flags, Attempt attempt)
{
	auto result = attempt();

	if (result == -EAGAIN && (!f.blocks || (flags & MSG_DONTWAIT) != 0)) {
		take_a_look();
		return attempt();
	}
	for (; result == -EAGAIN; result = attempt())
		wait_for_anything();
	return result;
}

int read_address(const sockaddr *address, socklen_t length, net::endpoint &to)
{
	sockaddr_in given;

	if (address == nullptr)
		return -EFAULT;
	if (length < sizeof given)
		return -EINVAL;
	memcpy(&given, address, sizeof given);
	if (given.sin_family != AF_INET)
		return -EAFNOSUPPORT;
	to = {.address = ntohl(given.sin_addr.s_addr), .port = ntohs(given.sin_port)};
	return 0;
}

// What a call with a descriptor and an address begins with.
int look_up(int fd, const sockaddr *address, socklen_t length, file *&f, net::endpoint &to)
{
	f = find_file(fd);
	return f != nullptr ? read_address(address, length, to) : -EBADF;
}

void write_address(net::endpoint from, sockaddr *address, socklen_t *length)
{
	sockaddr_in told{};

	if (address == nullptr || length == nullptr)
		return;
	told.sin_family = AF_INET;
	told.sin_port = htons(from.port);
	told.sin_addr.s_addr = htonl(from.address.ip4());
	memcpy(address, &told, std::min<std::size_t>(*length, sizeof told));
	*length = sizeof told;
}

// Whether a socket may have that address: a port is one of all addresses that there are.
bool is_ours(std::uint32_t address)
{
	if (address == INADDR_ANY || address == INADDR_LOOPBACK)
		return true;
	for (unsigned i = 0; const auto own = net::own_address(i); ++i)
		if (address == own)
			return true;
	return false;
}

// A UDP socket has a port from its first use on.
int bind_datagrams(file &f)
{
	if (f.socket != nullptr)
		return 0;
	f.socket = net::datagrams::bind(f.bound.port, net::peers::ip4);
	if (f.socket == nullptr)
		return -EADDRINUSE;
	f.bound.port = f.datagrams().own().port;
	return 0;
}

int take_connection(std::unique_ptr<net::stream> accepted, int flags)
{
	auto *f = new (std::nothrow) file{.what = kind::stream};

	if (f == nullptr)
		return -ENOMEM;
	f->peer = accepted->peer();
	f->bound = accepted->own();
	f->has_bound = true;
	f->blocks = (flags & SOCK_NONBLOCK) == 0;
	f->socket = std::move(accepted);
	return add_file(std::unique_ptr<file>(f));
}

int connect_stream(file &f, net::endpoint peer)
{
	if (f.what == kind::stream)
		return f.stream().is_writable() ? -EISCONN : -EALREADY;
	if (f.what != kind::tcp || f.has_bound)
		return -EOPNOTSUPP;
	auto connection = net::stream::connect(peer);
	if (connection == nullptr)
		return -ENETUNREACH;
	f.peer = peer;
	f.socket = std::move(connection);
	f.what = kind::stream;
	if (!f.blocks)
		return -EINPROGRESS;
	while (!f.stream().is_writable())
		wait_for_anything();
	return f.stream().error();
}

std::ptrdiff_t send_stream(file &f, std::span<const std::byte> bytes, int flags)
{
	std::size_t sent = 0;

	while (sent != bytes.size()) {
		const auto n = until_done(f, flags, [&] { return f.stream().send(bytes.subspan(sent)); });
		if (n < 0)
			return sent != 0 ? static_cast<std::ptrdiff_t>(sent) : n;
		sent += static_cast<std::size_t>(n);
	}
	return static_cast<std::ptrdiff_t>(sent);
}

std::ptrdiff_t send_to(file &f, std::span<const std::byte> bytes, int flags, const net::endpoint *to)
{
	if (f.what == kind::stream)
		return send_stream(f, bytes, flags);
	if (f.what != kind::datagrams)
		return -ENOTCONN;
	if (to == nullptr && f.peer.port == 0)
		return -EDESTADDRREQ;
	if (const auto error = bind_datagrams(f); error != 0)
		return error;
	const auto error = f.datagrams().send(bytes, to != nullptr ? *to : f.peer);
	return error != 0 ? error : static_cast<std::ptrdiff_t>(bytes.size());
}

std::ptrdiff_t peek_stream(file &f, std::span<std::byte> bytes)
{
	const auto there = f.stream().peek();
	const auto n = std::min(there.size(), bytes.size());

	if (n == 0)
		return f.stream().receive(bytes);
	memcpy(bytes.data(), there.data(), n);
	return static_cast<std::ptrdiff_t>(n);
}

std::ptrdiff_t receive_stream(file &f, std::span<std::byte> bytes, int flags)
{
	if (!f.reads || bytes.empty())
		return 0;
	if ((flags & MSG_PEEK) != 0)
		return until_done(f, flags, [&] { return peek_stream(f, bytes); });

	std::size_t got = 0;
	do {
		const auto n = until_done(f, flags, [&] { return f.stream().receive(bytes.subspan(got)); });
		if (n <= 0)
			return got != 0 ? static_cast<std::ptrdiff_t>(got) : n;
		got += static_cast<std::size_t>(n);
	} while ((flags & MSG_WAITALL) != 0 && got != bytes.size());
	return static_cast<std::ptrdiff_t>(got);
}

// One that is connected hears its peer only.
std::ptrdiff_t receive_datagram(file &f, std::span<std::byte> bytes, int flags, net::endpoint &from)
{
	if (const auto error = bind_datagrams(f); error != 0)
		return error;
	for (;;) {
		const auto n = until_done(f, flags, [&] { return f.datagrams().receive(bytes, from); });
		if (n < 0 || f.peer.port == 0 || f.peer == from)
			return n;
	}
}

std::ptrdiff_t receive_from(file &f, std::span<std::byte> bytes, int flags, net::endpoint &from)
{
	if (f.what == kind::datagrams)
		return (flags & MSG_PEEK) != 0 ? -EOPNOTSUPP : receive_datagram(f, bytes, flags, from);
	if (f.what != kind::stream)
		return -ENOTCONN;
	from = f.peer;
	return receive_stream(f, bytes, flags);
}

std::span<const std::byte> bytes_of(const void *buffer, size_t size)
{
	return {static_cast<const std::byte *>(buffer), size};
}

std::span<std::byte> bytes_of(void *buffer, size_t size)
{
	return {static_cast<std::byte *>(buffer), size};
}

// Those that change nothing here: what they ask for is so, or means nothing.
bool is_known_option(int level, int name)
{
	if (level == IPPROTO_TCP)
		return name == TCP_NODELAY;
	return level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT || name == SO_BROADCAST ||
				       name == SO_SNDBUF || name == SO_RCVBUF);
}

}

extern "C" {

int socket(int domain, int type, int protocol) noexcept
{
	const int what = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	const bool is_tcp = what == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
	const bool is_udp = what == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);

	if (domain != AF_INET)
		return result_of(-EAFNOSUPPORT);
	if (!is_tcp && !is_udp)
		return result_of(-EPROTONOSUPPORT);
	auto *f = new (std::nothrow) file{.what = is_tcp ? kind::tcp : kind::datagrams};
	if (f == nullptr)
		return result_of(-ENOMEM);
	f->blocks = (type & SOCK_NONBLOCK) == 0;
	return result_of(add_file(std::unique_ptr<file>(f)));
}

int bind(int fd, const sockaddr *address, socklen_t length) noexcept
{
	net::endpoint to;
	file *f;

	if (const auto error = look_up(fd, address, length, f, to); error != 0)
		return result_of(error);
	if (f->has_bound || f->socket != nullptr)
		return result_of(-EINVAL);
	if (!is_ours(to.address.ip4()))
		return result_of(-EADDRNOTAVAIL);
	f->bound = to;
	f->has_bound = true;
	return result_of(f->what == kind::datagrams ? bind_datagrams(*f) : 0);
}

int listen(int fd, int backlog) noexcept
{
	auto *f = find_file(fd);

	if (f == nullptr)
		return result_of(-EBADF);
	if (f->what == kind::listener)
		return 0;
	if (f->what != kind::tcp)
		return result_of(-EOPNOTSUPP);
	f->socket = net::listener::listen(f->bound.port, static_cast<std::uint8_t>(std::clamp(backlog, 1, 255)),
					  net::peers::ip4);
	if (f->socket == nullptr)
		return result_of(-EADDRINUSE);
	f->bound.port = f->listener().port();
	f->has_bound = true;
	f->what = kind::listener;
	return 0;
}

int accept4(int fd, sockaddr *address, socklen_t *length, int flags)
{
	auto *f = find_file(fd);
	std::unique_ptr<net::stream> accepted;

	if (f == nullptr)
		return result_of(-EBADF);
	if (f->what != kind::listener)
		return result_of(-EINVAL);
	const auto waited = until_done(*f, 0, [&] {
		accepted = f->listener().accept();
		return accepted != nullptr ? 0 : -EAGAIN;
	});
	if (waited != 0)
		return result_of(waited);
	write_address(accepted->peer(), address, length);
	return result_of(take_connection(std::move(accepted), flags));
}

int accept(int fd, sockaddr *address, socklen_t *length)
{
	return accept4(fd, address, length, 0);
}

int connect(int fd, const sockaddr *address, socklen_t length)
{
	net::endpoint to;
	file *f;

	if (const auto error = look_up(fd, address, length, f, to); error != 0)
		return result_of(error);
	if (f->what != kind::datagrams)
		return result_of(connect_stream(*f, to));
	f->peer = to;
	return result_of(bind_datagrams(*f));
}

ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const sockaddr *address, socklen_t length)
{
	auto *f = find_file(fd);
	net::endpoint to;

	if (f == nullptr)
		return result_of(-EBADF);
	if (address == nullptr)
		return result_of(send_to(*f, bytes_of(buffer, size), flags, nullptr));
	if (const auto error = read_address(address, length, to); error != 0)
		return result_of(error);
	return result_of(send_to(*f, bytes_of(buffer, size), flags, &to));
}

ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
	return sendto(fd, buffer, size, flags, nullptr, 0);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
	if (fd == STDOUT_FILENO || fd == STDERR_FILENO)
		return static_cast<ssize_t>(mayfly::write({static_cast<const char *>(buffer), size}));
	return send(fd, buffer, size, 0);
}

ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, sockaddr *address, socklen_t *length)
{
	auto *f = find_file(fd);
	net::endpoint from;

	if (f == nullptr)
		return result_of(-EBADF);
	const auto got = receive_from(*f, bytes_of(buffer, size), flags, from);
	if (got >= 0)
		write_address(from, address, length);
	return result_of(got);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	return recvfrom(fd, buffer, size, flags, nullptr, nullptr);
}

ssize_t read(int fd, void *buffer, size_t size)
{
	return fd == STDIN_FILENO ? 0 : recv(fd, buffer, size, 0);
}

int shutdown(int fd, int how) noexcept
{
	auto *f = find_file(fd);

	if (f == nullptr)
		return result_of(-EBADF);
	if (f->what != kind::stream)
		return result_of(-ENOTCONN);
	if (how != SHUT_RD)
		f->stream().finish();
	if (how != SHUT_WR)
		f->reads = false;
	return 0;
}

int close(int fd)
{
	return result_of(remove_file(fd));
}

int getsockname(int fd, sockaddr *address, socklen_t *length) noexcept
{
	const auto *f = find_file(fd);

	if (f == nullptr)
		return result_of(-EBADF);
	write_address(f->what == kind::stream ? f->stream().own() : f->bound, address, length);
	return 0;
}

int getpeername(int fd, sockaddr *address, socklen_t *length) noexcept
{
	const auto *f = find_file(fd);

	if (f == nullptr)
		return result_of(-EBADF);
	if (f->peer.port == 0)
		return result_of(-ENOTCONN);
	write_address(f->peer, address, length);
	return 0;
}

int setsockopt(int fd, int level, int name, const void *, socklen_t) noexcept
{
	if (find_file(fd) == nullptr)
		return result_of(-EBADF);
	return is_known_option(level, name) ? 0 : result_of(-ENOPROTOOPT);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) noexcept
{
	const auto *f = find_file(fd);
	int answer = 0;

	if (f == nullptr)
		return result_of(-EBADF);
	if (level == SOL_SOCKET && name == SO_ERROR)
		answer = f->what == kind::stream ? -f->stream().error() : 0;
	else if (level == SOL_SOCKET && name == SO_TYPE)
		answer = f->what == kind::datagrams ? SOCK_DGRAM : SOCK_STREAM;
	else if (is_known_option(level, name))
		answer = 1;
	else
		return result_of(-ENOPROTOOPT);
	memcpy(value, &answer, std::min<std::size_t>(*length, sizeof answer));
	*length = sizeof answer;
	return 0;
}

int fcntl(int fd, int command, ...)
{
	auto *f = find_file(fd);
	va_list arguments;

	if (f == nullptr)
		return result_of(-EBADF);
	va_start(arguments, command);
	const int value = va_arg(arguments, int);
	va_end(arguments);
	switch (command) {
	case F_GETFL:
		return O_RDWR | (f->blocks ? 0 : O_NONBLOCK);
	case F_SETFL:
		f->blocks = (value & O_NONBLOCK) == 0;
		return 0;
	case F_GETFD:
	case F_SETFD:
		return 0;
	default:
		return result_of(-EINVAL);
	}
}
}
