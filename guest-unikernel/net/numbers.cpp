// SPDX-License-Identifier: BSD-2-Clause
//
// Numbers that others must not guess.

#include "../core/chacha.hpp"
#include "lwip/hooks.h"

#include <mayfly/clock.hpp>
#include <mayfly/random.hpp>
#include <mayfly/vm.hpp>
#include <span>

namespace
{

constexpr std::uint64_t ns_per_tick = 4096; // RFC 6528: about 4 µs

struct {
	chacha_key secret;
	std::uint64_t generation; // that it was drawn in; no VM's is 0
} sequence;

void renew_secret()
{
	const auto now = mayfly::generation();

	if (sequence.generation == now)
		return;
	mayfly::fill_random(std::as_writable_bytes(std::span(sequence.secret)));
	sequence.generation = now;
}

}

extern "C" {

u32_t net_random()
{
	return static_cast<u32_t>(mayfly::random_number());
}

// The cipher's first block with a key that depends on the connection is a function of it that
// only those can compute who know the secret.
u32_t net_initial_sequence(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip, u16_t remote_port)
{
	renew_secret();
	auto key = sequence.secret;
	// Of IPv4 the other words are zero.
	for (unsigned i = 0; i < 4; ++i)
		key[i] ^= ip_2_ip6(remote_ip)->addr[i];
	for (unsigned i = 0; i < 3; ++i)
		key[4 + i] ^= ip_2_ip6(local_ip)->addr[i];
	key[7] ^= ip_2_ip6(local_ip)->addr[3] ^ (static_cast<u32_t>(local_port) << 16 | remote_port);
	return chacha20(key, 0)[0] + static_cast<u32_t>(mayfly::now_ns() / ns_per_tick);
}
}
