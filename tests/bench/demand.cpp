// SPDX-License-Identifier: Apache-2.0
//
// demand [--json] ECHO: VMs that are made when a packet comes, as in figure 16b of the LightVM
// paper: 1,000 clients, each at an address of its own, arrive at fixed times whatever becomes of
// those before them. And what one costs from its first packet to the answer, in instructions of the
// whole machine, beside the image's own boot, and beside a process that systemd-socket-activate
// starts for each connection.
// Prints TAP. Means something only under `nested-host --icount`; see docs/benchmarks.md. The limit is what
// was measured and 5 %.

#include <array>
#include <csignal>
#include <fstream>
#include <poll.h>
#include <string_view>
#include <vector>

#include "net_peers.hpp"

#include <vmctl/vmctl.hpp>

using namespace bench;

namespace
{

constexpr std::uint16_t echo_port = 7, activated_port = 7007;
constexpr std::uint32_t base = 0x0a091000; // 10.9.16.0/20
constexpr std::uint32_t births = 200;      // fewer than a burst

/// The echo service of VMs on the network `web`, 10.9.0.0/16, that packets make.
class service final
{
public:
	service(vmctl::device &to, const char *file, vmctl::system &calls)
		: device_(to), image_(must(to.load_image(must(calls.read_file(file, 1 << 20)), "echo")))
	{
	}
	void offer(std::chrono::milliseconds idle) const
	{
		must(device_.make_on_demand(image_, {.places = {{.network = if_nametoindex("web")}}},
					    {.first = base, .last = base + 0xfff, .idle = idle}));
	}
	vmctl::demand_info row() const { return must(device_.demands()).at(0); }
	void withdraw() const
	{
		must(device_.remove_demand(row().id));

		std::vector<std::uint64_t> ids;

		for (const auto &one : must(device_.list()))
			ids.push_back(one.id);
		must(device_.control(vmctl::operation::kill, ids));
		while (must(device_.info()).vms != 0)
			usleep(10'000);
		// The bucket of births is full again.
		sleep(1);
	}

	/// Instructions until each of many listens, that are made by one call.
	double boot() const
	{
		const auto keeper = spawn_one();
		const std::uint64_t before = parked(), start = ticks();
		const auto made = device_.spawn(image_, request(births));

		while (parked() < before + births)
			sched_yield();

		const std::uint64_t took = ticks() - start;

		if (made.failure)
			bail_out(made.failure->what);
		must(device_.control(vmctl::operation::kill, made.ids));
		must(device_.control(vmctl::operation::remove, made.ids));
		return static_cast<double>(took) / births;
	}

private:
	std::uint64_t parked() const { return must(device_.info()).parked; }
	vmctl::vm spawn_one() const
	{
		const std::uint64_t before = parked();
		auto made = must(device_.spawn_attached(image_, request(1)));

		while (parked() == before)
			sched_yield();
		return made;
	}
	static vmctl::spawn_request request(std::uint32_t count)
	{
		return {.count = count, .places = {{.network = if_nametoindex("web")}}};
	}

	vmctl::device &device_;
	vmctl::image image_;
};

sockaddr_in address_at(std::uint32_t number)
{
	sockaddr_in address{};

	address.sin_family = AF_INET;
	address.sin_port = htons(echo_port);
	address.sin_addr.s_addr = htonl(base + 1 + number);
	return address;
}

/// Instructions from a datagram to its answer, of most of many addresses.
double ask_by_udp()
{
	std::array<char, 32> bytes{};
	std::vector<double> took;

	for (std::uint32_t i = 0; i < births; i++) {
		const descriptor fd(socket(AF_INET, SOCK_DGRAM, 0));
		const sockaddr_in to = address_at(i);

		if (connect(fd, reinterpret_cast<const sockaddr *>(&to), sizeof to) != 0)
			die("connect");

		const std::uint64_t start = ticks();

		if (send(fd, bytes.data(), bytes.size(), 0) != ssize_t{bytes.size()} ||
		    recv(fd, bytes.data(), bytes.size(), 0) != ssize_t{bytes.size()})
			die("an answer");
		took.push_back(static_cast<double>(ticks() - start));
	}
	return median(took);
}

/// The same from SYN to the first byte that comes back.
double ask_by_tcp(auto address)
{
	std::vector<double> took;

	for (std::uint32_t i = 0; i < births; i++) {
		const descriptor fd(socket(AF_INET, SOCK_STREAM, 0));
		const sockaddr_in to = address(i);
		const std::uint64_t start = ticks();
		char byte = 'x';

		if (connect(fd, reinterpret_cast<const sockaddr *>(&to), sizeof to) != 0 ||
		    send(fd, &byte, 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1)
			die("an answer by TCP");
		took.push_back(static_cast<double>(ticks() - start));
	}
	return median(took);
}

/// A process for each connection to activated_port, which is `cat`.
class activated final
{
public:
	activated() : pid_(fork())
	{
		if (pid_ < 0)
			die("fork");
		if (pid_ == 0) {
			// It says much of each.
			const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

			dup2(nothing, STDOUT_FILENO);
			dup2(nothing, STDERR_FILENO);
			execlp("systemd-socket-activate", "systemd-socket-activate", "--inetd", "--accept", "-l",
			       "7007", "/bin/cat", nullptr);
			die("systemd-socket-activate");
		}
		const descriptor first(connected(SOCK_STREAM, address_of("127.0.0.1", activated_port)));
	}
	~activated()
	{
		kill(pid_, SIGKILL);
		waitpid(pid_, nullptr, 0);
	}
	activated(const activated &) = delete;
	activated &operator=(const activated &) = delete;

private:
	pid_t pid_;
};

/// Clients that arrive every \p period nanoseconds, each at its own address, and what they wait for
/// the answer.
class open_loop final
{
public:
	static constexpr std::uint32_t clients = 1000;

	explicit open_loop(std::uint64_t period) : period_(period), sent_(clients), took_(clients, 0) {}

	void run()
	{
		const std::uint64_t begin = ticks();

		while (next_ < clients) {
			const std::uint64_t due = begin + next_ * period_, now = ticks();

			if (now >= due)
				send_one();
			else
				receive(due - now);
		}
		// A datagram that is lost never comes.
		for (const std::uint64_t end = ticks() + patience; answered_ < clients && ticks() < end;)
			receive(patience / 10);
	}
	std::uint32_t answered() const { return answered_; }
	/// So many of a thousand clients have waited no longer.
	double quantile(std::uint32_t permille) const
	{
		std::vector<std::uint64_t> all = took_;

		std::ranges::sort(all);
		return static_cast<double>(all[std::min(clients * permille / 1000, clients - 1)]) / 1e6;
	}

private:
	static constexpr std::uint64_t patience = 5'000'000'000;

	void send_one()
	{
		const sockaddr_in to = address_at(next_);

		sent_[next_] = ticks();
		if (sendto(fd_, "x", 1, 0, reinterpret_cast<const sockaddr *>(&to), sizeof to) != 1)
			die("sendto");
		next_++;
	}
	void receive(std::uint64_t most)
	{
		pollfd poll{.fd = fd_, .events = POLLIN, .revents = 0};
		const timespec wait{.tv_sec = static_cast<time_t>(most / 1'000'000'000),
				    .tv_nsec = static_cast<long>(most % 1'000'000'000)};
		sockaddr_in from{};
		socklen_t size = sizeof from;
		char byte;

		if (ppoll(&poll, 1, &wait, nullptr) != 1 ||
		    recvfrom(fd_, &byte, 1, 0, reinterpret_cast<sockaddr *>(&from), &size) != 1)
			return;

		const std::uint32_t number = ntohl(from.sin_addr.s_addr) - base - 1;

		if (number < clients && took_[number] == 0) {
			took_[number] = ticks() - sent_[number];
			answered_++;
		}
	}

	descriptor fd_{socket(AF_INET, SOCK_DGRAM, 0)};
	std::uint64_t period_;
	std::uint32_t next_ = 0, answered_ = 0;
	std::vector<std::uint64_t> sent_, took_;
};

void measure_arrivals(report &report, const service &of, unsigned milliseconds)
{
	using namespace std::chrono_literals;

	of.offer(2s);

	open_loop loop(milliseconds * 1'000'000ull);

	loop.run();
	report.check(loop.answered() == open_loop::clients,
		     fmt::format("a client every {} ms: {} of {} are answered", milliseconds, loop.answered(),
				 open_loop::clients));
	for (const std::uint32_t permille : {100u, 250u, 500u, 750u, 900u, 990u, 1000u})
		report.note(fmt::format("every_{}ms_{}", milliseconds, permille).c_str(),
			    fmt::format("a client every {} ms: {:g} % have their answer within", milliseconds,
					permille / 10.0),
			    loop.quantile(permille), "million instructions");
	of.withdraw();
}

void measure_costs(report &report, const service &of)
{
	const double boot = of.boot();

	report.note("boot", "echo, from SPAWN until it listens, each of many", boot, "instructions");
	of.offer(std::chrono::milliseconds(0));

	const double udp = ask_by_udp();

	of.withdraw();
	report.note("udp", "echo on demand, from a datagram to its answer", udp, "instructions");
	// 1.5 was aimed at.
	report.limit("ratio", "the same, in boots", udp / boot, 2.1, "");
	of.offer(std::chrono::milliseconds(0));

	const double tcp = ask_by_tcp(address_at);

	of.withdraw();
	report.note("tcp", "echo on demand, from SYN to the first byte", tcp, "instructions");
}

/// Nanoseconds that the CPU has been idle: programs are read from the emulator's host.
double idle_ns()
{
	std::ifstream file("/proc/uptime");
	double since_boot = 0, idle = 0;

	file >> since_boot >> idle;
	return idle * 1e9;
}

/// What all of that takes, for each connection, without the idle time.
void measure_peer(report &report)
{
	const activated there;
	const double idle = idle_ns();
	const std::uint64_t start = ticks();

	ask_by_tcp([](std::uint32_t) { return address_of("127.0.0.1", activated_port); });
	report.note("activated", "cat by systemd-socket-activate, a connection",
		    (static_cast<double>(ticks() - start) - (idle_ns() - idle)) / births, "instructions");
}

}

int main(int argc, char **argv)
{
	const bool json = argc == 3 && std::string_view(argv[1]) == "--json";

	if (argc != 2 && !json) {
		std::fprintf(stderr, "usage: demand [--json] ECHO\n");
		return 2;
	}
	check_clock();

	vmctl::posix_system system;
	vmctl::device device = must(vmctl::device::open(system));
	const service of(device, argv[argc - 1], system);
	report report(json);

	shell("ip link set lo up && ip link add web type mayfly && ip address add 10.9.0.1/16 dev web && "
	      "ip link set web up");
	measure_costs(report, of);
	measure_peer(report);
	for (const unsigned milliseconds : {10u, 25u, 50u, 100u})
		measure_arrivals(report, of, milliseconds);
	return report.end();
}
