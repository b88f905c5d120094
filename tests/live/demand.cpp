// SPDX-License-Identifier: Apache-2.0
//
// VMs that are made when a packet comes for them.

#include <algorithm>
#include <atomic>
#include <sys/wait.h>
#include <thread>

#include <mayfly.h>
#include <mayfly_demand.h>

#include "cgroup.hpp"
#include "network.hpp"
#include "parameter.hpp"

namespace
{

using live::address_of;
using live::bytes;
using live::fd;
using live::machine;
using live::must;
using live::text_of;

class Demand : public live::Network
{
protected:
	static constexpr std::uint64_t second = 1'000'000'000;

	void TearDown() override
	{
		for (const mayfly_demand_info &one : registrations())
			EXPECT_EQ(remove(one.id), 0);
		remove_vms();
		Network::TearDown();
	}
	void remove_vms() const
	{
		for (const mayfly_vm_info &row : vms()) {
			mayfly_control control{};

			// Some end by themselves meanwhile.
			control.op = MAYFLY_OP_KILL;
			control.ids = live::address(&row.id);
			control.count = 1;
			EXPECT_EQ(live::call(device, MAYFLY_CONTROL, &control), 0);
		}
		EXPECT_TRUE(live::eventually([&] { return vms().empty(); }));
	}
	static mayfly_attach_demand range(const char *first = "10.9.4.0", const char *last = "10.9.4.255")
	{
		mayfly_attach_demand wanted{};

		wanted.first = address_of(first);
		wanted.last = address_of(last);
		wanted.rate = MAYFLY_DEMAND_RATE_MAX;
		wanted.max = 1000;
		return wanted;
	}
	static mayfly_attach_demand idle_after(std::uint64_t idle)
	{
		mayfly_attach_demand wanted = range();

		wanted.idle = idle;
		return wanted;
	}
	int ask(const fd &image, const mayfly_attach_demand &wanted, auto change) const
	{
		const mayfly_attach_net net{
			.ifindex = if_nametoindex("mf0"), .ip4 = 0, .dns4 = 0, .flags = 0, .rate = 0};
		std::array two{attachment_of(net), mayfly_attachment{.type = MAYFLY_ATTACH_DEMAND,
								     .flags = 0,
								     .size = sizeof(wanted),
								     .reserved = 0,
								     .payload = live::address(&wanted)}};
		mayfly_spawn request = live::spawn_request(image, MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED);

		request.attachments = live::address(two.data());
		request.nr_attachments = two.size();
		change(request, two);

		const int ret = live::call(device, MAYFLY_SPAWN, &request);

		EXPECT_EQ(request.created, 0u);
		return ret;
	}
	int ask(const fd &image, const mayfly_attach_demand &wanted) const
	{
		return ask(image, wanted, [](auto &, auto &) {});
	}
	void have(std::span<const std::byte> code, const mayfly_attach_demand &wanted = range()) const
	{
		ASSERT_EQ(ask(live::make_image(device, code), wanted), 0);
	}
	template <class Row> std::vector<Row> list(unsigned long call) const
	{
		std::vector<Row> rows(300);
		mayfly_list list{};

		list.rows = live::address(rows.data());
		list.row_size = sizeof(Row);
		list.count = static_cast<std::uint32_t>(rows.size());
		EXPECT_EQ(live::call(device, call, &list), 0);
		rows.resize(list.count);
		return rows;
	}
	[[nodiscard]] std::vector<mayfly_vm_info> vms() const { return list<mayfly_vm_info>(MAYFLY_LIST); }
	[[nodiscard]] std::vector<mayfly_demand_info> registrations() const
	{
		return list<mayfly_demand_info>(MAYFLY_DEMAND_LIST);
	}
	[[nodiscard]] mayfly_demand_info registration() const
	{
		const auto all = registrations();

		EXPECT_EQ(all.size(), 1u);
		return all.empty() ? mayfly_demand_info{} : all.front();
	}
	[[nodiscard]] int remove(std::uint64_t id) const
	{
		mayfly_demand_remove args{};

		args.id = id;
		return live::call(device, MAYFLY_DEMAND_REMOVE, &args);
	}
	[[nodiscard]] machine open_vm(std::uint64_t id) const
	{
		mayfly_open open{};

		open.id = id;
		EXPECT_EQ(live::call(device, MAYFLY_OPEN, &open), 0);
		return machine(fd(open.fd));
	}
	/// What ICMP says within a minute.
	static int refusal(const fd &socket)
	{
		pollfd poll{.fd = socket.get(), .events = POLLERR, .revents = 0};
		int error = 0;
		socklen_t size = sizeof(error);

		::poll(&poll, 1, 60'000);
		EXPECT_EQ(getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size), 0);
		return error;
	}
	/// Asks until ICMP says so, \p seconds at most.
	static bool eventually_refused(const char *address, int seconds = 60)
	{
		return live::eventually(
			[&] {
				const fd socket = udp(address_of(address));
				pollfd poll{.fd = socket.get(), .events = POLLERR, .revents = 0};

				send(socket, pattern(10));
				return ::poll(&poll, 1, 10) == 1;
			},
			seconds);
	}
	static void expect_refusal(const char *address)
	{
		const fd socket = udp(address_of(address));

		send(socket, pattern(10));
		EXPECT_EQ(refusal(socket), EHOSTUNREACH) << address;
	}
};

TEST_F(Demand, APacketMakesItsVm)
{
	have(guests::net_echo);
	EXPECT_TRUE(vms().empty());
	expect_answer(udp(address_of("10.9.4.7")), pattern(100));

	const auto rows = vms();

	ASSERT_EQ(rows.size(), 1u);
	EXPECT_EQ(text_of(rows[0].nets[0].ip4), "10.9.4.7");

	const mayfly_demand_info row = registration();

	EXPECT_EQ(row.vms, 1u);
	EXPECT_EQ(row.born, 1u);
	EXPECT_EQ(row.refused, 0u);
	EXPECT_EQ(row.ifindex, if_nametoindex("mf0"));
	EXPECT_EQ(row.uid, getuid());
	EXPECT_EQ(row.image_id, rows[0].image_id);
	EXPECT_EQ(text_of(row.range.first), "10.9.4.0");
	EXPECT_EQ(text_of(row.range.last), "10.9.4.255");
	expect_answer(udp(address_of("10.9.4.7")), pattern(100));
	EXPECT_EQ(registration().born, 1u) << "the second is for the VM that there is";
	expect_answer(udp(address_of("10.9.4.255")), pattern(100));
	EXPECT_EQ(registration().born, 2u);
	expect_refusal("10.9.5.0");
}

/// One birth for each address, and what waits for it arrives in its order.
TEST_F(Demand, AllThatWaitsIsDelivered)
{
	have(guests::net_echo);

	std::vector<fd> sockets;

	for (unsigned i = 0; i < 100; i++) {
		sockets.push_back(udp(address_of("10.9.4." + std::to_string(i + 1))));
		for (unsigned n = 0; n < 8; n++)
			send(sockets.back(), pattern(n + 1));
	}
	for (const fd &socket : sockets)
		for (unsigned n = 0; n < 8; n++)
			EXPECT_EQ(receive(socket).size(), n + 1);
	EXPECT_EQ(registration().born, 100u);
}

TEST_F(Demand, OnePacketOfAnySizeWaits)
{
	have(guests::net_echo);

	const fd socket = udp(address_of("10.9.4.7"));

	send(socket, pattern(65'000));
	EXPECT_EQ(receive(socket).size(), 65'000u);
}

TEST_F(Demand, OtherServicesMakeNothing)
{
	mayfly_attach_demand wanted = range();

	wanted.nr_services = 2;
	wanted.services[0] = {.port = 80, .protocol = IPPROTO_TCP, .unused = 0};
	wanted.services[1] = {.port = 7, .protocol = IPPROTO_UDP, .unused = 0};
	have(guests::net_echo, wanted);

	const sockaddr_in there{
		.sin_family = AF_INET, .sin_port = htons(8), .sin_addr = {address_of("10.9.4.7")}, .sin_zero = {}};
	const fd other(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	ASSERT_EQ(connect(other.get(), reinterpret_cast<const sockaddr *>(&there), sizeof(there)), 0);

	const int on = 1;

	ASSERT_EQ(setsockopt(other.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
	send(other, pattern(10));
	EXPECT_EQ(refusal(other), EHOSTUNREACH);
	EXPECT_EQ(registration().born, 0u);
	EXPECT_EQ(registration().refused, 0u) << "nobody has that address";
	expect_answer(udp(address_of("10.9.4.7")), pattern(10));
	EXPECT_EQ(registration().range.services[0].port, 80u);
}

TEST_F(Demand, NoMoreThanSomeAtOnce)
{
	mayfly_attach_demand wanted = range();

	wanted.max = 2;
	have(guests::net_echo, wanted);
	expect_answer(udp(address_of("10.9.4.1")), pattern(10));
	expect_answer(udp(address_of("10.9.4.2")), pattern(10));
	expect_refusal("10.9.4.3");
	EXPECT_EQ(registration().refused, 1u);
	remove_vms();
	EXPECT_EQ(registration().vms, 0u);
	// It is left alone for a second, others are not.
	expect_answer(udp(address_of("10.9.4.4")), pattern(10));
	EXPECT_TRUE(live::eventually([&] {
		const fd socket = udp(address_of("10.9.4.3"));

		send(socket, pattern(10));
		pollfd poll{.fd = socket.get(), .events = POLLIN | POLLERR, .revents = 0};

		return ::poll(&poll, 1, 10'000) == 1 && recv(socket.get(), nullptr, 0, MSG_DONTWAIT) == 0;
	}));
	EXPECT_GE(registration().refused, 1u);
}

/// A burst, and then so many a second: a flood to all addresses makes no more.
TEST_F(Demand, NoMoreThanTheRate)
{
	mayfly_attach_demand wanted = range("10.9.4.0", "10.9.11.255");

	wanted.rate = 1;
	wanted.max = 5000;
	have(guests::hello, wanted);

	const fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	const auto began = std::chrono::steady_clock::now();

	for (unsigned i = 0; i < 2000; i++) {
		const sockaddr_in there{.sin_family = AF_INET,
					.sin_port = htons(7),
					.sin_addr = {htonl(ntohl(address_of("10.9.4.0")) + i)},
					.sin_zero = {}};

		// Others' errors.
		while (sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr *>(&there), sizeof(there)) != 1)
			;
	}

	const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
	const mayfly_demand_info row = registration();

	EXPECT_GE(row.born + row.vms, 256u);
	EXPECT_LE(row.born, 258u + static_cast<std::uint64_t>(seconds.count()));
	EXPECT_EQ(2000 - row.refused, 2000 - statistic("tx_dropped"));
	EXPECT_TRUE(live::eventually([&] { return vms().empty(); })) << "they end before they read";
}

TEST_F(Demand, IdleOnesGo)
{
	have(guests::net_echo, idle_after(second / 10));
	for (unsigned round = 1; round <= 3; round++) {
		expect_answer(udp(address_of("10.9.4.7")), pattern(10));
		EXPECT_TRUE(live::eventually([&] { return vms().empty(); }));
		EXPECT_EQ(registration().born, round);
		EXPECT_EQ(registration().vms, 0u);
	}
}

/// Whatever comes in the moment in which a VM is ended makes the next one, also where there can
/// be only one.
TEST_F(Demand, NothingIsLostWhileOneGoes)
{
	mayfly_attach_demand wanted = idle_after(1);

	wanted.max = 1;
	have(guests::net_echo, wanted);

	const fd socket = udp(address_of("10.9.4.7"));

	for (unsigned i = 0; i < 300; i++) {
		usleep(i * 37 % 12'000);
		expect_answer(socket, pattern(10));
	}
	EXPECT_GT(registration().born, 1u);
}

/// Whoever asks again is told so, as long as he asks often enough.
TEST_F(Demand, AVmThatEndsAtOnceIsNotMadeAgainAtOnce)
{
	have(guests::exit42);
	EXPECT_TRUE(eventually_refused("10.9.4.7"));
	EXPECT_GE(registration().born, 1u);
	EXPECT_TRUE(live::eventually([&] { return registration().vms == 0 && vms().empty(); }));
}

/// Two threads, one of which takes away what the other one is making.
TEST_F(Demand, RegistrationsComeAndGo)
{
	const fd image = live::make_image(device, guests::net_echo);
	std::atomic<bool> over = false;
	std::jthread remover([&] {
		for (std::uint64_t id = 0; !over; id++)
			if (remove(id) == -ENOENT)
				id -= std::min<std::uint64_t>(id, 2);
	});

	for (unsigned i = 0; i < live::many(2000); i++) {
		const int ret = ask(image, range());

		EXPECT_TRUE(ret == 0 || ret == -EEXIST) << ret;
		for (const mayfly_demand_info &one : registrations())
			static_cast<void>(remove(one.id));
		send(udp(address_of("10.9.4.7")), pattern(10));
	}
	over = true;
}

/// VMs that cannot be ended while they are idle cost no more than a look now and then.
TEST_F(Demand, PausedOnesStay)
{
	have(guests::net_echo, idle_after(1));

	std::vector<fd> sockets;

	for (unsigned i = 0; i < 50; i++) {
		sockets.push_back(udp(address_of("10.9.4." + std::to_string(i + 1))));
		send(sockets.back(), pattern(10));
		for (const mayfly_vm_info &row : vms()) {
			mayfly_control control{};

			control.op = MAYFLY_OP_PAUSE;
			control.ids = live::address(&row.id);
			control.count = 1;
			EXPECT_EQ(live::call(device, MAYFLY_CONTROL, &control), 0);
		}
	}

	const std::size_t paused = static_cast<std::size_t>(std::ranges::count_if(vms(), [](const auto &row) {
		return row.state == MAYFLY_PAUSED;
	}));

	usleep(500'000);
	EXPECT_EQ(std::ranges::count_if(vms(), [](const auto &row) { return row.state == MAYFLY_PAUSED; }),
		  static_cast<std::ptrdiff_t>(paused));
}

/// What was the host's address may be a VM's later.
TEST_F(Demand, AnAddressThatWasTheHosts)
{
	{
		const machine vm = make(guests::hello);
	}
	must("ip address flush dev mf0 && ip address add 10.9.0.99/16 dev mf0");
	ASSERT_EQ(ask(live::make_image(device, guests::net_echo), range("10.9.0.1", "10.9.0.1")), 0);
	for (unsigned i = 0; i < 5; i++)
		send(udp(address_of("10.9.0.1")), pattern(10));
	EXPECT_LE(registration().vms, 1u);
	EXPECT_LE(registration().born, 1u);
}

TEST_F(Demand, TheRegistrantsLimitsHold)
{
	have(guests::net_echo);

	const live::parameter limit("max_vms_user", 1);

	expect_answer(udp(address_of("10.9.4.1")), pattern(10));
	expect_refusal("10.9.4.2");
}

TEST_F(Demand, NoMoreBytesThanTheRegistrantMayHave)
{
	have(guests::net_echo);

	const live::parameter limit("max_bytes_user", 1);

	EXPECT_TRUE(eventually_refused("10.9.4.1"));
	EXPECT_TRUE(live::eventually([&] { return registration().vms == 0; }));
	EXPECT_EQ(registration().born, 0u);
}

/// The cgroup of whoever has registered them pays for VMs, and may have nothing left.
TEST_F(Demand, NoMemoryAtBirth)
{
	const live::cgroup group;
	const fd image = live::make_image(device, guests::net_echo);

	ASSERT_TRUE(live::inside(group, [&] { return ask(image, range()) == 0; }));
	group.set("memory.max", "0");
	EXPECT_TRUE(eventually_refused("10.9.4.1"));
	EXPECT_EQ(registration().born, 0u);
	group.set("memory.max", "max");
	EXPECT_TRUE(live::eventually([&] { return !eventually_refused("10.9.4.1", 1); }));
	expect_answer(udp(address_of("10.9.4.1")), pattern(10));
	EXPECT_EQ(registration().born, 1u);
	remove_vms();
	EXPECT_EQ(remove(registration().id), 0);
	EXPECT_TRUE(live::eventually([&] { return live::info(device).pools == 0; }));
}

/// A device goes while VMs are made for packets of its own.
TEST_F(Demand, TheDeviceGoesWhileVmsAreMade)
{
	const fd image = live::make_image(device, guests::net_echo);

	for (unsigned round = 0; round < live::many(20); round++) {
		ASSERT_EQ(ask(image, range()), 0);

		const fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

		for (unsigned i = 0; i < 10 + round; i++) {
			const sockaddr_in there{.sin_family = AF_INET,
						.sin_port = htons(7),
						.sin_addr = {htonl(ntohl(address_of("10.9.4.1")) + i)},
						.sin_zero = {}};

			sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr *>(&there), sizeof(there));
		}
		must("ip link delete mf0 && ip link add mf0 type mayfly && ip address add 10.9.0.1/16 dev mf0 && "
		     "ip link set mf0 up");
		EXPECT_TRUE(live::eventually([&] { return registrations().empty(); }));
		remove_vms();
	}
}

/// They live on, and end when they are idle.
TEST_F(Demand, VmsOutliveTheirRegistration)
{
	have(guests::net_echo, idle_after(5 * second));

	const fd socket = udp(address_of("10.9.4.7"));

	expect_answer(socket, pattern(10));
	ASSERT_EQ(remove(registration().id), 0);
	EXPECT_EQ(vms().size(), 1u);
	expect_answer(socket, pattern(10));
	expect_refusal("10.9.4.8");
	EXPECT_TRUE(live::eventually([&] { return vms().empty(); }));
	expect_refusal("10.9.4.7");
}

TEST_F(Demand, ItGoesWithItsDevice)
{
	have(guests::net_echo);
	expect_answer(udp(address_of("10.9.4.7")), pattern(10));
	must("ip link delete mf0");
	EXPECT_TRUE(live::eventually([&] { return registrations().empty(); }));
	EXPECT_EQ(vms().size(), 1u);
}

/// Somebody who looks at such a VM does not end it, and finds it dead as long as he looks.
TEST_F(Demand, ItsEndCanBeSeen)
{
	have(guests::net_echo);
	expect_answer(udp(address_of("10.9.4.7")), pattern(10));

	const std::uint64_t id = vms().at(0).id;

	open_vm(id).control(MAYFLY_OP_PAUSE);
	EXPECT_EQ(vms().size(), 1u);
	{
		const machine vm = open_vm(id);

		EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
		ASSERT_EQ(vms().size(), 1u);
		EXPECT_EQ(vms().at(0).state, unsigned{MAYFLY_ENDED});
	}
	EXPECT_TRUE(live::eventually([&] { return vms().empty(); }));
}

/// An address that nobody asks for by its name is not one of a range's.
TEST_F(Demand, OtherVmsGetOtherAddresses)
{
	ASSERT_EQ(ask(live::make_image(device, guests::net_echo), range("10.9.0.2", "10.9.0.9")), 0);
	ASSERT_EQ(ask(live::make_image(device, guests::net_echo), range("10.9.0.11", "10.9.0.12")), 0);

	const machine one = make(guests::hello), two = make(guests::hello), three = make(guests::hello);

	EXPECT_EQ(text_of(config(one).ip4), "10.9.0.10");
	EXPECT_EQ(text_of(config(two).ip4), "10.9.0.13");
	EXPECT_EQ(text_of(config(three).ip4), "10.9.0.14");

	const machine named = make(guests::hello, address_of("10.9.0.5"));

	EXPECT_EQ(text_of(config(named).ip4), "10.9.0.5");
}

TEST_F(Demand, BadRequestsAreRefused)
{
	const fd image = live::make_image(device, guests::net_echo);
	const auto refused = [&](auto change) {
		mayfly_attach_demand wanted = range();

		change(wanted);
		return ask(image, wanted);
	};
	const auto call_refused = [&](auto change) { return ask(image, range(), change); };

	EXPECT_EQ(refused([](auto &w) { w.first = address_of("10.9.5.0"); }), -EINVAL) << "first after last";
	EXPECT_EQ(refused([](auto &w) { w.last = address_of("10.10.0.0"); }), -EINVAL) << "of another subnet";
	EXPECT_EQ(refused([](auto &w) { w.first = address_of("10.8.0.0"); }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.rate = 0; }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.rate = MAYFLY_DEMAND_RATE_MAX + 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.max = 0; }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.idle = MAYFLY_DEMAND_IDLE_MAX + 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.flags = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.nr_services = MAYFLY_DEMAND_SERVICES + 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &w) { w.nr_services = 1; }), -EINVAL) << "port 0";
	EXPECT_EQ(refused([](auto &w) { w.services[0].port = 80; }), -EINVAL) << "beyond the count";
	EXPECT_EQ(refused([](auto &w) {
			  w.nr_services = 1;
			  w.services[0] = {.port = 80, .protocol = IPPROTO_ICMP, .unused = 0};
		  }),
		  -EINVAL);
	EXPECT_EQ(call_refused([](auto &r, auto &) { r.count = 2; }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &r, auto &) { r.flags = MAYFLY_SPAWN_DETACHED; }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &r, auto &) { r.flags = MAYFLY_SPAWN_START; }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &r, auto &) { r.ids = live::address(&r); }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &r, auto &) { r.name[0] = 'a'; }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &, auto &two) { two[0] = two[1]; }), -EINVAL) << "no network";
	EXPECT_EQ(call_refused([](auto &, auto &two) { two[1].size--; }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &, auto &two) { two[1].flags = 1; }), -EINVAL);
	EXPECT_EQ(call_refused([](auto &, auto &two) { two[1].payload = 8; }), -EFAULT);
	EXPECT_EQ(remove(0), -ENOENT);
	EXPECT_EQ(remove(UINT64_MAX), -ENOENT);
	ASSERT_EQ(ask(image, range()), 0);
	EXPECT_EQ(ask(image, range("10.9.4.255", "10.9.5.0")), -EEXIST);
	EXPECT_EQ(ask(image, range("10.9.3.0", "10.9.4.0")), -EEXIST);
	for (unsigned i = 1; i < 16; i++) {
		const std::string base = "10.9." + std::to_string(100 + i) + ".0";

		EXPECT_EQ(ask(image, range(base.c_str(), base.c_str())), 0);
	}
	EXPECT_EQ(ask(image, range("10.9.200.0", "10.9.200.9")), -ENOSPC);
	EXPECT_EQ(registrations().size(), 16u);
	EXPECT_EQ(live::info(device).vms, 0u);
}

/// It is seen, and taken away, by whoever has made it.
TEST_F(Demand, OthersMayNot)
{
	have(guests::net_echo);

	const std::uint64_t id = registration().id;
	const pid_t child = fork();

	if (child == 0) {
		if (setgid(65534) != 0 || setuid(65534) != 0)
			_exit(100);
		_exit(registrations().empty() && remove(id) == -EPERM ? 0 : 1);
	}
	int status = 0;

	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(WEXITSTATUS(status), 0);
	EXPECT_EQ(remove(id), 0);
	EXPECT_EQ(remove(id), -ENOENT);
}

}
