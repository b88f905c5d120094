// SPDX-License-Identifier: Apache-2.0
//
// VMs on a network of the host's: addresses, packets to them and from them.

#include <netinet/ip_icmp.h>
#include <sys/wait.h>

#include "crowd.hpp"
#include "mutation.hpp"
#include "network.hpp"

namespace
{

using live::address_of;
using live::bytes;
using live::fd;
using live::machine;
using live::must;
using live::Network;
using live::text_of;

TEST_F(Network, AGuestFindsItsAddressOnTheDevicePage)
{
	const machine any = make(guests::hello), asked = make(guests::hello, address_of("10.9.3.17"));

	EXPECT_EQ(text_of(config(any).ip4), "10.9.0.2") << "the first that is free";
	EXPECT_EQ(text_of(config(asked).ip4), "10.9.3.17");
	EXPECT_EQ(text_of(config(asked).gw4), "10.9.0.1");
	EXPECT_EQ(config(asked).prefix4, 16);
	EXPECT_EQ(config(asked).mtu, 65520);

	const machine without(live::make_image(device, guests::hello), device);

	EXPECT_EQ(live::device_page(without).nr_devices, 0u);
}

TEST_F(Network, AnAddressIsOfTheSubnetAndOfOneVm)
{
	const fd image = live::make_image(device, guests::hello);
	const fd first(spawn(image, address_of("10.9.0.5")));

	EXPECT_GE(first.get(), 0);
	EXPECT_EQ(spawn(image, address_of("10.9.0.5")), -EADDRINUSE);
	for (const char *wrong : {"10.9.0.1", "10.9.0.0", "10.9.255.255", "10.10.0.1", "127.0.0.1", "0.0.0.1"})
		EXPECT_EQ(spawn(image, address_of(wrong)), -EINVAL) << wrong;
	EXPECT_EQ(spawn(image, 0, if_nametoindex("lo")), -ENODEV);
	EXPECT_EQ(spawn(image, 0, 12345), -ENODEV);
	EXPECT_EQ(spawn(image, 0, 0), -ENODEV);
	EXPECT_EQ(spawn_with(image,
			     {.ifindex = if_nametoindex("mf0"),
			      .ip4 = address_of("10.9.0.6"),
			      .dns4 = 0,
			      .flags = 0,
			      .rate = 0},
			     2),
		  -EINVAL);
	EXPECT_EQ(spawn_with(image, {.ifindex = if_nametoindex("mf0"), .ip4 = 0, .dns4 = 0, .flags = 2, .rate = 0}),
		  -EINVAL);
	must("ip address flush dev mf0");
	EXPECT_EQ(spawn(image), -EADDRNOTAVAIL);
	must("ip address add 10.9.0.1/30 dev mf0");

	const fd last(spawn(image));

	EXPECT_GE(last.get(), 0);
	EXPECT_EQ(spawn(image), -EADDRNOTAVAIL) << "of four, there is one for a VM";
}

TEST_F(Network, AnAddressIsFreeAfterItsVm)
{
	const fd image = live::make_image(device, guests::exit42);
	const machine vm(fd(spawn(image, address_of("10.9.0.5"))));

	ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);
	ASSERT_TRUE(vm.wait_for_end());

	const machine next(fd(spawn(image, address_of("10.9.0.5"))));

	EXPECT_EQ(text_of(config(next).ip4), "10.9.0.5");
	EXPECT_EQ(spawn(image, address_of("10.9.0.5")), -EADDRINUSE);
	vm.control(MAYFLY_OP_REMOVE);
	EXPECT_EQ(spawn(image, address_of("10.9.0.5")), -EADDRINUSE) << "it is not the dead VM's any more";
}

