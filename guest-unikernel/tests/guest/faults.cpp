// SPDX-License-Identifier: BSD-2-Clause
//
// Faults of a program that has no catch_fault() anywhere: it must not link that in.

#include "trials.hpp"

#include <cstdint>

void read_null()
{
	std::uint64_t address = 0;

	asm volatile("" : "+r"(address)); // the compiler must not know
	*reinterpret_cast<volatile char *>(address);
}

void divide_by_zero()
{
	asm volatile("div %%ecx" : : "a"(1), "c"(0), "d"(0));
}
