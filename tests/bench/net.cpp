// SPDX-License-Identifier: Apache-2.0
//
// net [--json] NET-GUEST ECHO: what a VM's network costs, in instructions of the whole machine,
// beside a process over loopback and one in a network namespace behind veth and a bridge.
// Prints TAP. Means something only under `nested-host --icount`; see docs/benchmarks.md.
// The limits are what was measured and 3 %, or what was aimed at where that was met.

#include <array>
#include <csignal>
#include <cstring>
#include <functional>
#include <string_view>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.hpp"
#include "measure.hpp"
#include "report.hpp"

using namespace bench;

namespace
{

constexpr std::uint16_t port = 5000;
constexpr unsigned warm_up = 200, rounds = 1000;
constexpr std::uint64_t bulk = 64 << 20;

void shell(const std::string &command)
{
	if (std::system(command.c_str()) != 0)
		bail_out(command + " has failed");
}

sockaddr_in address_of(const char *text, std::uint16_t number = port)
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
int connected(int type, const sockaddr_in &to)
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

int listening(std::uint16_t number)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int one = 1;
	const sockaddr_in any = address_of("0.0.0.0", number);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, reinterpret_cast<const sockaddr *>(&any), sizeof any) != 0 || listen(fd, 16) != 0)
		die("listen");
	return fd;
}

/// \p times a byte for 64, or 32 bytes for as many.
void ask(int fd, int type, unsigned times)
{
	std::array<char, 64> bytes{};

	for (unsigned i = 0; i < times; i++) {
		const ssize_t size = type == SOCK_STREAM ? 1 : 32;
		const ssize_t wanted = type == SOCK_STREAM ? 64 : 32;

		if (send(fd, bytes.data(), static_cast<std::size_t>(size), 0) != size ||
		    recv(fd, bytes.data(), static_cast<std::size_t>(wanted), MSG_WAITALL) != wanted)
			die("a request");
	}
}

/// Instructions of the whole machine for each request.
double request(int type, const char *to)
{
	const descriptor fd(connected(type, address_of(to)));

	ask(fd, type, warm_up);

	const std::uint64_t start = ticks();

	ask(fd, type, rounds);
	return static_cast<double>(ticks() - start) / rounds;
}

/// A process that does \p what, in a network namespace of its own with \p device if there is one.
class server final
{
public:
	server(const std::function<void()> &what, const char *device = nullptr, const char *address = nullptr)
	{
		std::array<int, 2> ready{};

		if (pipe(ready.data()) != 0)
			die("pipe");
		pid_ = fork();
		if (pid_ == 0) {
			char go = 0;

			if (device && unshare(CLONE_NEWNET) != 0)
				die("unshare");
			if (write(ready[1], &go, 1) != 1)
				die("write");
			if (device) {
				while (if_nametoindex(device) == 0)
					usleep(1000);
				shell(fmt::format("ip address add {}/24 dev {}", address, device));
				shell(fmt::format("ip link set {} up", device));
			}
			what();
			_exit(0);
		}
		char byte;

		if (read(ready[0], &byte, 1) != 1)
			die("read");
		close(ready[0]);
		close(ready[1]);
		if (device)
			shell(fmt::format("ip link set {} netns {}", device, pid_));
	}
	~server()
	{
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	server(const server &) = delete;
	server &operator=(const server &) = delete;

private:
	pid_t pid_ = -1;
};

/// As net-guest answer does it: TCP in one thread, UDP in another.
void answer()
{
	std::thread datagrams([] {
		const descriptor fd(socket(AF_INET, SOCK_DGRAM, 0));
		const sockaddr_in any = address_of("0.0.0.0");
		std::array<char, 2048> bytes;
		sockaddr_in from{};

		if (bind(fd, reinterpret_cast<const sockaddr *>(&any), sizeof any) != 0)
			die("bind");
		for (;;) {
			socklen_t size = sizeof from;
			const ssize_t got = recvfrom(fd, bytes.data(), bytes.size(), 0,
						     reinterpret_cast<sockaddr *>(&from), &size);

			sendto(fd, bytes.data(), static_cast<std::size_t>(got), 0, reinterpret_cast<sockaddr *>(&from),
			       size);
		}
	});
	const descriptor door(listening(port));

	for (;;) {
		const descriptor fd(accept(door, nullptr, nullptr));
		std::array<char, 64> bytes{};

		while (recv(fd, bytes.data(), 1, 0) == 1)
			send(fd, bytes.data(), bytes.size(), 0);
	}
}

/// Reads all that comes over one connection, again and again.
void take()
{
	const descriptor door(listening(port));
	static std::array<char, 1 << 20> bytes;

	for (;;) {
		const descriptor fd(accept(door, nullptr, nullptr));

		while (recv(fd, bytes.data(), bytes.size(), 0) > 0)
			;
	}
}

/// Instructions of the whole machine for each byte that is sent to \p to.
double send_bulk(const char *to)
{
	const descriptor fd(connected(SOCK_STREAM, address_of(to)));
	static std::array<char, 1 << 18> bytes;
	const std::uint64_t start = ticks();

	for (std::uint64_t sent = 0; sent < bulk;) {
		const ssize_t n = send(fd, bytes.data(), bytes.size(), 0);

		if (n <= 0)
			die("send");
		sent += static_cast<std::uint64_t>(n);
	}
	shutdown(fd, SHUT_WR);
	while (recv(fd, bytes.data(), bytes.size(), 0) > 0)
		;
	return static_cast<double>(ticks() - start) / static_cast<double>(bulk);
}

/// VMs on the network `web`, 10.9.0.0/16.
class guests final
{
public:
	guests(vmctl::device &to, const char *file, vmctl::system &calls)
		: device_(to), image_(must(to.load_image(must(calls.read_file(file, 1 << 20)), "guest")))
	{
	}

