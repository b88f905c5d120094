// SPDX-License-Identifier: Apache-2.0
//
// Chains of images: those that only one other needs become part of it.

#include <algorithm>
#include <array>
#include <random>

#include "snapshots.hpp"

namespace
{

using live::image_info;
using live::machine;
using live::page;
using live::snapshot;
using live::Snapshots;
using live::take_snapshot;

/// Writes a word of each \p step-th page of the range anew, as it is.
void rewrite(const machine &vm, std::uint64_t first, std::uint64_t pages, std::uint64_t step)
{
	std::array<std::byte, 8> word;

	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	for (std::uint64_t i = first; i < pages; i += step)
		for (const std::uint32_t direction : {0u, unsigned{MAYFLY_MEMORY_WRITE}})
			ASSERT_EQ(access_memory(vm.handle(), guests::range_gpa + i * page, word, direction), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
}

TEST_F(Snapshots, PeriodicOnesKeepWhatTheVmHasNow)
{
	// Small pages, and large ones of which parts are written anew.
	for (const auto &[pages, step] : {std::pair{4ull, 1ull}, {100ull, 3ull}, {1100ull, 16ull}}) {
		const machine vm = twin(pages, 64 << 20);
		const std::uint64_t whole = live::info(device).pages;

		for (std::uint64_t round = 0; round < 2 * step + 4; round++) {
			const live::fd image(take_snapshot(vm, "last", MAYFLY_SNAPSHOT_REPLACE));

			ASSERT_GE(image.get(), 0);
			rewrite(vm, round % step, pages, step);
			if (round % 8 == 0) {
				const machine clone(image, device, MAYFLY_SPAWN_START, 64 << 20);

				expect_answer(clone);
				expect_good_end(clone);
			}
			expect_answer(vm);
		}
		ASSERT_TRUE(live::eventually([&] { return live::info(device).images == 1; }));
		EXPECT_LE(live::info(device).pages, 2 * whole + 16);
		expect_answer(vm);
		{
			const live::fd last(take_snapshot(vm, "last", MAYFLY_SNAPSHOT_REPLACE));
			const machine clone(last, device, MAYFLY_SPAWN_START, 64 << 20);

			ASSERT_TRUE(live::eventually([&] { return live::info(device).images == 1; }));
			EXPECT_EQ(image_info(last).parent, 0u);
			EXPECT_LE(image_info(last).bytes, (whole + 16) * page) << "what it has now, and no more";
			expect_answer(clone);
			expect_good_end(clone);
			EXPECT_EQ(live::call<void>(last, MAYFLY_IMAGE_REMOVE, nullptr), 0);
		}
		expect_good_end(vm);
	}
	EXPECT_TRUE(live::eventually([&] { return live::info(device).images == 0; }));
}

/// In a chain of images those in the middle go in any order; clones of the others stay.
TEST_F(Snapshots, ChainsAreFoldedInAnyOrder)
{
	constexpr std::size_t length = 8;

	for (std::uint64_t seed = 1; seed <= live::many(6); seed++) {
		std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
		const machine vm = twin(700, 64 << 20);
		std::vector<live::fd> images;
		std::vector<machine> clones;

		for (std::size_t i = 0; i < length; i++) {
			images.push_back(snapshot(vm));
			rewrite(vm, random() % 8, 700, 8 + random() % 64);
			if (random() % 3 == 0)
				clones.emplace_back(images.back(), device, MAYFLY_SPAWN_START, 64 << 20);
		}
		std::shuffle(images.begin(), images.end(), random);
		while (!images.empty()) {
			images.pop_back();
			for (const machine &clone : clones)
				expect_answer(clone);
			expect_answer(vm);
		}
		for (const machine &clone : clones)
			expect_good_end(clone);
		clones.clear();
		EXPECT_TRUE(live::eventually([&] { return live::info(device).images == 1; }));
		expect_answer(vm);
		expect_good_end(vm);
	}
}

/// Nobody else's bill grows.
TEST_F(Snapshots, WhatAnotherUserPaysForIsNotFolded)
{
	const machine vm = twin(16);
	live::fd mine = snapshot(vm);

	ASSERT_EQ(seteuid(65534), 0);
	const live::fd taken(take_snapshot(vm));
	ASSERT_EQ(seteuid(0), 0);

	ASSERT_GE(taken.get(), 0);
	EXPECT_NE(image_info(taken).uid, image_info(mine).uid);

	const std::uint64_t parent = image_info(mine).id;

	mine.reset();
	for (int round = 0; round < 3; round++) {
		const live::fd other = snapshot(vm);

		expect_answer(vm);
	}
	EXPECT_EQ(image_info(taken).parent, parent);
	expect_good_end(vm);
}

}
