// SPDX-License-Identifier: Apache-2.0
// TCP connections of this host's that go on to a VM.
#pragma once

#include <memory>

#include <netinet/in.h>

#include "event_loop.hpp"

namespace vmctl::cli
{

struct tcp_target {
	sockaddr_in address{};
	// Connections at a time. More wait until one has ended.
	std::size_t most = 0;
	// Until then a refusal is not the guest's answer: it has not come so far.
	event_loop::clock::time_point starts_until{};
};

// What comes to `socket`, which listens and does not block.
class tcp_proxy final : public event_loop::member
{
public:
	tcp_proxy(event_loop &in, descriptor socket, const tcp_target &to)
		: loop_(in), socket_(std::move(socket)), to_(to)
	{
	}

	// False without memory.
	[[nodiscard]] bool start() { return loop_.watch(socket_.fd(), *this, event_loop::reading); }

	bool go_on(std::uint32_t events) override;

private:
	[[nodiscard]] bool is_full() const { return static_cast<std::size_t>(seat_.use_count()) > to_.most; }

	event_loop &loop_;
	descriptor socket_;
	const tcp_target to_;
	std::shared_ptr<const char> seat_ = std::make_shared<const char>(); // each connection has a copy
};

} // namespace vmctl::cli
