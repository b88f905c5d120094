// SPDX-License-Identifier: Apache-2.0
// Ports of this host that lead to a VM as long as this process lives, and no longer.
#pragma once

#include <chrono>
#include <memory>
#include <span>

#include "firewall.hpp"

namespace vmctl::cli
{

// What one may hold and for how long, whoever asks.
struct proxy_limits {
	// Of all ports, in equal parts. Each connection takes two descriptors.
	std::size_t connections = 0, peers = 0;
	// A VM that has just been made refuses what its guest will take.
	std::chrono::milliseconds start{10'000};
	// Of datagrams: after that a peer is another.
	std::chrono::milliseconds quiet{90'000};
	// For what a guest has sent before it ended.
	std::chrono::milliseconds end{2'000};

	// So many that this process keeps descriptors for others.
	static proxy_limits of_this_process();
};

class proxy
{
public:
	// Takes these ports, in the caller's network namespace. See open_port().
	static result<proxy> open(system &calls, std::span<const port_pair> ports);

	proxy(proxy &&) noexcept;
	proxy &operator=(proxy &&) = delete;
	~proxy();

	// From now on they lead there, by a thread of its own in the network namespace that the
	// caller is in now. EAGAIN, ENOMEM.
	result<void> start(std::uint32_t ip4, const proxy_limits &limits = proxy_limits::of_this_process());

private:
	class worker;

	explicit proxy(std::unique_ptr<worker> made);

	std::unique_ptr<worker> worker_;
};

} // namespace vmctl::cli
