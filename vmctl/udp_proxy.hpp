// SPDX-License-Identifier: Apache-2.0
// Datagrams that go on to a VM, and back to who sent them.
#pragma once

#include <array>
#include <compare>
#include <map>

#include <netinet/in.h>

#include "event_loop.hpp"

namespace vmctl::cli
{

struct udp_target {
	sockaddr_in address{};
	// Peers at a time. One more takes the place of who has been quiet for the longest time.
	std::size_t most = 0;
	// After that a peer is forgotten.
	event_loop::clock::duration quiet{};
};

// What comes to `socket`, which is bound and does not block. The VM sees a port for each peer.
class udp_proxy final : public event_loop::member
{
public:
	udp_proxy(event_loop &in, descriptor socket, const udp_target &to)
		: loop_(in), socket_(std::move(socket)), to_(to)
	{
	}

	// False without memory.
	[[nodiscard]] bool start();

	bool go_on(std::uint32_t events) override;

private:
	// In network order. An answer comes from the address that was asked.
	struct ends {
		in_addr_t peer = 0, here = 0;
		in_port_t port = 0;

		auto operator<=>(const ends &) const = default;
	};

	class peer;

	ssize_t receive(ends &from);
	void send(const ends &to, std::size_t size);
	peer *peer_of(const ends &from);
	peer *add_peer(const ends &from);
	void forget(peer &one);
	void forget_quiet();

	event_loop &loop_;
	descriptor socket_;
	const udp_target to_;
	std::map<ends, peer *> peers_;
	std::array<char, 65536> bytes_; // longer than any
};

} // namespace vmctl::cli
