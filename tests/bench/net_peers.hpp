// SPDX-License-Identifier: Apache-2.0
//
// What VMs are compared with: the same service by processes of this host. It answers at
// `answers`, by TCP as `net-guest answer` does and by UDP, and reads all that is sent to `takes`.

#pragma once

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.hpp"
#include "report.hpp"

namespace bench
{

constexpr std::uint16_t answers = 5000, takes = 5001;

inline void shell(const std::string &command)
{
	if (std::system(command.c_str()) != 0)
		bail_out(command + " has failed");
}

inline sockaddr_in address_of(const char *text, std::uint16_t number)
{
	sockaddr_in address{};

	address.sin_family = AF_INET;
	address.sin_port = htons(number);
	address.sin_addr.s_addr = inet_addr(text);
	return address;
}

class descriptor final
{
public:
	explicit descriptor(int fd) : fd_(fd)
	{
		if (fd < 0)
			die("socket");
	}
	~descriptor() { close(fd_); }
	descriptor(const descriptor &) = delete;
	descriptor &operator=(const descriptor &) = delete;
	operator int() const { return fd_; }

private:
	int fd_;
};

/// A socket that is connected to \p to as soon as somebody is there.
inline int connected(int type, const sockaddr_in &to)
{
	for (;;) {
		const int fd = socket(AF_INET, type, 0);
		const int one = 1;

		if (fd < 0)
			die("socket");
		if (type == SOCK_STREAM)
			setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
		if (connect(fd, reinterpret_cast<const sockaddr *>(&to), sizeof to) == 0)
			return fd;
		close(fd);
		usleep(10'000);
	}
}

inline int listening(std::uint16_t number)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int one = 1;
	const sockaddr_in any = address_of("0.0.0.0", number);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, reinterpret_cast<const sockaddr *>(&any), sizeof any) != 0 || listen(fd, 16) != 0)
		die("listen");
	return fd;
}

inline int bound_to(std::uint16_t number)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	const sockaddr_in any = address_of("0.0.0.0", number);

	if (bind(fd, reinterpret_cast<const sockaddr *>(&any), sizeof any) != 0)
		die("bind");
	return fd;
}

/// 64 bytes for each of one connection after the other.
[[noreturn]] inline void answer_streams(int door)
{
	for (;;) {
		const descriptor fd(accept(door, nullptr, nullptr));
		std::array<char, 64> bytes{};

		while (recv(fd, bytes.data(), 1, 0) == 1)
			send(fd, bytes.data(), bytes.size(), 0);
	}
}

/// Sends each back.
[[noreturn]] inline void answer_datagrams(int fd)
{
	std::array<char, 2048> bytes;

	for (;;) {
		sockaddr_in from{};
		socklen_t size = sizeof from;
		const ssize_t got = recvfrom(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr *>(&from),
					     &size);

		sendto(fd, bytes.data(), static_cast<std::size_t>(got), 0, reinterpret_cast<sockaddr *>(&from), size);
	}
}

[[noreturn]] inline void take_streams(int door)
{
	static std::array<char, 1 << 20> bytes;

	for (;;) {
		const descriptor fd(accept(door, nullptr, nullptr));

		while (recv(fd, bytes.data(), bytes.size(), 0) > 0)
			;
	}
}

/// The service, for ever. Whoever can connect to `answers` can use all of it.
[[noreturn]] inline void serve()
{
	std::thread(answer_datagrams, bound_to(answers)).detach();
	std::thread(take_streams, listening(takes)).detach();
	answer_streams(listening(answers));
}

/// A network namespace behind a port of the bridge br0.
class name_space final
{
public:
	name_space(std::string name, const char *address) : name_(std::move(name))
	{
		shell(fmt::format("ip netns add {0} && ip link add v{0} type veth peer name eth0 netns {0} && "
				  "ip link set v{0} master br0 up && ip -n {0} address add {1}/24 dev eth0 && "
				  "ip -n {0} link set eth0 up && ip -n {0} link set lo up",
				  name_, address));
	}
	~name_space() { shell("ip netns delete " + name_); }
	name_space(const name_space &) = delete;
	name_space &operator=(const name_space &) = delete;
	std::string path() const { return "/run/netns/" + name_; }

private:
	std::string name_;
};

/// A process that serves, in the network namespace at \p path if that is not empty.
class process final
{
public:
	explicit process(const std::string &path = "") : pid_(fork())
	{
		if (pid_ < 0)
			die("fork");
		if (pid_ != 0)
			return;
		if (!path.empty() && setns(open(path.c_str(), O_RDONLY | O_CLOEXEC), CLONE_NEWNET) != 0)
			die("setns");
		serve();
	}
	~process()
	{
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	process(const process &) = delete;
	process &operator=(const process &) = delete;

private:
	pid_t pid_;
};

/// crun's container of this program with this machine's files, in the network namespace at
/// \p path.
class container final
{
public:
	explicit container(const std::string &path)
	{
		shell("mkdir -p /run/box/rootfs && mount --bind / /run/box/rootfs");
		shell(fmt::format("cd /run/box && crun spec && jq '.process.terminal = false | .process.args = "
				  "[\"{}\", \"serve\"] | (.linux.namespaces[] | select(.type == \"network\")).path = "
				  "\"{}\"' config.json >edited && mv edited config.json",
				  own_path(), path));
		shell("cd /run/box && crun --cgroup-manager=cgroupfs run -d box </dev/null");
	}
	~container() { shell("crun --cgroup-manager=cgroupfs delete -f box && umount /run/box/rootfs"); }
	container(const container &) = delete;
	container &operator=(const container &) = delete;

private:
	static std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe"); }
};

}