TEST_F(Network, BadAttachmentsAreRefused)
{
	const fd image = live::make_image(device, guests::hello);
	const mayfly_attach_net net{.ifindex = if_nametoindex("mf0"), .ip4 = 0, .dns4 = 0, .flags = 0, .rate = 0};
	const auto refused = [&](auto change) {
		std::array two{attachment_of(net), attachment_of(net)};
		mayfly_spawn request = live::spawn_request(image);

		request.attachments = live::address(two.data());
		request.nr_attachments = 1;
		change(request, two[0]);
		return live::call(device, MAYFLY_SPAWN, &request);
	};

	EXPECT_EQ(refused([](auto &, auto &one) { one.type = 3; }), -EOPNOTSUPP);
	EXPECT_EQ(refused([](auto &r, auto &) { r.nr_attachments = MAYFLY_MAX_NETS + 2; }), -EOPNOTSUPP);
	EXPECT_EQ(refused([](auto &, auto &one) { one.flags = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &, auto &one) { one.reserved = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &, auto &one) { one.size++; }), -EINVAL);
	EXPECT_EQ(refused([](auto &, auto &one) { one.payload = 8; }), -EFAULT);
	EXPECT_EQ(refused([](auto &r, auto &) { r.attachments = 8; }), -EFAULT);
	EXPECT_EQ(live::info(device).vms, 0u);
}

/// Each is a device with a page for its rings; the second address of one network is another place.
TEST_F(Network, SeveralNetworksAreSeveralDevices)
{
	must("ip link add mf1 type mayfly && ip address add 10.8.0.1/16 dev mf1 && ip link set mf1 up");

	const fd image = live::make_image(device, guests::hello);
	const unsigned first = if_nametoindex("mf0"), second = if_nametoindex("mf1");
	std::array<mayfly_attach_net, MAYFLY_MAX_NETS> nets{};
	std::array<mayfly_attachment, MAYFLY_MAX_NETS> all{};

	for (std::size_t i = 0; i < nets.size(); i++) {
		nets[i].ifindex = i % 2 ? second : first;
		all[i] = attachment_of(nets[i]);
	}

	mayfly_spawn request = live::spawn_request(image);

	request.attachments = live::address(all.data());
	request.nr_attachments = all.size();
	ASSERT_EQ(live::call(device, MAYFLY_SPAWN, &request), 0);

	const machine vm{fd(request.fd)};
	const mayfly_device_page page = live::device_page(vm);
	const mayfly_vm_info row = vm.info();
	const char *const addresses[] = {"10.9.0.2", "10.8.0.2", "10.9.0.3", "10.8.0.3"};

	ASSERT_EQ(page.nr_devices, MAYFLY_MAX_NETS);
	for (unsigned i = 0; i < MAYFLY_MAX_NETS; i++) {
		mayfly_net_config config{};

		std::memcpy(&config, page.devices[i].config, sizeof(config));
		EXPECT_EQ(page.devices[i].type, unsigned{MAYFLY_DEVICE_NET});
		EXPECT_EQ(page.devices[i].port, 1 + i);
		EXPECT_EQ(page.devices[i].ring_gpa, std::uint64_t{MAYFLY_GPA_RINGS + i * 0x1000});
		EXPECT_EQ(text_of(config.ip4), addresses[i]);
		EXPECT_EQ(row.nets[i].ip4, config.ip4);
		EXPECT_EQ(row.nets[i].ifindex, nets[i].ifindex);
	}
	// One that cannot be had leaves none.
	nets[3].ip4 = address_of("10.9.0.7");
	EXPECT_EQ(live::call(device, MAYFLY_SPAWN, &request), -EINVAL);
	nets[3].ip4 = address_of("10.8.0.3");
	EXPECT_EQ(live::call(device, MAYFLY_SPAWN, &request), -EADDRINUSE);
	nets[3].ifindex = 12345;
	EXPECT_EQ(live::call(device, MAYFLY_SPAWN, &request), -ENODEV);
	EXPECT_EQ(live::info(device).vms, 1u);
	must("ip link delete mf1");
}

