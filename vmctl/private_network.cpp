// SPDX-License-Identifier: Apache-2.0
#include "private_network.hpp"

#include <cerrno>
#include <fstream>

#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmctl::cli
{

namespace
{

// In a namespace of its own it is nobody else's: 10.0.2.1 and 10.0.2.2.
constexpr subnet addresses{.host = 0x0a000201, .prefix = 30};
constexpr std::uint32_t vm_address = addresses.host + 1;

std::unexpected<error> refused(int code)
{
	const char *const fix = "as root: vmctl net create, and run --net with -p; or allow them: sysctl "
				"user.max_user_namespaces, kernel.unprivileged_userns_clone";

	if (code == ENOSPC)
		return fail(code, "user.max_user_namespaces or user.max_net_namespaces allows no more namespaces", fix);
	return fail(code, "a user namespace: " + errno_text(code), fix);
}

result<void> write_to(const char *path, const std::string &text)
{
	std::ofstream file(path);

	if (file << text && file.flush())
		return {};
	return refused(EPERM);
}

// Everybody stays who he is; what he may do is for what is in here.
result<void> enter_namespaces()
{
	const auto uid = ::geteuid();
	const auto gid = ::getegid();

	if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return refused(errno);
	VMCTL_TRY(write_to("/proc/self/setgroups", "deny"));
	VMCTL_TRY(write_to("/proc/self/uid_map", fmt::format("{0} {0} 1", uid)));
	return write_to("/proc/self/gid_map", fmt::format("{0} {0} 1", gid));
}

// By it the kernel tells this process that packets find no VM.
void set_loopback_up()
{
	posix_system calls;
	const descriptor any(calls, ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	ifreq request{.ifr_ifrn = {"lo"}, .ifr_ifru = {.ifru_flags = IFF_UP}};

	::ioctl(any.fd(), SIOCSIFFLAGS, &request);
}

} // namespace

result<network_place> enter_private_network()
{
	VMCTL_TRY(enter_namespaces());
	set_loopback_up();

	const networks here = VMCTL_TRY(networks::open());

	VMCTL_TRY(here.create({.name = "private", .addresses = addresses}));

	const network_info made = VMCTL_TRY(here.find("private"));

	return network_place{.network = made.index, .ip4 = vm_address};
}

} // namespace vmctl::cli
