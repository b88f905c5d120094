// SPDX-License-Identifier: BSD-2-Clause

#include "heap.hpp"

#include <csignal>
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

TEST_F(heap_test, small_blocks_are_used_again_and_joined_when_room_is_wanted)
{
	std::vector<void *> blocks;
	while (auto *block = heap_.allocate(100))
		blocks.push_back(block);
	for (auto *block : blocks)
		EXPECT_TRUE(heap_.free(block));
	EXPECT_EQ(heap_.allocate(97), blocks[(4096 / 128) - 1]) << "the last that is kept apart";
	EXPECT_TRUE(heap_.free(blocks[(4096 / 128) - 1]));
	EXPECT_FALSE(heap_.free(blocks[0])) << "twice";
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

volatile std::size_t instructions;

// Instructions that @p body takes: the CPU traps after each.
template <typename F> std::size_t instructions_of(F body)
{
	constexpr unsigned long trap_flag = 0x100;

	struct sigaction count = {}, old;
	count.sa_handler = [](int) { instructions = instructions + 1; };
	sigaction(SIGTRAP, &count, &old);
	instructions = 0;
	asm volatile("pushfq; orq %0, (%%rsp); popfq" : : "i"(trap_flag) : "cc", "memory");
	body();
	asm volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~trap_flag) : "cc", "memory");
	sigaction(SIGTRAP, &old, nullptr);
	return instructions;
}

struct cost {
	std::size_t of_allocate, of_free;
};

// The most that calls cost among so many holes, of many sizes.
cost most_instructions(std::size_t holes)
{
	std::vector<unsigned char> memory(holes * 700 + 100'000);
	const auto begin = (reinterpret_cast<std::uintptr_t>(memory.data()) + 15) & ~std::uintptr_t{15};
	heap all(begin, begin + memory.size() / 16 * 16 - 16);
	std::mt19937 random(1);
	std::vector<void *> blocks;
	cost most = {};

	for (std::size_t i = 0; i < 2 * holes; ++i)
		blocks.push_back(all.allocate(random() % 300));
	for (std::size_t i = 0; i < 2 * holes; i += 2)
		EXPECT_TRUE(all.free(blocks[i]));
	for (std::size_t i = 1; i < 20; i += 2) {
		const auto size = 100 + random() % 200;
		most.of_free = std::max(most.of_free, instructions_of([&] { all.free(blocks[2 * holes - i]); }));
		most.of_allocate = std::max(most.of_allocate, instructions_of([&] { all.allocate(size); }));
	}
	return most;
}

// With a hundred times as many holes a call must not take nearly as many times as long.
TEST(heap_cost, many_holes_cost_little)
{
	const auto few = most_instructions(100);
	const auto many = most_instructions(10'000);

	EXPECT_GT(few.of_free, 20u);
	EXPECT_LT(many.of_allocate, 3 * few.of_allocate);
	EXPECT_LT(many.of_free, 3 * few.of_free);
}

}
