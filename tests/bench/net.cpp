// SPDX-License-Identifier: Apache-2.0
//
// net [--json] NET-GUEST ECHO: what a VM's network costs, in instructions of the whole machine,
// beside a process over loopback, one in a network namespace behind veth and a bridge, and a
// container there.
// Prints TAP. Means something only under `nested-host --icount`; see docs/benchmarks.md.
// The limits are what was measured and 3 %, or what was aimed at where that was met.
//
// net serve: what the container does.

#include <array>
#include <string_view>
#include <vector>

#include "crowd.hpp"
#include "net_peers.hpp"

using namespace bench;

namespace
{

constexpr unsigned warm_up = 200, rounds = 1000;
constexpr std::uint64_t bulk = 64 << 20;

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
	const descriptor fd(connected(type, address_of(to, answers)));

	ask(fd, type, warm_up);

	const std::uint64_t start = ticks();

	ask(fd, type, rounds);
	return static_cast<double>(ticks() - start) / rounds;
}

/// Instructions of the whole machine for each byte that is sent to \p to.
double send_bulk(const char *to)
{
	const descriptor fd(connected(SOCK_STREAM, address_of(to, takes)));
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
		return must(device_.spawn_attached(image_, {.arguments = words,
							    .places = {{.network = if_nametoindex("web"),
									.ip4 = must(vmctl::parse_ip4(address))}}}));
	}
	/// Makes many.
	std::vector<std::uint64_t> create(std::uint32_t count, bool with_network, bool start = false)
	{
		vmctl::spawn_request request{.count = count, .start = start};

		if (with_network)
			request.places = {{.network = if_nametoindex("web")}};

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

/// Instructions from a guest's start to its end for each of what its last argument counts, when
/// it does only that: \p least of them, and three times as many.
double guest_does(guests &all, const char *what, const char *to, std::uint16_t port, std::uint64_t least)
{
	const auto took = [&](std::uint64_t count) {
		const std::uint64_t begin = ticks();
		const auto vm = all.start("10.9.1.1", {what, to, std::to_string(port), std::to_string(count)});

		// Whoever waits for this VM alone would be woken whenever it parks.
		while (must(vm.info()).state != vmctl::vm_state::ended)
			static_cast<void>(must(all.device().ends()));
		if (must(vm.info()).status != 0)
			bail_out(fmt::format("{} has failed", what));
		return static_cast<double>(ticks() - begin);
	};

	took(least / 10);
	return (took(3 * least) - took(least)) / static_cast<double>(2 * least);
}

double exits_for_each(const vmctl::vm &vm, int type)
{
	const descriptor fd(connected(type, address_of("10.9.0.2", answers)));

	ask(fd, type, warm_up);

	const auto before = must(vm.info()).exits;

	ask(fd, type, rounds);
	return static_cast<double>(must(vm.info()).exits - before) / rounds;
}

/// Exits for each packet that comes when all of many connections ask at once.
double exits_of_many(const vmctl::vm &vm)
{
	constexpr unsigned connections = 64, times = 20;
	std::vector<std::unique_ptr<descriptor>> fds;
	std::array<char, 64> bytes{};
	std::uint64_t before = 0;

	for (unsigned i = 0; i < connections; i++)
		fds.push_back(std::make_unique<descriptor>(connected(SOCK_STREAM, address_of("10.9.0.2", answers))));
	for (unsigned i = 0; i <= times; i++) {
		for (const auto &fd : fds)
			if (send(*fd, bytes.data(), 1, 0) != 1)
				die("send");
		for (const auto &fd : fds)
			if (recv(*fd, bytes.data(), bytes.size(), MSG_WAITALL) != bytes.size())
				die("an answer");
		if (i == 0)
			before = must(vm.info()).exits;
	}
	return static_cast<double>(must(vm.info()).exits - before) / (connections * times);
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

/// Instructions until each of many echoes listens.
double create_cold(guests &echo)
{
	constexpr std::uint32_t count = 1000;
	const auto keeper = echo.spawn("10.9.0.7", {});
	const auto parked = [&] { return must(echo.device().info()).parked; };
	const auto before = parked();
	const std::uint64_t start = ticks();
	const auto made = echo.create(count, true, true);

	while (parked() < before + count)
		sched_yield();

	const std::uint64_t took = ticks() - start;

	must(echo.device().control(vmctl::operation::kill, made));
	must(echo.device().control(vmctl::operation::remove, made));
	return static_cast<double>(took) / count;
}

void measure_peer(report &report, const char *key, const std::string &what, const char *to)
{
	const double tcp = request(SOCK_STREAM, to), udp = request(SOCK_DGRAM, to);

	report.note(fmt::format("udp_{}", key).c_str(), "UDP round trip, " + what, udp, "instructions");
	report.note(fmt::format("tcp_{}", key).c_str(), "TCP request, " + what, tcp, "instructions");
	report.note(fmt::format("bulk_{}", key).c_str(), "bulk, " + what, send_bulk(to), "instructions a byte");
}

void measure_peers(report &report)
{
	shell("ip link add br0 type bridge && ip address add 10.8.0.1/24 dev br0 && ip link set br0 up");
	{
		const process local;

		measure_peer(report, "loopback", "process over loopback", "127.0.0.1");
	}
	{
		const name_space away("one", "10.8.0.2");
		const process there(away.path());

		measure_peer(report, "bridge", "process behind veth and bridge", "10.8.0.2");
	}
	{
		const name_space away("two", "10.8.0.3");
		const container there(away.path());

		measure_peer(report, "container", "container behind veth and bridge", "10.8.0.3");
	}
	shell("ip link delete br0");
}

void measure_requests(report &report, guests &all)
{
	const char *const address = "10.9.0.2";
	const auto vm = all.spawn(address, {"answer", std::to_string(answers)});

	report.limit("udp", "UDP round trip, VM", request(SOCK_DGRAM, address), 23200, "instructions");
	report.limit("tcp", "TCP request, VM", request(SOCK_STREAM, address), 27800, "instructions");
	report.limit("exits", "exits a TCP request", exits_for_each(vm, SOCK_STREAM), 1.01, "");
	report.limit("udp_exits", "exits a UDP round trip", exits_for_each(vm, SOCK_DGRAM), 1.01, "");
	report.limit("exits_of_64", "exits a packet of 64 connections", exits_of_many(vm), 0.125, "");
	report.note("vm_udp", "UDP round trip, VM to VM", guest_does(all, "ask-udp", address, answers, 1000),
		    "instructions");
	report.limit("vm_tcp", "TCP request, VM to VM", guest_does(all, "ask", address, answers, 1000), 18600,
		     "instructions");
}

void measure_bulk(report &report, guests &all)
{
	const std::vector<std::string> drain{"drain", std::to_string(takes)};
	const char *const address = "10.9.0.2";
	const char *const unit = "instructions a byte";
	{
		const auto vm = all.spawn(address, drain);

		report.limit("bulk", "bulk, host to VM", send_bulk(address), 0.755, unit);
	}
	{
		const process local;
		const descriptor there(connected(SOCK_STREAM, address_of("127.0.0.1", answers)));

		report.note("bulk_out", "bulk, VM to host", guest_does(all, "copy", "10.9.0.1", takes, bulk / 4), unit);
		report.note("bulk_out_reference", "bulk by reference, VM to host",
			    guest_does(all, "give", "10.9.0.1", takes, bulk / 4), unit);
	}
	const auto vm = all.spawn(address, drain);

	report.note("bulk_inside", "bulk, VM to VM", guest_does(all, "copy", address, takes, bulk / 4), unit);
	report.note("bulk_inside_reference", "bulk by reference, VM to VM",
		    guest_does(all, "give", address, takes, bulk / 4), unit);
}

}

int main(int argc, char **argv)
{
	const bool json = argc == 4 && std::string_view(argv[1]) == "--json";

	if (argc == 2 && std::string_view(argv[1]) == "serve")
		serve();
	if (argc != 3 && !json) {
		std::fprintf(stderr, "usage: net [--json] NET-GUEST ECHO\n       net serve\n");
		return 2;
	}
	check_clock();

	vmctl::posix_system system;
	vmctl::device device = must(vmctl::device::open(system));
	guests all(device, argv[argc - 2], system);
	report report(json);

	shell("ip link set lo up && ip link add web type mayfly && ip address add 10.9.0.1/16 dev web && "
	      "ip link set web up");
	measure_peers(report);
	measure_requests(report, all);
	measure_bulk(report, all);
	spawn_costs(all, true);

	const double without = spawn_costs(all, false);

	report.limit("attach", "a place on a network, of SPAWN", spawn_costs(all, true) - without, 3000,
		     "instructions");

	guests echo(device, argv[argc - 1], system);

	report.limit("create_cold", "echo, from SPAWN until it listens", create_cold(echo), 33600, "instructions");
	measure_idle(report, echo);
	return report.end();
}
