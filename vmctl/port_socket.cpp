// SPDX-License-Identifier: Apache-2.0
#include "port_socket.hpp"

#include <cerrno>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

namespace vmctl::cli
{

namespace
{

std::unexpected<error> explain(int code, const port_pair &ports)
{
	switch (code) {
	case EADDRINUSE:
		return fail(code, fmt::format("a program of this host has {}", outside_text(ports)));
	case EADDRNOTAVAIL:
		return fail(code, fmt::format("{}: not an address of this host", ip4_text(ports.address)));
	case EACCES:
		return fail(code, fmt::format("{}: low ports are for root", outside_text(ports)),
			    "choose a port from 1024 on, or run as root");
	default:
		return fail(code, fmt::format("{}: {}", outside_text(ports), errno_text(code)));
	}
}

} // namespace

result<descriptor> bind_port(system &calls, const port_pair &ports)
{
	descriptor made(calls, ::socket(AF_INET, (ports.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
	const int one = 1;
	sockaddr_in address{};

	if (!made)
		return explain(errno, ports);
	address.sin_family = AF_INET;
	address.sin_port = htons(ports.outside);
	address.sin_addr.s_addr = htonl(ports.address);
	// As a server does: connections of one that has ended are no reason.
	if (!ports.udp)
		::setsockopt(made.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (::bind(made.fd(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
		return explain(errno, ports);
	return made;
}

result<descriptor> open_port(system &calls, const port_pair &ports)
{
	auto made = VMCTL_TRY(bind_port(calls, ports));

	::fcntl(made.fd(), F_SETFL, O_NONBLOCK);
	// Several may be bound to it until one of them listens.
	if (!ports.udp && ::listen(made.fd(), SOMAXCONN) != 0)
		return explain(errno, ports);
	return made;
}

} // namespace vmctl::cli
