// SPDX-License-Identifier: BSD-2-Clause

#include "heap.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

namespace
{

class heap_test : public testing::Test
{
protected:
	static constexpr std::size_t size = 1 << 16;

	std::uintptr_t begin() const { return reinterpret_cast<std::uintptr_t>(memory_); }

	alignas(4096) unsigned char memory_[size] = {};
	heap heap_{begin(), begin() + size};
};

TEST_F(heap_test, touches_nothing_behind_its_top)
{
	heap_.allocate(100);
	ASSERT_LE(heap_.top(), begin() + 200);
	for (auto at = heap_.top(); at < begin() + size; ++at)
		ASSERT_EQ(*reinterpret_cast<unsigned char *>(at), 0);
}

TEST_F(heap_test, zero_bytes_are_a_block_of_their_own)
{
	auto *first = heap_.allocate(0);
	auto *second = heap_.allocate(0);
	EXPECT_NE(first, nullptr);
	EXPECT_NE(first, second);
	EXPECT_TRUE(heap_.free(first));
	EXPECT_TRUE(heap_.free(second));
}

TEST_F(heap_test, freed_memory_is_joined_and_used_again)
{
	std::vector<void *> blocks;
	while (auto *block = heap_.allocate(1000))
		blocks.push_back(block);
	EXPECT_GT(blocks.size(), 60u);
	for (std::size_t i = 0; i < blocks.size(); i += 2)
		EXPECT_TRUE(heap_.free(blocks[i]));
	EXPECT_EQ(heap_.allocate(2000), nullptr); // holes of 1000 only
	for (std::size_t i = 1; i < blocks.size(); i += 2)
		EXPECT_TRUE(heap_.free(blocks[i]));
	EXPECT_NE(heap_.allocate(60'000), nullptr);
}

TEST_F(heap_test, refuses_what_has_no_room)
{
	EXPECT_EQ(heap_.allocate(size), nullptr);
	EXPECT_EQ(heap_.allocate(SIZE_MAX), nullptr);
	EXPECT_EQ(heap_.allocate(SIZE_MAX - 15), nullptr);
	EXPECT_EQ(heap_.allocate(16, std::size_t{1} << 63), nullptr);
	EXPECT_NE(heap_.allocate(size - 16), nullptr);
	EXPECT_EQ(heap_.allocate(0), nullptr);
}

TEST_F(heap_test, aligns)
{
	for (std::size_t align = 1; align <= 4096; align *= 2) {
		auto *block = heap_.allocate(24, align);
		ASSERT_NE(block, nullptr);
		EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % align, 0u);
	}
}

TEST_F(heap_test, notices_a_second_free)
{
	auto *first = heap_.allocate(100);
	auto *second = heap_.allocate(100);
	auto *third = heap_.allocate(100);

	EXPECT_TRUE(heap_.free(second));
	EXPECT_FALSE(heap_.free(second));
	EXPECT_TRUE(heap_.free(first));
	EXPECT_FALSE(heap_.free(second));
	EXPECT_TRUE(heap_.free(third));
	EXPECT_FALSE(heap_.free(third));
}

TEST_F(heap_test, notices_an_overrun)
{
	auto *first = static_cast<unsigned char *>(heap_.allocate(32));
	auto *second = heap_.allocate(32);

	memset(first, 0xff, 48);
	EXPECT_FALSE(heap_.free(second));
}

// Blocks never overlap, and when all are free it is one piece again.
TEST_F(heap_test, random_use)
{
	std::mt19937 random(1);
	std::map<unsigned char *, std::pair<std::size_t, unsigned char>> blocks;
	const auto check_and_free = [&](auto entry) {
		const auto [bytes, fill] = entry->second;
		for (std::size_t i = 0; i < bytes; ++i)
			ASSERT_EQ(entry->first[i], fill);
		ASSERT_TRUE(heap_.free(entry->first));
		blocks.erase(entry);
	};

	for (int step = 0; step < 50'000; ++step) {
		const auto bytes = random() % 700;
		const auto align = std::size_t{1} << random() % 9;
		auto *block = static_cast<unsigned char *>(heap_.allocate(bytes, align));
		if (block == nullptr || random() % 3 == 0) {
			if (!blocks.empty())
				check_and_free(std::next(blocks.begin(), static_cast<long>(random() % blocks.size())));
		}
		if (block != nullptr) {
			ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % align, 0u);
			ASSERT_GE(heap::size_of(block), bytes);
			const auto fill = static_cast<unsigned char>(random());
			memset(block, fill, bytes);
			blocks[block] = {bytes, fill};
		}
	}
	while (!blocks.empty())
		check_and_free(blocks.begin());
	EXPECT_NE(heap_.allocate(heap_.top() - begin() - 16), nullptr);
}

}
