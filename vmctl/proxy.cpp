// SPDX-License-Identifier: Apache-2.0
#include "proxy.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <sys/resource.h>

#include "port_socket.hpp"
#include "tcp_proxy.hpp"
#include "udp_proxy.hpp"

namespace vmctl::cli
{

namespace
{

// A thread that takes no signals: they are for those who wait for the VM.
std::thread start_thread(auto work)
{
	sigset_t all, before;

	sigfillset(&all);
	::pthread_sigmask(SIG_SETMASK, &all, &before);
	try {
		std::thread made(work);

		::pthread_sigmask(SIG_SETMASK, &before, nullptr);
		return made;
	} catch (...) {
		::pthread_sigmask(SIG_SETMASK, &before, nullptr);
		throw;
	}
}

} // namespace

proxy_limits proxy_limits::of_this_process()
{
	// For the VM, its image and ourselves; and what nobody needs.
	constexpr rlim_t others = 64, least = 16, most = 8192;
	rlimit files{};

	::getrlimit(RLIMIT_NOFILE, &files);

	const std::size_t rest = std::clamp(files.rlim_cur, others + least, others + most) - others;

	return {.connections = rest * 3 / 8, .peers = std::min<std::size_t>(rest / 4, 1024)};
}

class proxy::worker
{
public:
	explicit worker(system &calls) : loop_(calls) {}

	result<void> open(system &calls, std::span<const port_pair> ports)
	{
		for (const port_pair &one : ports)
			doors_.push_back({VMCTL_TRY(open_port(calls, one)), one});
		if (!loop_.is_open())
			return fail(EMFILE, "a proxy wants two descriptors more");
		return {};
	}

	result<void> start(std::uint32_t ip4, const proxy_limits &limits)
	{
		for (door &one : doors_)
			if (!lead(one, ip4, limits))
				return fail(ENOMEM, "no memory for a proxy");
		try {
			thread_ = start_thread([this, most = limits.end] { loop_.run(most); });
		} catch (const std::system_error &wrong) {
			return fail(wrong.code().value(), std::string("a thread for a proxy: ") + wrong.what());
		}
		return {};
	}

	~worker()
	{
		if (thread_.joinable()) {
			loop_.end();
			thread_.join();
		}
	}

private:
	// A port and its socket.
	struct door {
		descriptor socket;
		port_pair ports;
	};

	bool lead(door &one, std::uint32_t ip4, const proxy_limits &limits)
	{
		const sockaddr_in to{.sin_family = AF_INET,
				     .sin_port = htons(one.ports.inside),
				     .sin_addr = {htonl(ip4)},
				     .sin_zero = {}};

		if (one.ports.udp)
			return add(std::make_unique<udp_proxy>(
				loop_, std::move(one.socket),
				udp_target{.address = to, .most = part_of(limits.peers), .quiet = limits.quiet}));
		return add(std::make_unique<tcp_proxy>(loop_, std::move(one.socket),
						       tcp_target{.address = to,
								  .most = part_of(limits.connections),
								  .starts_until = event_loop::clock::now() +
										  limits.start}));
	}

	[[nodiscard]] std::size_t part_of(std::size_t all) const
	{
		return std::max<std::size_t>(all / doors_.size(), 1);
	}

	bool add(auto made)
	{
		const bool works = made->start();

		loop_.add(std::move(made));
		return works;
	}

	event_loop loop_;
	std::vector<door> doors_;
	std::thread thread_;
};

proxy::proxy(std::unique_ptr<worker> made) : worker_(std::move(made)) {}
proxy::proxy(proxy &&) noexcept = default;
proxy::~proxy() = default;

result<proxy> proxy::open(system &calls, std::span<const port_pair> ports)
{
	auto made = std::make_unique<worker>(calls);

	VMCTL_TRY(made->open(calls, ports));
	return proxy(std::move(made));
}

result<void> proxy::start(std::uint32_t ip4, const proxy_limits &limits)
{
	return worker_->start(ip4, limits);
}

} // namespace vmctl::cli
