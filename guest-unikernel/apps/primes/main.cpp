// SPDX-License-Identifier: BSD-2-Clause
//
// primes [NUMBER…]: says which numbers are prime. The work is done before it is ready:
// a clone of the warm VM answers at once.
//
//	vmctl run --snapshot-when-ready warm primes
//	vmctl run warm -- 7919

#include <charconv>
#include <cstdint>
#include <mayfly/console.hpp>
#include <mayfly/ready.hpp>
#include <string_view>
#include <vector>

namespace
{

constexpr std::uint32_t limit = 1'000'000;

// Which numbers below the limit are composite: the sieve of Eratosthenes.
std::vector<bool> sieve()
{
	std::vector<bool> composite(limit);

	composite[0] = composite[1] = true;
	for (std::uint32_t n = 2; n * n < limit; ++n)
		if (!composite[n])
			for (std::uint32_t multiple = n * n; multiple < limit; multiple += n)
				composite[multiple] = true;
	return composite;
}

// Returns whether @p word was a number that it could answer for.
bool answer(const std::vector<bool> &composite, std::string_view word)
{
	std::uint32_t number = 0;
	const auto [end, error] = std::from_chars(word.begin(), word.end(), number);

	if (error != std::errc() || end != word.end() || number >= limit) {
		mayfly::print("%s: not a number below %u\n", word.data(), limit);
		return false;
	}
	mayfly::print("%u is %sprime\n", number, composite[number] ? "not " : "");
	return true;
}

}

int main()
{
	const auto composite = sieve();
	bool good = true;

	for (const auto word : mayfly::ready())
		good = answer(composite, word) && good;
	return good ? 0 : 1;
}
