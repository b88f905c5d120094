// SPDX-License-Identifier: Apache-2.0
//
// A network of the host's, VMs on it, and sockets that speak with them.

#pragma once

#include <arpa/inet.h>
#include <fstream>
#include <net/if.h>
#include <numeric>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <mayfly_net.h>

#include "machine.hpp"

namespace live
{

using bytes = std::vector<unsigned char>;

inline std::uint32_t address_of(const std::string &text)
{
	return inet_addr(text.c_str());
}

inline std::string text_of(std::uint32_t address)
{
	return inet_ntoa(in_addr{address});
}

inline void must(const std::string &command)
{
	ASSERT_EQ(system(command.c_str()), 0) << command;
}

class Network : public Live
{
protected:
	void SetUp() override
	{
		Live::SetUp();
		must("ip link add mf0 type mayfly");
		// Or else it looks for routers now and then.
		must("! cd /proc/sys/net/ipv6 2>/dev/null || echo 1 >conf/mf0/disable_ipv6");
		must("ip address add 10.9.0.1/16 dev mf0");
		must("ip link set mf0 up");
	}
	void TearDown() override
	{
		if (if_nametoindex("mf0"))
			must("ip link delete mf0");
		Live::TearDown();
	}
	static mayfly_attachment attachment_of(const mayfly_attach_net &net)
	{
		return {.type = MAYFLY_ATTACH_NET,
			.flags = 0,
			.size = sizeof(net),
			.reserved = 0,
			.payload = address(&net)};
	}
	/// SPAWN of one VM with an address; 0: any. The descriptor, or what went wrong.
	int spawn(const fd &image, std::uint32_t ip4 = 0, unsigned ifindex = if_nametoindex("mf0")) const
	{
		const mayfly_attach_net net{.ifindex = ifindex, .ip4 = ip4, .dns4 = 0, .flags = 0, .rate = 0};

		return spawn_with(image, net);
	}
	int spawn_with(const fd &image, const mayfly_attach_net &net, std::uint32_t count = 1) const
	{
		const mayfly_attachment one = attachment_of(net);
		mayfly_spawn request = spawn_request(image, count == 1 ? 0 : MAYFLY_SPAWN_DETACHED, count);

		request.attachments = address(&one);
		request.nr_attachments = 1;

		const int ret = call(device, MAYFLY_SPAWN, &request);

		return ret ? ret : request.fd;
	}
	[[nodiscard]] machine make(std::span<const std::byte> code, std::uint32_t ip4 = 0) const
	{
		const int ret = spawn(make_image(device, code), ip4);

		EXPECT_GE(ret, 0) << strerror(-ret);
		return machine(fd(ret));
	}
	static mayfly_net_config config(const machine &vm)
	{
		const mayfly_device_page page = device_page(vm);
		mayfly_net_config result{};

		EXPECT_EQ(page.nr_devices, 1u);
		EXPECT_EQ(page.devices[0].type, unsigned{MAYFLY_DEVICE_NET});
		EXPECT_EQ(page.devices[0].ring_gpa, std::uint64_t{MAYFLY_GPA_RINGS});
		std::memcpy(&result, page.devices[0].config, sizeof(result));
		return result;
	}
	/// Its address is asked for while it can be: it must not have been started.
	[[nodiscard]] std::pair<machine, std::uint32_t> make_known_echo(std::uint64_t spoof = 0,
									std::uint64_t skip = 0) const
	{
		machine vm = make(guests::net_echo);
		const std::uint32_t ip4 = config(vm).ip4;

		vm.set_parameters(spoof, skip);
		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		return {std::move(vm), ip4};
	}
	static fd udp(std::uint32_t to)
	{
		const sockaddr_in there{.sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {to}, .sin_zero = {}};
		fd made(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

		const int on = 1;

		EXPECT_EQ(connect(made.get(), reinterpret_cast<const sockaddr *>(&there), sizeof(there)), 0);
		// All that ICMP says, and not only what is final.
		EXPECT_EQ(setsockopt(made.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
		return made;
	}
	/// What comes within a minute.
	static bytes receive(const fd &from)
	{
		bytes result(70'000);
		pollfd poll{.fd = from.get(), .events = POLLIN, .revents = 0};

		if (::poll(&poll, 1, 60'000) != 1) {
			ADD_FAILURE() << "no answer";
			return {};
		}

		const ssize_t n = recv(from.get(), result.data(), result.size(), 0);

		result.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
		return n < 0 ? bytes{static_cast<unsigned char>(errno)} : result;
	}
	static bytes pattern(std::size_t size)
	{
		bytes result(size);

		std::iota(result.begin(), result.end(), static_cast<unsigned char>(size));
		return result;
	}
	static void send(const fd &to, const bytes &what)
	{
		ASSERT_EQ(::send(to.get(), what.data(), what.size(), 0), static_cast<ssize_t>(what.size()))
			<< strerror(errno);
	}
	static void expect_answer(const fd &socket, const bytes &what)
	{
		send(socket, what);
		EXPECT_TRUE(receive(socket) == what) << what.size();
	}
	static unsigned long statistic(const std::string &name, const std::string &link = "mf0")
	{
		std::ifstream file("/sys/class/net/" + link + "/statistics/" + name);
		unsigned long value = 0;

		file >> value;
		return value;
	}
};

}