TEST_F(Network, AVmHasAnIp6AddressWhereTheDeviceHas)
{
	must("echo 0 >/proc/sys/net/ipv6/conf/mf0/disable_ipv6");
	must("ip address add fd00:9::a09:1/64 dev mf0");

	const machine vm = make(guests::hello, address_of("10.9.3.17"));
	const mayfly_net_config told = config(vm);
	in6_addr expected{};

	ASSERT_EQ(inet_pton(AF_INET6, "fd00:9::a09:311", &expected), 1);
	EXPECT_EQ(std::memcmp(told.ip6, &expected, sizeof(expected)), 0);
	EXPECT_EQ(std::memcmp(vm.info().nets[0].ip6, &expected, sizeof(expected)), 0);
	EXPECT_EQ(told.prefix6, 64);
	// There is no room for a VM's after more bits than 96.
	must("ip address del fd00:9::a09:1/64 dev mf0 && ip address add fd00:9::a09:1/112 dev mf0");
	EXPECT_EQ(config(make(guests::hello)).prefix6, 0);
	must("ip address del fd00:9::a09:1/112 dev mf0");
	EXPECT_EQ(config(make(guests::hello)).prefix6, 0) << "the link's own is none";
}

/// What a router sends may be anybody's.
TEST_F(Network, ARouterSendsWithAnySource)
{
	const mayfly_attach_net net{
		.ifindex = if_nametoindex("mf0"), .ip4 = 0, .dns4 = 0, .flags = MAYFLY_PLACE_ROUTER, .rate = 0};
	const int ret = spawn_with(live::make_image(device, guests::net_echo), net);

	ASSERT_GE(ret, 0) << strerror(-ret);

	const machine vm{fd(ret)};
	const std::uint32_t ip4 = config(vm).ip4;

	vm.set_parameters(htonl(1), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);
	send(udp(ip4), pattern(10));
	EXPECT_TRUE(live::eventually([&] { return statistic("rx_packets") == 1; }));
	EXPECT_EQ(statistic("rx_errors"), 0u);
}

/// The owner of a network has no right to make one.
TEST_F(Network, ARouterTakesMoreThanTheRightToAttach)
{
	must("build/vmctl net create mf1 --subnet 10.8.0.0/16 --owner 65534");

	const pid_t child = fork();

	if (child == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(100);

		const mayfly_attach_net net{
			.ifindex = if_nametoindex("mf1"), .ip4 = 0, .dns4 = 0, .flags = MAYFLY_PLACE_ROUTER, .rate = 0};

		_exit(-spawn_with(live::make_image(device, guests::hello), net));
	}
	int status = 0;

	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(WEXITSTATUS(status), EPERM);
	must("ip link delete mf1");
}

/// Who has neither the link nor CAP_NET_ADMIN, though he may have VMs.
TEST_F(Network, OthersMayNotAttach)
{
	const pid_t child = fork();

	if (child == 0) {
		if (setgid(1000) != 0 || setuid(1000) != 0)
			_exit(100);
		_exit(-spawn(live::make_image(device, guests::hello)));
	}
	int status = 0;

	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(WEXITSTATUS(status), EPERM);
}

