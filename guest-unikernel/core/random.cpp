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

// So that it is written, though nobody reads it.
template <class T> void wipe(T &secret)
{
	secret.fill(0);
	asm volatile("" : : "r"(secret.data()) : "memory");
}

// The key stream: its beginning is the next key, what follows is drawn.
void draw(std::span<std::byte> bytes)
{
	auto key = generator.key;
	auto block = chacha20(key, 0);
	auto rest = std::as_bytes(std::span(block).subspan(key.size()));
	std::ranges::copy_n(block.begin(), key.size(), generator.key.begin());

	for (std::uint32_t counter = 1;; ++counter) {
		const auto length = std::min(bytes.size(), rest.size());
		memcpy(bytes.data(), rest.data(), length);
		bytes = bytes.subspan(length);
		if (bytes.empty())
			break;
		block = chacha20(key, counter);
		rest = std::as_bytes(std::span(block));
	}
	wipe(key);
	wipe(block);
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
