// SPDX-License-Identifier: BSD-2-Clause
//
// Memory comes zeroed, data as the image has it, and can be given back.

#include "check.hpp"

#include <algorithm>
#include <cstdint>
#include <mayfly/memory.hpp>
#include <mayfly/vm.hpp>
#include <memory>
#include <span>
#include <stdlib.h>

extern "C" const char image_end[];

namespace
{

constexpr std::size_t words_per_page = mayfly::page_size / sizeof(std::uint64_t);

std::uint64_t untouched_bss[2 * words_per_page];
alignas(mayfly::page_size) constinit std::uint64_t page_of_image[words_per_page] = {42};

// Its address is what asm "changes": the compiler must look at the memory.
bool is_zero(const std::uint64_t *words, std::size_t count)
{
	asm volatile("" : "+r"(words) : : "memory");
	return std::all_of(words, words + count, [](std::uint64_t word) { return word == 0; });
}

bool page_is_zero(std::uint64_t gpa)
{
	return is_zero(mayfly::at_gpa<std::uint64_t>(gpa), words_per_page);
}

// At most 256 pages, evenly spread from @begin to @end.
bool pages_are_zero(std::uint64_t begin, std::uint64_t end)
{
	const auto pages = (end - begin) / mayfly::page_size;
	const auto step = std::max<std::uint64_t>(pages / 256, 1);

	for (std::uint64_t page = 0; page < pages; page += step)
		if (!page_is_zero(begin + page * mayfly::page_size))
			return false;
	return true;
}

void check_heap()
{
	auto *first = static_cast<unsigned char *>(malloc(1000));
	auto *second = static_cast<unsigned char *>(malloc(100'000));
	check(first != nullptr && second != nullptr && first + 1000 <= second, "malloc");
	std::fill_n(first, 1000, static_cast<unsigned char>(0x5a));
	first = static_cast<unsigned char *>(realloc(first, 5000));
	check(first != nullptr && std::all_of(first, first + 1000, [](auto c) { return c == 0x5a; }),
	      "realloc keeps what was there");
	free(first);
	free(second);
	check(malloc(mayfly::memory_bytes()) == nullptr, "malloc of all memory is refused");

	struct alignas(256) wide {
		char bytes[256];
	};
	const std::unique_ptr<wide> object(new wide);
	check(reinterpret_cast<std::uint64_t>(object.get()) % 256 == 0, "new aligns");
}

void check_discard()
{
	constexpr std::size_t pages = 3;
	auto *memory = static_cast<std::uint64_t *>(aligned_alloc(mayfly::page_size, pages * mayfly::page_size));

	std::fill_n(memory, pages * words_per_page, ~std::uint64_t{0});
	check_equal(static_cast<unsigned long>(mayfly::discard(memory, pages)), 0, "discard");
	check(is_zero(memory, pages * words_per_page), "discarded pages read as zero");
	memory[0] = 7;
	asm volatile("" : : : "memory");
	check_equal(memory[0], 7, "a discarded page can be written again");
	free(memory);

	page_of_image[0] = 43;
	check_equal(static_cast<unsigned long>(mayfly::discard(page_of_image, 1)), 0, "discard of a page of the image");
	asm volatile("" : : : "memory");
	check_equal(page_of_image[0], 42, "it reads as in the image again");
}

}

void check_memory()
{
	const auto end = mayfly::memory_bytes();

	check(is_zero(untouched_bss, std::size(untouched_bss)), ".bss is zero");
	check_equal(page_of_image[0], 42, ".data is as in the image");
	check(pages_are_zero(mayfly::gpa_of(image_end), end), "fresh memory is zero");
	check(page_is_zero(end - mayfly::page_size), "the last page is zero");
	auto *last = mayfly::at_gpa<volatile std::uint64_t>(end - sizeof(std::uint64_t));
	*last = 99;
	check_equal(*last, 99, "the last word can be written");
	check_heap();
	check_discard();
}