/// A user's VMs that do not read cannot have all that may wait.
TEST_F(Network, WhatWaitsIsAUsersOwn)
{
	must("build/vmctl net create mf1 --subnet 10.8.0.0/16 --mtu 65520 --owner 65534");

	constexpr unsigned count = 100;
	const pid_t child = fork();

	if (child == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(100);

		const mayfly_attach_net net{
			.ifindex = if_nametoindex("mf1"), .ip4 = 0, .dns4 = 0, .flags = 0, .rate = 0};

		static_cast<void>(spawn_with(live::make_image(device, guests::hello), net, count));
		_exit(0);
	}
	ASSERT_EQ(waitpid(child, nullptr, 0), child);
	ASSERT_EQ(live::info(device).vms, count);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned vm = 2; vm < 2 + count; vm++)
			send(udp(address_of("10.8.0." + std::to_string(vm))), pattern(50'000));

	const unsigned long waits = statistic("tx_bytes", "mf1");

	EXPECT_GT(waits, 8u << 20);
	EXPECT_LE(waits, 17u << 20);
	EXPECT_GT(statistic("tx_dropped", "mf1"), 0u);

	const auto [vm, ip4] = make_known_echo();

	expect_answer(udp(ip4), pattern(50'000));
	must("build/vmctl rm -f --all 2>/dev/null && ip link delete mf1");
}

TEST_F(Network, DatagramsComeBack)
{
	const auto [vm, ip4] = make_known_echo();
	const fd socket = udp(ip4);

	for (const std::size_t size : {1u, 100u, 1000u, 1472u, 4000u, 9000u, 60'000u, 65'000u})
		expect_answer(socket, pattern(size));
	for (unsigned i = 0; i < 200; i++)
		expect_answer(socket, pattern(i + 1));
	EXPECT_EQ(statistic("rx_errors"), 0u);
	EXPECT_EQ(statistic("tx_packets"), 208u);
	EXPECT_EQ(statistic("rx_packets"), 208u);
}

/// A burst is answered whole, as far as the queue goes.
TEST_F(Network, ABurstIsAnswered)
{
	const auto [vm, ip4] = make_known_echo();
	const fd socket = udp(ip4);

	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	for (unsigned i = 0; i < 64; i++)
		send(socket, pattern(i + 1));
	EXPECT_EQ(statistic("tx_dropped"), 0u);
	send(socket, pattern(100));
	EXPECT_EQ(statistic("tx_dropped"), 1u) << "what does not fit is dropped";
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	for (unsigned i = 0; i < 64; i++)
		EXPECT_EQ(receive(socket).size(), i + 1);
}

TEST_F(Network, APingIsAnswered)
{
	const auto [vm, ip4] = make_known_echo();
	const fd socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
	const sockaddr_in there{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {ip4}, .sin_zero = {}};
	icmphdr request{};

	request.type = ICMP_ECHO;
	request.un.echo.id = htons(77);
	request.checksum = static_cast<std::uint16_t>(~(htons(0x0800) + htons(77)));
	ASSERT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr *>(&there), sizeof(there)), 0);
	ASSERT_EQ(::send(socket.get(), &request, sizeof(request), 0), ssize_t{sizeof(request)});

	const bytes answer = receive(socket);

	ASSERT_EQ(answer.size(), sizeof(iphdr) + sizeof(request));
	EXPECT_EQ(answer[sizeof(iphdr)], ICMP_ECHOREPLY);
	EXPECT_EQ(answer[sizeof(iphdr) + 5], 77);
}

TEST_F(Network, AnAddressWithoutAVmIsUnreachable)
{
	const fd socket = udp(address_of("10.9.7.7"));

	send(socket, pattern(10));
	EXPECT_EQ(receive(socket), bytes{EHOSTUNREACH});

	const auto [vm, ip4] = make_known_echo();
	const fd other = udp(ip4);

	expect_answer(other, pattern(10));
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	send(other, pattern(10));
	EXPECT_EQ(receive(other), bytes{EHOSTUNREACH});
}

/// Breaks a rule of the module's on purpose while it lives.
class broken final
{
public:
	explicit broken(live::mutation which) { write(which); }
	~broken() { write(live::none); }
	broken(const broken &) = delete;
	broken &operator=(const broken &) = delete;

private:
	static void write(live::mutation which)
	{
		std::ofstream file("/sys/module/mayfly/parameters/mutation");

		file << which << std::flush;
		EXPECT_TRUE(file.good());
	}
};

bool is_debug(const fd &device)
{
	return (live::info(device).flags & MAYFLY_INFO_DEBUG) != 0;
}

/// The three tests of rules without which the tests of those rules fail.
TEST_F(Network, AFalseSenderIsHeardWhereNobodyLooks)
{
	if (!is_debug(device))
		GTEST_SKIP() << "needs a module built with its debug checks";

	const broken rule(live::sender);
	const auto [vm, ip4] = make_known_echo(htonl(1));

	send(udp(ip4), pattern(10));
	EXPECT_TRUE(live::eventually([&] { return statistic("rx_packets") == 1; }));
	EXPECT_EQ(statistic("rx_errors"), 0u);
}

TEST_F(Network, AMistakeInARingGoesOnWhereNobodyLooks)
{
	if (!is_debug(device))
		GTEST_SKIP() << "needs a module built with its debug checks";

	const broken rule(live::ring);
	const auto [vm, ip4] = make_known_echo(0, 1000);
	const fd socket = udp(ip4);

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
	send(socket, pattern(10));
	ASSERT_TRUE(live::eventually([&] { return vm.info().parked >= 2 || vm.info().state == MAYFLY_ENDED; }));
	send(socket, pattern(10));
	EXPECT_EQ(statistic("tx_dropped"), 0u);
}

TEST_F(Network, AVmThatHasEndedGetsPacketsWhereNobodyLooks)
{
	if (!is_debug(device))
		GTEST_SKIP() << "needs a module built with its debug checks";

	const broken rule(live::port);
	const auto [vm, ip4] = make_known_echo();
	const fd socket = udp(ip4);

	expect_answer(socket, pattern(10));
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	send(socket, pattern(10));
	EXPECT_EQ(statistic("tx_packets"), 2u);
	EXPECT_EQ(statistic("tx_dropped"), 0u);
}

TEST_F(Network, AFalseSenderIsNotHeard)
{
	const auto [vm, ip4] = make_known_echo(htonl(1));
	const fd socket = udp(ip4);

	send(socket, pattern(10));
	EXPECT_TRUE(live::eventually([&] { return statistic("rx_errors") == 1; }));
	EXPECT_EQ(statistic("rx_packets"), 0u);
	// It is counted before the guest has gone to sleep again.
	EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
}

/// What listens at 127.0.0.1 is for this host alone, also where its packets for there may leave.
TEST_F(Network, NoVmReachesTheHostsLoopback)
{
	must("echo 1 >/proc/sys/net/ipv4/conf/mf0/route_localnet");
	must("ip link set lo up");

	const auto [vm, ip4] = make_known_echo();
	const sockaddr_in here{
		.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}},
		there{.sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {ip4}, .sin_zero = {}};
	const fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	ASSERT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr *>(&here), sizeof(here)), 0);
	ASSERT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr *>(&there), sizeof(there)), 0);
	send(socket, pattern(10));
	EXPECT_TRUE(live::eventually([&] { return statistic("rx_errors") == 1; }));
	EXPECT_EQ(statistic("rx_packets"), 0u);
}

