// SPDX-License-Identifier: Apache-2.0
//
// What happens to a network while VMs are on it: somebody deletes its device and makes another,
// takes it down, gives it other addresses, and sends packets.

#pragma once

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <vmctl/network.hpp>

#include "live/descriptor.hpp"
#include "options.hpp"
#include "random.hpp"

namespace fuzz
{

inline constexpr char network_name[] = "mf0"; ///< with 10.9.0.0/24, where it is the test's

/// Puts this thread, and those it makes, into a network namespace that belongs to a user
/// namespace of \p user's. As that user it has all rights there, and nowhere else.
inline void enter_network_of(uid_t user)
{
	int ready[2], over[2];

	if (pipe2(ready, O_CLOEXEC) || pipe2(over, O_CLOEXEC))
		throw broken_rule(std::strerror(errno));

	const pid_t child = fork();
	char byte = 0;

	if (child < 0)
		throw broken_rule(std::strerror(errno));
	if (child == 0) {
		close(over[1]);
		if (setresuid(user, user, user) || unshare(CLONE_NEWUSER | CLONE_NEWNET) ||
		    write(ready[1], &byte, 1) != 1)
			_exit(1);
		static_cast<void>(read(over[0], &byte, 1));
		_exit(0);
	}
	close(ready[1]);

	const bool made = read(ready[0], &byte, 1) == 1;
	const live::fd net(open(fmt::format("/proc/{}/ns/net", child).c_str(), O_RDONLY | O_CLOEXEC));
	const bool entered = made && net.get() >= 0 && setns(net.get(), CLONE_NEWNET) == 0;

	for (const int one : {ready[0], over[0], over[1]})
		close(one);
	waitpid(child, nullptr, 0);
	if (!entered)
		throw broken_rule("there is no network namespace of a user's own");
}

/// Returns 0 or -errno, as all of these.
inline int make_network(random &r)
{
	const auto all = vmctl::networks::open();
	vmctl::network_options options{.name = network_name, .addresses = {.host = 0x0a090001, .prefix = 24}};

	if (r.chance(30))
		options.mtu = static_cast<std::uint32_t>(r.below(70'000));
	if (!all)
		return -all.error().code;

	const auto made = all->create(options);

	return made ? 0 : -made.error().code;
}

inline int delete_network()
{
	const auto all = vmctl::networks::open();

	if (!all)
		return -all.error().code;

	const auto deleted = all->remove({.name = network_name});

	return deleted ? 0 : -deleted.error().code;
}

/// Up or down, another MTU, another address.
inline int change_network(random &r)
{
	const live::fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	ifreq request{};
	unsigned long what = SIOCSIFFLAGS;

	std::memcpy(request.ifr_name, network_name, sizeof(network_name));
	request.ifr_flags = static_cast<short>(r.chance(60) ? IFF_UP : 0);
	if (r.chance(30)) {
		what = SIOCSIFMTU;
		request.ifr_mtu = static_cast<int>(r.below(70'000));
	} else if (r.chance(40)) {
		const sockaddr_in address{.sin_family = AF_INET,
					  .sin_port = 0,
					  .sin_addr = {htonl(0x0a090001 + static_cast<std::uint32_t>(r.below(600)))},
					  .sin_zero = {}};

		what = SIOCSIFADDR;
		std::memcpy(&request.ifr_addr, &address, sizeof(address));
	}
	return ioctl(any.get(), what, &request) ? -errno : 0;
}

/// Datagrams to one VM, if there is one.
inline int send_to_network(random &r)
{
	const live::fd from(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	const sockaddr_in to{.sin_family = AF_INET,
			     .sin_port = htons(7),
			     .sin_addr = {htonl(0x0a090001 + static_cast<std::uint32_t>(r.below(20)))},
			     .sin_zero = {}};
	const std::string bytes(r.below(65'507), 'x');
	ssize_t sent = 0;

	for (std::uint64_t n = 1 + r.below(100); n && sent >= 0; n--)
		sent = sendto(from.get(), bytes.data(), bytes.size(), MSG_DONTWAIT,
			      reinterpret_cast<const sockaddr *>(&to), sizeof(to));
	return sent < 0 ? -errno : 0;
}

inline int play_with_network(random &r)
{
	if (r.chance(40))
		return send_to_network(r);
	if (r.chance(40))
		return change_network(r);
	return r.chance(70) ? make_network(r) : delete_network();
}

}
