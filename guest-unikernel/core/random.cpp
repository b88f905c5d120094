// SPDX-License-Identifier: BSD-2-Clause
//
// The generator: every call replaces its key, so that what was drawn before cannot be
// computed from a later state; every generation of the VM mixes a new seed into it.

#include "chacha.hpp"

#include <algorithm>
#include <cstring>
#include <mayfly/random.hpp>
#include <mayfly/vm.hpp>

namespace
{

struct {
	chacha_key key;
	std::uint64_t generation; // whose seed is in the key; no VM's is 0
} generator;

void mix_seed(std::uint64_t generation)
{
	chacha_key seed;
	static_assert(sizeof seed == MAYFLY_SEED_SIZE);

	const auto bytes = mayfly::seed();
	std::ranges::copy(bytes, reinterpret_cast<std::uint8_t *>(seed.data()));
	for (unsigned i = 0; i < seed.size(); ++i)
		generator.key[i] ^= seed[i];
	generator.generation = generation;
}

// The key stream: block 0 is the next key, the others are drawn.
void draw(std::span<std::byte> bytes)
{
	auto key = generator.key;
	const auto next = chacha20(key, 0);
	std::ranges::copy_n(next.begin(), key.size(), generator.key.begin());

	for (std::uint32_t counter = 1; !bytes.empty(); ++counter) {
		const auto block = chacha20(key, counter);
		const auto length = std::min(bytes.size(), sizeof block);
		memcpy(bytes.data(), block.data(), length);
		bytes = bytes.subspan(length);
	}
	key.fill(0);
	asm volatile("" : : "r"(key.data()) : "memory"); // it is written, though nobody reads it
}

}

// A snapshot may be taken in between: then the clone draws again.
void mayfly::fill_random(std::span<std::byte> bytes)
{
	do {
		if (const auto now = generation(); now != generator.generation)
			mix_seed(now);
		draw(bytes);
	} while (generation() != generator.generation);
}

std::uint64_t mayfly::random_number()
{
	std::uint64_t number;

	fill_random(std::as_writable_bytes(std::span(&number, 1)));
	return number;
}