/// The device of a guest that makes a mistake in a ring is shut. The guest lives.
TEST_F(Network, AMistakeInARingShutsTheDevice)
{
	const auto [vm, ip4] = make_known_echo(0, 1000);
	const fd socket = udp(ip4);

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
	send(socket, pattern(10));
	ASSERT_TRUE(live::eventually([&] { return vm.info().parked >= 2; }));
	send(socket, pattern(10));
	EXPECT_EQ(statistic("tx_dropped"), 1u) << "it waits for nobody";
	EXPECT_EQ(statistic("rx_packets"), 0u);
	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
	ASSERT_TRUE(vm.wait_for_end());
	EXPECT_EQ(vm.info().status, 0);
}

/// VMs that are cold are woken by a packet.
TEST_F(Network, ManyAnswer)
{
	constexpr unsigned count = 200;
	std::vector<std::pair<machine, std::uint32_t>> all;

	for (unsigned i = 0; i < count; i++)
		all.push_back(make_known_echo());
	for (unsigned round = 0; round < 2; round++)
		for (const auto &[vm, ip4] : all)
			expect_answer(udp(ip4), pattern(100));
	EXPECT_EQ(statistic("rx_errors"), 0u);
}

/// A clone has an address of its own, or none.
TEST_F(Network, AClonesPlaceIsItsOwn)
{
	const auto [vm, ip4] = make_known_echo();
	const fd socket = udp(ip4);

	expect_answer(socket, pattern(10));

	const fd image = live::snapshot(vm);
	const machine clone(fd(spawn(image))), without(image, device);

	const std::uint32_t cloned = config(clone).ip4;

	EXPECT_NE(cloned, ip4);
	EXPECT_EQ(live::device_page(without).nr_devices, 0u);
	// It goes on with its original's rings, of which it has a copy.
	ASSERT_EQ(clone.control(MAYFLY_OP_START), 0);
	expect_answer(udp(cloned), pattern(20));
	expect_answer(socket, pattern(30));
}

