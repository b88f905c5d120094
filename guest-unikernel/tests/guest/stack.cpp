// SPDX-License-Identifier: BSD-2-Clause
//
// Frames that are larger than the stack: what is behind its guard must not change.

#include "trials.hpp"

#include <cstddef>
#include <mayfly/console.hpp>

namespace
{

// Writes the end of @size bytes of stack, which is the lowest, and nothing else.
[[gnu::noinline]] void reach(std::size_t size)
{
	auto *lowest = static_cast<volatile char *>(__builtin_alloca(size));

	*lowest = 1;
	mayfly::print("wrote %d frame\n", *lowest);
}

template <std::size_t size> [[gnu::noinline]] void reach_in_frame()
{
	volatile char frame[size];

	frame[0] = 1;
	mayfly::print("wrote %d frame\n", frame[0]);
}

}

void use_stack()
{
	volatile std::size_t size = 40 << 10;

	reach(size);
	reach_in_frame<40 << 10>();
}

void overflow_below_image()
{
	volatile std::size_t size = 300 << 10;

	reach(size);
}

void overflow_into_tables()
{
	volatile std::size_t size = 1028 << 10;

	reach(size);
}

void overflow_in_frame()
{
	reach_in_frame<300 << 10>();
}
