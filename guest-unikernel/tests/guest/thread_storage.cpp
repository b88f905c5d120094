// SPDX-License-Identifier: BSD-2-Clause
//
// Thread storage of the only thread: values, zeros, alignment, constructors and
// destructors. Nothing of it may be in memory that is somebody else's.

#include "trials.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <mayfly/console.hpp>
#include <mayfly/memory.hpp>

extern "C" const char image_start[], image_end[];
extern "C" __thread unsigned char of_c[24];

namespace
{

constexpr std::uint64_t page_table = 0x10000; // where libvmctl puts it

thread_local int value = 42;
__thread long zeros[100];
alignas(512) thread_local unsigned char wide[700];
alignas(8192) thread_local unsigned char wider[1] = {7};

struct tracked {
	const char *name;

	explicit tracked(const char *its_name) : name(its_name) { mayfly::print("made %s\n", name); }
	tracked(const tracked &) = delete;
	~tracked() { mayfly::print("gone %s\n", name); }
};

thread_local const tracked first("first");

std::uint64_t sum_of_page_table()
{
	const auto *entries = mayfly::at_gpa<const volatile std::uint64_t>(page_table);
	std::uint64_t sum = 0;

	for (std::size_t i = 0; i < mayfly::page_size / sizeof *entries; ++i)
		sum = sum * 31 + entries[i];
	return sum;
}

template <typename T> bool is_aligned_and_ours(const T &object, std::size_t align)
{
	const auto address = reinterpret_cast<std::uintptr_t>(&object);
	const auto *begin = reinterpret_cast<const char *>(&object);

	return address % align == 0 && begin >= image_start && begin + sizeof object <= image_end;
}

void show(const char *what, bool good)
{
	mayfly::print("%s %s\n", good ? "ok" : "FAIL", what);
}

}

void use_thread_storage()
{
	const auto before = sum_of_page_table();
	const auto is_zero = [](auto x) { return x == 0; };

	show("values", value == 42 && wider[0] == 7 && of_c[0] == 'a' && of_c[23] == 'x');
	show("zeros", std::all_of(zeros, std::end(zeros), is_zero) && std::all_of(wide, std::end(wide), is_zero));
	show("places", is_aligned_and_ours(value, 4) && is_aligned_and_ours(zeros, 8) &&
			       is_aligned_and_ours(wide, 512) && is_aligned_and_ours(wider, 8192) &&
			       is_aligned_and_ours(of_c, 1));

	value = 1;
	std::fill(zeros, std::end(zeros), 2);
	std::fill(wide, std::end(wide), static_cast<unsigned char>(3));
	wider[0] = 4;
	std::fill(of_c, std::end(of_c), static_cast<unsigned char>(5));
	show("writes", value == 1 && zeros[0] == 2 && zeros[99] == 2 && wide[0] == 3 && wide[699] == 3 &&
			       wider[0] == 4 && of_c[0] == 5 && of_c[23] == 5);
	show("page table", sum_of_page_table() == before);

	const thread_local tracked second("second");
	mayfly::print("used %s, %s\n", second.name, first.name);
	static const tracked last("static"); // outlives all thread storage
}
