// SPDX-License-Identifier: BSD-2-Clause
//
// ChaCha20, written from RFC 8439. Distributions have it in libraries that want an
// operating system below them, and code built with a red zone.

#include "chacha.hpp"

#include <bit>

namespace
{

constexpr unsigned double_rounds = 10;

void quarter_round(chacha_block &x, unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = std::rotl(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = std::rotl(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = std::rotl(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = std::rotl(x[b] ^ x[c], 7);
}

void double_round(chacha_block &x)
{
	for (unsigned i = 0; i < 4; ++i)
		quarter_round(x, i, 4 + i, 8 + i, 12 + i);
	for (unsigned i = 0; i < 4; ++i)
		quarter_round(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
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