/// The device goes, the VMs stay.
TEST_F(Network, ADeletedLinkLeavesItsVms)
{
	const auto [vm, ip4] = make_known_echo();

	expect_answer(udp(ip4), pattern(10));
	must("ip link delete mf0");
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PARKED});
	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
	ASSERT_TRUE(vm.wait_for_end());
}

/// VMs come, go and stand still, and at last the device goes, while packets come all the time.
TEST_F(Network, TrafficDoesNotStopForAnybody)
{
	constexpr unsigned count = 4;
	const fd image = live::make_image(device, guests::net_echo);
	const auto nth = [](unsigned i) { return address_of("10.9.1.1") + htonl(i); };
	const pid_t child = fork();

	if (child == 0) {
		const bytes what(1000, 1);
		std::vector<fd> all;

		for (unsigned i = 0; i < count; i++)
			all.push_back(udp(nth(i)));
		// Most of it is not answered.
		for (;;)
			for (const fd &one : all)
				::send(one.get(), what.data(), what.size(), MSG_DONTWAIT);
	}
	for (unsigned round = 0; round < 30; round++) {
		std::vector<machine> all;

		for (unsigned i = 0; i < count; i++) {
			int ret = 0;

			// The last round's VMs end when they leave guest mode.
			ASSERT_TRUE(live::eventually([&] { return (ret = spawn(image, nth(i))) != -EADDRINUSE; }));
			ASSERT_GE(ret, 0) << strerror(-ret);
			all.emplace_back(fd(ret));
			EXPECT_EQ(all.back().control(MAYFLY_OP_START), 0);
		}
		ASSERT_TRUE(live::eventually([&] { return all[0].info().exits > 10; }));
		EXPECT_EQ(all[1].control(MAYFLY_OP_PAUSE), 0);
		EXPECT_EQ(all[0].control(MAYFLY_OP_KILL), 0);
		EXPECT_EQ(all[1].control(MAYFLY_OP_RESUME), 0);
		if (round == 20)
			must("ip link set mf0 down && ip link set mf0 up");
	}
	{
		const machine last = make(guests::net_echo, address_of("10.9.2.2"));

		EXPECT_EQ(last.control(MAYFLY_OP_START), 0);
		must("ip link delete mf0");
		EXPECT_EQ(last.control(MAYFLY_OP_KILL), 0);
	}
	kill(child, SIGKILL);
	ASSERT_EQ(waitpid(child, nullptr, 0), child);
	EXPECT_EQ(live::info(device).vms, 0u);
}

TEST_F(Network, AVmPaysForItsPlace)
{
	const machine with = make(guests::hello), without(live::make_image(device, guests::hello), device);
	const std::uint64_t more = with.info().private_bytes - without.info().private_bytes;

	EXPECT_GT(more, 0u);
	EXPECT_LE(more, 400u);
}

}