	/// Makes one with that address and these arguments, and waits until it waits.
	vmctl::vm spawn(const char *address, const std::vector<std::string> &words)
	{
		auto made = start(address, words);

		wait_for(made, vmctl::vm_state::parked);
		return made;
	}
	vmctl::vm start(const char *address, const std::vector<std::string> &words)
	{
		return must(device_.spawn_attached(image_,
						   {.arguments = words,
						    .network = vmctl::network_place{if_nametoindex("web"),
										    must(vmctl::parse_ip4(address))}}));
	}
	/// Makes many that are not started.
	std::vector<std::uint64_t> create(std::uint32_t count, bool with_network)
	{
		vmctl::spawn_request request{.count = count, .start = false};

		if (with_network)
			request.network = vmctl::network_place{if_nametoindex("web")};

		const auto made = device_.spawn(image_, request);

		if (made.failure)
			bail_out(made.failure->what);
		return made.ids;
	}
	const vmctl::device &device() const { return device_; }
	static void wait_for(const vmctl::vm &vm, vmctl::vm_state state)
	{
		while (must(vm.info()).state != state)
			sched_yield();
	}

private:
	vmctl::device &device_;
	vmctl::image image_;
};

/// Instructions from a guest's start to its end for each of \p times in its last argument,
/// when it does only that.
double guest_asks(guests &all, const char *how)
{
	const auto took = [&](unsigned times) {
		const std::uint64_t begin = ticks();
		const auto vm = all.start("10.9.1.1", {how, "10.9.0.2", "5000", std::to_string(times)});

		// Whoever waits for this VM alone would be woken whenever it parks.
		while (must(vm.info()).state != vmctl::vm_state::ended)
			static_cast<void>(must(all.device().ends()));
		if (must(vm.info()).status != 0)
			bail_out("a guest that asks has failed");
		return static_cast<double>(ticks() - begin);
	};

	took(100);
	return (took(3000) - took(1000)) / 2000;
}

double exits_for_each(const vmctl::vm &vm, int type)
{
	const descriptor fd(connected(type, address_of("10.9.0.2")));

	ask(fd, type, warm_up);

	const auto before = must(vm.info()).exits;

	ask(fd, type, rounds);
	return static_cast<double>(must(vm.info()).exits - before) / rounds;
}

/// Instructions of SPAWN for each of many VMs.
double spawn_costs(guests &all, bool with_network)
{
	constexpr std::uint32_t count = 1000;
	const std::uint64_t start = own_ticks();
	const auto made = all.create(count, with_network);
	const std::uint64_t took = own_ticks() - start;

	must(all.device().control(vmctl::operation::kill, made));
	must(all.device().control(vmctl::operation::remove, made));
	return static_cast<double>(took) / count;
}

double kib(const vmctl::vm &vm)
{
	return static_cast<double>(must(vm.info()).private_bytes) / 1024;
}

/// Makes the module take what can be derived, and waits until it has.
void chill(const vmctl::vm &vm)
{
	const std::string parameter = vmctl::parameter_path("cold_after_ms");

	shell("echo 1 >" + parameter);
	while (!must(vm.info()).cold)
		usleep(100'000);
	shell("echo 10000 >" + parameter);
}

/// What an echo server holds, and how often an idle connection wakes it.
void measure_idle(report &report, guests &all)
{
	const auto vm = all.spawn("10.9.0.7", {});

	report.limit("idle", "echo that listens, warm", kib(vm), 52, "KiB");
	chill(vm);
	report.limit("idle_cold", "echo that listens, cold, never contacted", kib(vm), 16, "KiB");
	{
		const descriptor fd(connected(SOCK_STREAM, address_of("10.9.0.7", 7)));
		std::array<char, 1> byte{};

		if (send(fd, byte.data(), 1, 0) != 1 || recv(fd, byte.data(), 1, 0) != 1)
			die("echo");
		guests::wait_for(vm, vmctl::vm_state::parked);
		report.limit("contacted", "echo with a connection, warm", kib(vm), 52, "KiB");
		chill(vm);
		report.limit("contacted_cold", "echo with a connection, cold", kib(vm), 24, "KiB");

		const auto before = must(vm.info()).exits;

		sleep(3600);
		report.limit("wakes", "times that it wakes in an hour",
			     static_cast<double>(must(vm.info()).exits - before), 0, "");
		if (send(fd, byte.data(), 1, 0) != 1 || recv(fd, byte.data(), 1, 0) != 1)
			die("echo after an hour");
	}
}

struct pair_of_requests {
	double tcp, udp;
};

pair_of_requests requests(const char *to)
{
	return {request(SOCK_STREAM, to), request(SOCK_DGRAM, to)};
}

}

int main(int argc, char **argv)
{
	const bool json = argc == 4 && std::string_view(argv[1]) == "--json";

	if (argc != 3 && !json) {
		std::fprintf(stderr, "usage: net [--json] NET-GUEST ECHO\n");
		return 2;
	}
	check_clock();

	vmctl::posix_system system;
	vmctl::device device = must(vmctl::device::open(system));
	guests all(device, argv[argc - 2], system);
	report report(json);

	shell("ip link set lo up && ip link add web type mayfly && ip address add 10.9.0.1/16 dev web && "
	      "ip link set web up");
	shell("ip link add br0 type bridge && ip address add 10.8.0.1/24 dev br0 && ip link set br0 up");
	for (const char *name : {"one", "two"})
		shell(fmt::format("ip link add {0} type veth peer name v{0} && ip link set v{0} master br0 && "
				  "ip link set v{0} up",
				  name));

	pair_of_requests loop, bridge;
	double loop_bulk, bridge_bulk;
	{
		const server local(answer);

		loop = requests("127.0.0.1");
	}
	{
		const server away(answer, "one", "10.8.0.2");

		bridge = requests("10.8.0.2");
	}
	{
		const server local(take);

		loop_bulk = send_bulk("127.0.0.1");
	}
	{
		const server away(take, "two", "10.8.0.3");

		bridge_bulk = send_bulk("10.8.0.3");
	}
	report.note("udp_loopback", "UDP round trip, process over loopback", loop.udp, "instructions");
	report.note("udp_bridge", "UDP round trip, process behind veth and bridge", bridge.udp, "instructions");
	report.note("tcp_loopback", "TCP request, process over loopback", loop.tcp, "instructions");
	report.note("tcp_bridge", "TCP request, process behind veth and bridge", bridge.tcp, "instructions");
	report.note("bulk_loopback", "bulk, process over loopback", loop_bulk, "instructions a byte");
	report.note("bulk_bridge", "bulk, process behind veth and bridge", bridge_bulk, "instructions a byte");
	{
		const auto vm = all.spawn("10.9.0.2", {"answer", "5000"});
		const pair_of_requests ours = requests("10.9.0.2");

		report.limit("udp", "UDP round trip, VM", ours.udp, 23200, "instructions");
		report.limit("tcp", "TCP request, VM", ours.tcp, 30400, "instructions");
		report.limit("exits", "exits a TCP request", exits_for_each(vm, SOCK_STREAM), 1.01, "");
		report.limit("udp_exits", "exits a UDP round trip", exits_for_each(vm, SOCK_DGRAM), 1.01, "");
		report.note("vm_udp", "UDP round trip, VM to VM", guest_asks(all, "ask-udp"), "instructions");
		report.limit("vm_tcp", "TCP request, VM to VM", guest_asks(all, "ask"), 19300, "instructions");
	}
	{
		const auto vm = all.spawn("10.9.0.2", {"drain", "5000"});

		report.limit("bulk", "bulk, host to VM", send_bulk("10.9.0.2"), 0.755, "instructions a byte");
	}
	spawn_costs(all, true);

	const double without = spawn_costs(all, false);

	report.limit("attach", "a place on a network, of SPAWN", spawn_costs(all, true) - without, 3000,
		     "instructions");

	guests echo(device, argv[argc - 1], system);

	measure_idle(report, echo);
	return report.end();
}
