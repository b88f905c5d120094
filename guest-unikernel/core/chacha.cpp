// SPDX-License-Identifier: BSD-2-Clause
//
// ChaCha20, written from RFC 8439. Distributions have it in libraries that want an
// operating system below them, and code built with a red zone.

#include "chacha.hpp"

#include <bit>

namespace
{

constexpr unsigned double_rounds = 10;

// Each word by name: a loop over indices takes twice the instructions.
[[gnu::always_inline]] inline void quarter_round(std::uint32_t &a, std::uint32_t &b, std::uint32_t &c, std::uint32_t &d)
{
	a += b;
	d = std::rotl(d ^ a, 16);
	c += d;
	b = std::rotl(b ^ c, 12);
	a += b;
	d = std::rotl(d ^ a, 8);
	c += d;
	b = std::rotl(b ^ c, 7);
}

[[gnu::always_inline]] inline void double_round(chacha_block &x)
{
	quarter_round(x[0], x[4], x[8], x[12]);
	quarter_round(x[1], x[5], x[9], x[13]);
	quarter_round(x[2], x[6], x[10], x[14]);
	quarter_round(x[3], x[7], x[11], x[15]);
	quarter_round(x[0], x[5], x[10], x[15]);
	quarter_round(x[1], x[6], x[11], x[12]);
	quarter_round(x[2], x[7], x[8], x[13]);
	quarter_round(x[3], x[4], x[9], x[14]);
}

}

chacha_block chacha20(const chacha_key &key, std::uint32_t counter)
{
	chacha_block first = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}; // "expand 32-byte k"

	for (unsigned i = 0; i < key.size(); ++i)
		first[4 + i] = key[i];
	first[12] = counter;

	auto block = first;
	for (unsigned i = 0; i < double_rounds; ++i)
		double_round(block);
	for (unsigned i = 0; i < block.size(); ++i)
		block[i] += first[i];
	return block;
}
