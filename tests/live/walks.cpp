// SPDX-License-Identifier: Apache-2.0
//
// Guests with much memory: who walks through it gets it in large pieces, who jumps
// gets what it touches, until that is half of 2 MiB.

#include "machine.hpp"

namespace
{

using live::machine;

constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t pages_per_mib = 256;

class Walks : public live::Live
{
protected:
	/// A VM of 1 GiB that has touched each \p stride th page, \p count of them.
	[[nodiscard]] machine touched(std::uint64_t count, std::uint64_t stride)
	{
		const live::fd image = live::make_image(device, guests::touch_stride);
		machine vm(image, device, 0, 1024 * mib);

		vm.set_parameters(4 * mib, count, stride);
		return vm;
	}
	/// One that touches \p count of 512 pages by jumps, and looks at \p seen of them.
	[[nodiscard]] machine jumped(std::uint64_t count, std::uint64_t seen)
	{
		const live::fd image = live::make_image(device, guests::touch_by_jumps);
		machine vm(image, device, 0, 64 * mib);

		vm.set_parameters(4 * mib, count, seen);
		return vm;
	}
	/// Runs it until it waits, and has it go on the next time.
	static mayfly_vm_info parked(const machine &vm)
	{
		std::uint32_t outcome = 0;

		EXPECT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
		EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});

		const mayfly_vm_info info = vm.info();

		EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY), 0);
		return info;
	}
	/// Runs it up to its end, which frees its memory; says how much it had before.
	static std::uint64_t most_pages(const machine &vm)
	{
		std::uint64_t most = 0;

		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		while (!(vm.info().state == MAYFLY_ENDED))
			most = std::max<std::uint64_t>(most, vm.info().guest_pages);
		EXPECT_EQ(vm.info().status, 0);
		return most;
	}
};

TEST_F(Walks, AWalkOf64MibLeavesGuestModeSeldom)
{
	const machine vm = touched(64 * pages_per_mib, 1);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 0);
	// Doubling up to 4 MiB, then 4 MiB at a time.
	EXPECT_LE(vm.info().exits_by[MAYFLY_EXIT_MEMORY], 40u);
}

/// As where one array is copied to another, or two are added to a third.
TEST_F(Walks, ThreeWalksByTurnsLeaveGuestModeAsSeldomAsOne)
{
	const live::fd image = live::make_image(device, guests::touch_in_turns);
	const machine vm(image, device, 0, 1024 * mib);

	vm.set_parameters(4 * mib, 16 * pages_per_mib);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 0);
	// 4 pages, then doubling up to 4 MiB, then 4 MiB at a time: for each walk.
	EXPECT_LE(vm.info().exits_by[MAYFLY_EXIT_MEMORY], 3u * 20);
}

TEST_F(Walks, AWalkGetsAtMostTwiceWhatItTouches)
{
	const machine vm = touched(5 * pages_per_mib, 1);

	EXPECT_LE(most_pages(vm), 10 * pages_per_mib + 16);
}

TEST_F(Walks, AJumperGetsWhatItTouches)
{
	const machine vm = touched(200, 600);

	EXPECT_LE(most_pages(vm), 200u + 16);
}

TEST_F(Walks, JumpsThatFillHalfOf2MibGetTheOtherHalf)
{
	const machine fewer = jumped(255, 255);
	const mayfly_vm_info small = parked(fewer);

	EXPECT_GE(small.exits_by[MAYFLY_EXIT_MEMORY], 255u);
	for (const std::uint64_t count : {300u, 512u}) {
		const machine vm = jumped(count, 512);
		const mayfly_vm_info large = parked(vm);

		// Every 32nd page is followed by a look.
		EXPECT_LE(large.exits_by[MAYFLY_EXIT_MEMORY], 256u + 32 + 8);
		EXPECT_EQ(large.guest_pages, small.guest_pages + 512 - 255);
		EXPECT_EQ(large.table_pages, small.table_pages - 1);
		parked(vm);
		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().status, 0);
	}
}

/// Else a guest could have it split and copied by turns.
TEST_F(Walks, WhatHasBeenSplitStaysSplit)
{
	const machine vm = jumped(512, 64);
	const mayfly_vm_info large = parked(vm), split = parked(vm);

	EXPECT_EQ(split.guest_pages, large.guest_pages);
	EXPECT_EQ(split.table_pages, large.table_pages + 1);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 0);
}

TEST_F(Walks, JumpsOverAPageOfTheImageFindItAgain)
{
	const std::array<std::uint64_t, 1> word{77};
	live::image_request request(guests::touch_by_jumps);
	const std::array segments{request.segments[0], request.segments[1],
				  mayfly_segment{.gpa = 4 * mib,
						 .length = sizeof(word),
						 .source = live::address(word.data()),
						 .flags = MAYFLY_SEGMENT_WRITE,
						 .reserved = 0}};

	request.create.segments = live::address(segments.data());
	request.create.nr_segments = segments.size();

	const live::fd image(live::create_image(device, request.create));
	machine vm(image, device, 0, 64 * mib);

	vm.set_parameters(4 * mib, 512, 512);
	parked(vm);
	parked(vm);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 77);
}

TEST_F(Walks, PiecesOfLargePagesCanBeDiscarded)
{
	const live::fd image = live::make_image(device, guests::discard_all);

	// In calls of 512 pages: whole large pages, and parts of two each.
	for (const std::uint64_t begin : {4 * mib, 4 * mib + 0x3000, 6 * mib - 0x1000}) {
		const machine vm(image, device, 0, 64 * mib);

		vm.set_parameters(begin, 16 * pages_per_mib);
		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().status, 0) << std::hex << begin;
	}
}

/// Rule 32: a CPU that machine-checks on code in large pages has it in small ones.
TEST_F(Walks, CodeInALargePageIsForCpusThatBearIt)
{
	const live::fd image = live::make_image(device, guests::walk_run);
	const machine vm(image, device, 0, 64 * mib);
	std::uint32_t outcome = 0;

	// The last 2 MiB of them have come in one piece.
	vm.set_parameters(4 * mib, 8 * pages_per_mib);
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	ASSERT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});

	const std::uint64_t before = vm.info().table_pages;

	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY), 0);
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	ASSERT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});
	EXPECT_EQ(vm.info().table_pages - before, live::cpu_says("bugs", "itlb_multihit") ? 1u : 0u);
	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 0);
}

}
