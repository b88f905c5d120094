// SPDX-License-Identifier: Apache-2.0
//
// Snapshots: a VM becomes an image and goes on, and so do all that are made from it.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <thread>

#include "parameter.hpp"
#include "snapshots.hpp"

namespace
{

using live::crowd;
using live::image_info;
using live::machine;
using live::page;
using live::parameter;
using live::shrink;
using live::snapshot;
using live::Snapshots;
using live::take_snapshot;

TEST_F(Snapshots, TheOriginalAndItsClonesGoOnEachForItself)
{
	const live::fd base = live::make_image(device, guests::twin);
	const machine vm = twin_of(base, 16);
	const mayfly_vm_info before = vm.info();
	const live::fd image = snapshot(vm);
	const mayfly_image_info info = image_info(image);
	const mayfly_vm_info after = vm.info();

	EXPECT_EQ(info.parent, before.image_id);
	EXPECT_EQ(info.bytes, (before.guest_pages + before.table_pages) * page);
	EXPECT_EQ(info.users, 2u);
	EXPECT_EQ(info.memory_min, before.memory);
	EXPECT_EQ(info.memory_default, before.memory);
	EXPECT_STREQ(info.label, "guest");
	EXPECT_EQ(after.id, before.id);
	EXPECT_EQ(after.image_id, info.id);
	EXPECT_EQ(after.state, unsigned{MAYFLY_PARKED});
	EXPECT_EQ(after.guest_pages, 0u) << "they are the image's";
	EXPECT_EQ(after.parked, before.parked);

	crowd clones(device, image, 20, MAYFLY_SPAWN_START);

	ASSERT_EQ(clones.result(), 0);
	EXPECT_EQ(clones.count(live::is_parked), 20u);
	for (const mayfly_vm_info &row : clones.rows()) {
		EXPECT_EQ(row.guest_pages, 0u);
		EXPECT_EQ(row.exits, 0u) << "it waits as the original did";
	}
	for (int round = 0; round < 3; round++) {
		expect_answer(vm);
		expect_answers(clones);
	}
	expect_good_end(clones);
	expect_good_end(vm);
}

TEST_F(Snapshots, OfAVmThatRuns)
{
	const live::fd image = live::make_image(device, guests::count_forever);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	for (int round = 0; round < 20; round++) {
		const live::fd taken = snapshot(vm);
		const machine clone(taken, device);
		const std::uint64_t then = counter(clone);

		ASSERT_EQ(clone.control(MAYFLY_OP_START), 0);
		ASSERT_TRUE(live::eventually([&] {
			EXPECT_EQ(clone.control(MAYFLY_OP_PAUSE), 0);
			const std::uint64_t now = counter(clone);

			EXPECT_EQ(clone.control(MAYFLY_OP_RESUME), 0);
			EXPECT_GE(now, then);
			return now > then;
		}));
		ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
		EXPECT_GE(counter(vm), then);
		ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	}
	EXPECT_NE(vm.info().state, unsigned{MAYFLY_ENDED});
}

TEST_F(Snapshots, OfAVmInRun)
{
	const live::fd image = live::make_image(device, guests::count_forever);
	const machine vm(image, device);
	std::thread runner([&] { EXPECT_EQ(vm.run(), 0); });

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_RUNNING; }));
	for (int round = 0; round < 20; round++) {
		const live::fd taken = snapshot(vm);
		const machine clone(taken, device);
		const std::uint64_t exits = vm.info().exits;

		counter(clone);
		EXPECT_TRUE(live::eventually([&] { return vm.info().exits > exits; })) << "the original goes on";
	}
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	runner.join();
}

TEST_F(Snapshots, OfAPausedVmItStaysPausedAndItsClonesAreNot)
{
	const live::fd image = live::make_image(device, guests::count_forever);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);

	const live::fd taken = snapshot(vm);
	const machine clone(taken, device, MAYFLY_SPAWN_START);

	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PAUSED});
	EXPECT_TRUE(live::eventually([&] { return clone.info().exits > 0; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PAUSED});
}

TEST_F(Snapshots, OfAVmThatHasNotBegunOrHasEnded)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	const live::fd taken = snapshot(vm);
	const machine clone(taken, device);

	for (const machine *one : {&vm, &clone}) {
		ASSERT_EQ(one->run(), 0);
		EXPECT_EQ(one->info().status, 42);
		EXPECT_EQ(take_snapshot(*one), -ESRCH);
	}
	EXPECT_EQ(live::info(device).images, 2u) << "nothing is half-made";
}

TEST_F(Snapshots, NamesAreJudgedBeforeTheVmIsTouched)
{
	const live::fd base = live::make_image(device, guests::twin);
	const machine vm = twin_of(base, 1);
	const std::string too_long(MAYFLY_NAME_SIZE, 'x');
	const std::uint64_t image = vm.info().image_id;

	for (const char *bad : {"1", "a/b", "-", "a b", too_long.c_str()})
		EXPECT_EQ(take_snapshot(vm, bad), -EINVAL) << bad;
	EXPECT_EQ(take_snapshot(vm, "", MAYFLY_SNAPSHOT_REPLACE), -EINVAL) << "no name to take";
	EXPECT_EQ(take_snapshot(vm, "warm", 4), -EINVAL);
	EXPECT_EQ(vm.info().image_id, image);

	live::fd first(take_snapshot(vm, "warm"));

	ASSERT_GE(first.get(), 0);
	EXPECT_STREQ(image_info(first).name, "warm");

	const std::uint64_t id = vm.info().image_id;

	EXPECT_EQ(take_snapshot(vm, "warm"), -EEXIST);
	EXPECT_EQ(vm.info().image_id, id);
	EXPECT_EQ(live::info(device).images, 2u);

	const live::fd second(take_snapshot(vm, "warm", MAYFLY_SNAPSHOT_REPLACE));

	ASSERT_GE(second.get(), 0);
	EXPECT_STREQ(image_info(first).name, "");
	EXPECT_STREQ(image_info(second).name, "warm");
	EXPECT_EQ(live::call<void>(second, MAYFLY_IMAGE_REMOVE, nullptr), 0);
	expect_good_end(vm);
}

TEST_F(Snapshots, CallsThatMakeNoSenseChangeNothing)
{
	const machine vm = twin(1);
	const std::uint64_t image = vm.info().image_id;
	mayfly_snapshot args{};

	args.reserved[1] = 1;
	EXPECT_EQ(call(vm.handle(), MAYFLY_SNAPSHOT, &args), -EINVAL);
	EXPECT_EQ(call<void>(vm.handle(), MAYFLY_SNAPSHOT, nullptr), -EFAULT);
	EXPECT_EQ(call(device, MAYFLY_SNAPSHOT, &args), -ENOTTY);
	std::memset(args.name, 'x', sizeof(args.name));
	EXPECT_EQ(call(vm.handle(), MAYFLY_SNAPSHOT, &args), -EINVAL);
	EXPECT_EQ(vm.info().image_id, image);
}

TEST_F(Snapshots, ClonesOfClonesAndParentsThatGoFirst)
{
	constexpr std::size_t depth = 10;

	for (const bool oldest_first : {true, false}) {
		std::vector<machine> all;

		all.push_back(twin(4));
		for (std::size_t i = 1; i < depth; i++) {
			const live::fd image = snapshot(all.back());

			all.emplace_back(image, device);
			EXPECT_EQ(device_page(all.back()).generation, i + 1);
			ASSERT_EQ(all.back().control(MAYFLY_OP_START), 0);
			ASSERT_TRUE(is_parked(all.back()));
			// The next one is of a VM that has pages of its own.
			if (i % 2)
				expect_answer(all.back());
		}
		EXPECT_TRUE(live::eventually([&] { return live::info(device).images == depth - 1; }))
			<< "the first one's own is part of its snapshot";
		while (!all.empty()) {
			for (const machine &vm : all)
				expect_answer(vm);
			expect_good_end(oldest_first ? all.front() : all.back());
			all.erase(oldest_first ? all.begin() : all.end() - 1);
		}
		EXPECT_TRUE(live::eventually([&] { return live::info(device).images == 0; }));
	}
}

TEST_F(Snapshots, ManyOfOneVmWhoseImagesGoInEveryOrder)
{
	const machine vm = twin(4);
	std::vector<live::fd> images;
	std::vector<machine> clones;

	for (int i = 0; i < 6; i++) {
		images.push_back(snapshot(vm));
		expect_answer(vm);
		clones.emplace_back(images.back(), device, MAYFLY_SPAWN_START);
	}
	for (const std::size_t i : {3u, 0u, 5u, 1u, 4u, 2u}) {
		images[i].reset();
		expect_answer(clones[i]);
		expect_answer(vm);
	}
	for (const std::size_t i : {1u, 4u, 0u, 2u, 5u, 3u}) {
		expect_good_end(clones[i]);
		clones[i].close();
	}
	expect_good_end(vm);
}

TEST_F(Snapshots, LargePagesAreSharedAndCopiedInPieces)
{
	constexpr std::uint64_t pages = 4096;
	const machine vm = twin(pages, 64 << 20);
	const live::fd image = snapshot(vm);
	const std::uint64_t held = live::info(device).pages;
	crowd clones(device, image, 10, MAYFLY_SPAWN_START, 64 << 20);

	ASSERT_EQ(clones.result(), 0);
	EXPECT_LE(live::info(device).pages, held + 10 * 8) << "16 MiB are shared";
	expect_answers(clones);
	for (const mayfly_vm_info &row : clones.rows())
		EXPECT_GE(row.guest_pages, pages) << "each has its own";
	expect_answers(clones);
	expect_answer(vm);

	// A clone of a clone, whose pages were large two images ago.
	const machine again(image, device, MAYFLY_SPAWN_START, 64 << 20);

	expect_answer(again);

	const live::fd image_again = snapshot(again);
	const machine last(image_again, device, MAYFLY_SPAWN_START, 64 << 20);

	expect_answer(last);
	expect_answer(again);
	expect_good_end(last);
	expect_good_end(again);
	expect_good_end(clones);
	expect_good_end(vm);
}

TEST_F(Snapshots, WhatIsDiscardedIsTheImagesAgain)
{
	for (const std::uint64_t pages : {4u, 1024u}) {
		const machine vm = twin(pages);
		const live::fd image = snapshot(vm);
		crowd clones(device, image, 4, MAYFLY_SPAWN_START);

		expect_answers(clones);
		for (const mayfly_vm_info &row : clones.rows())
			EXPECT_GE(row.guest_pages, pages);
		expect_answers(clones, 7);
		for (const mayfly_vm_info &row : clones.rows())
			EXPECT_LT(row.guest_pages, 4u);
		// The original had nothing else there, and notices nothing.
		expect_answer(vm, 7);
		expect_answers(clones);
		expect_good_end(clones);
		expect_good_end(vm);
	}
}

TEST_F(Snapshots, OfAVmThatHasDiscarded)
{
	const machine vm = twin(1024);

	expect_answer(vm, 7);

	const live::fd image = snapshot(vm);
	crowd clones(device, image, 2, MAYFLY_SPAWN_START);

	EXPECT_LT(image_info(image).bytes, 64 * page);
	expect_answers(clones);
	expect_good_end(clones);
	expect_good_end(vm);
}

TEST_F(Snapshots, ColdAndWarmAtAnyDepth)
{
	std::vector<machine> all;

	all.push_back(twin(4));
	for (int i = 1; i < 5; i++) {
		const live::fd image = snapshot(all.back());

		all.emplace_back(image, device, MAYFLY_SPAWN_START);
		if (i % 2)
			expect_answer(all.back());
	}
	for (int round = 0; round < 3; round++) {
		ASSERT_TRUE(live::eventually([&] { return shrink(), live::info(device).cold == all.size(); }));
		if (round) {
			// Of a cold one.
			const live::fd image = snapshot(all[2]);
			const machine clone(image, device, MAYFLY_SPAWN_START);

			expect_answer(clone);
			expect_good_end(clone);
		}
		for (const machine &vm : all)
			expect_answer(vm);
	}
	for (const machine &vm : all)
		expect_good_end(vm);
}

TEST_F(Snapshots, AClonesClockGoesOnAndItsTimeIsRight)
{
	const machine vm = twin(1);

	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);

	const std::uint64_t before = guest_tsc(vm);
	const live::fd image = snapshot(vm);
	const std::uint64_t after = guest_tsc(vm);
	const std::uint64_t host_before = __rdtsc();

	usleep(200000);

	const std::uint64_t slept = __rdtsc() - host_before;
	const machine clone(image, device), another(image, device);
	const std::uint64_t host = __rdtsc(), clones = guest_tsc(clone);

	EXPECT_GE(clones, before) << "never back";
	EXPECT_LE(clones, after + (__rdtsc() - host) + (host - host_before - slept))
		<< "what has passed since the snapshot is not the clone's";

	// Unix time is the host's, for the original and its clones.
	for (const machine *one : {&vm, &clone, &another}) {
		const mayfly_clock clock = device_page(*one).clock;
		const auto ns = static_cast<std::uint64_t>(
			static_cast<unsigned __int128>(guest_tsc(*one)) * clock.mult >> clock.shift);
		timespec now{};

		clock_gettime(CLOCK_REALTIME, &now);
		EXPECT_NEAR(static_cast<double>(ns + clock.wall_ns),
			    static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec), 1e9);
	}
}

TEST_F(Snapshots, ADeadlineComesOnceInEachClone)
{
	const live::fd image = live::make_image(device, guests::wait_deadline);
	const machine vm(image, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	ASSERT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});

	const live::fd taken = snapshot(vm);

	usleep(50000);

	crowd clones(device, taken, 20, MAYFLY_SPAWN_START);

	EXPECT_TRUE(live::eventually([&] { return clones.count(live::is_ended) == 20; }));
	for (const mayfly_vm_info &row : clones.rows())
		EXPECT_EQ(row.status, 0) << "1: too early, 2: an event";
	ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);
	EXPECT_TRUE(vm.wait_for_end());
	EXPECT_EQ(vm.info().status, 0);
}

TEST_F(Snapshots, ACloneThatWaitsWaitsInRunToo)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	wait_until_parked(vm);

	const live::fd taken = snapshot(vm);
	const machine clone(taken, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(clone.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED}) << "nothing has come";
	ASSERT_EQ(clone.control(MAYFLY_OP_NOTIFY, 3), 0);
	ASSERT_EQ(clone.run(), 0);
	EXPECT_EQ(clone.info().status, 1 << 3);
}

TEST_F(Snapshots, EveryCloneIsSomebodyElse)
{
	constexpr std::uint32_t count = 1000;
	const machine vm = twin(1);

	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);

	const mayfly_device_page original = device_page(vm);
	const live::fd image = snapshot(vm);
	std::set<std::string> seeds{std::string(original.seed, original.seed + MAYFLY_SEED_SIZE)};
	std::set<std::uint64_t> ids{original.vm_id};

	EXPECT_EQ(original.generation, 1u);
	EXPECT_EQ(std::memcmp(&original, &static_cast<const mayfly_device_page &>(device_page(vm)),
			      offsetof(mayfly_device_page, clock)),
		  0)
		<< "the original is who it was";
	for (std::uint32_t i = 0; i < count; i++) {
		const machine clone(image, device);
		const mayfly_device_page mine = device_page(clone);

		ids.insert(mine.vm_id);
		seeds.insert(std::string(mine.seed, mine.seed + MAYFLY_SEED_SIZE));
		EXPECT_EQ(mine.generation, 2u);
		EXPECT_EQ(mine.argc, 0u);
		EXPECT_EQ(mine.vm_id, clone.info().id);
	}
	EXPECT_EQ(ids.size(), count + 1);
	EXPECT_EQ(seeds.size(), count + 1);
}

TEST_F(Snapshots, ACloneHasArgumentsOfItsOwnOrNone)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	mayfly_spawn spawn = live::spawn_request(image, MAYFLY_SPAWN_START);
	const char first[] = "one\0two", second[] = "three";

	spawn.args = live::address(first);
	spawn.args_length = sizeof(first);
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);

	const machine vm{live::fd(spawn.fd)};

	wait_until_parked(vm);

	const live::fd taken = snapshot(vm);
	const machine without(taken, device);

	spawn = live::spawn_request(taken);
	spawn.args = live::address(second);
	spawn.args_length = sizeof(second);
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);

	const machine with{live::fd(spawn.fd)};
	const auto arguments = [](const machine &of) {
		std::string bytes(page, 'x');

		const int ret = access_memory(of.handle(), MAYFLY_GPA_ARGS, std::as_writable_bytes(std::span(bytes)),
					      0);
		return ret == -EFAULT ? "none" : std::string(bytes.c_str());
	};

	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(arguments(vm), "one") << "the original keeps its own";
	EXPECT_EQ(device_page(vm).argc, 2u);
	EXPECT_EQ(arguments(without), "none");
	EXPECT_EQ(arguments(with), "three");
	EXPECT_EQ(device_page(with).argc, 1u);
}

TEST_F(Snapshots, CloneNeedsAsMuchMemoryAsTheOriginalHas)
{
	const machine vm = twin(1);
	const live::fd image = snapshot(vm);
	mayfly_spawn spawn = live::spawn_request(image);

	spawn.memory = MAYFLY_MEMORY_DEFAULT - page;
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EINVAL);
	spawn.memory = 2 * MAYFLY_MEMORY_DEFAULT;
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);

	const machine larger{live::fd(spawn.fd)};

	EXPECT_EQ(device_page(larger).memory_bytes, 2 * MAYFLY_MEMORY_DEFAULT);
}

TEST_F(Snapshots, CountAsTheVmsBytesDid)
{
	const parameter stays_warm("cold_after_ms", 0);
	const live::fd base = live::make_image(device, guests::twin);
	const machine vm = twin_of(base, 64);
	const std::uint64_t before = live::info(device).user_bytes;
	live::fd image = snapshot(vm);
	const std::uint64_t after = live::info(device).user_bytes;

	EXPECT_EQ(after - before, (vm.info().table_pages + vm.info().device_pages - 1) * page) << "the VM's new layout";
	{
		const parameter limit("max_bytes_user", after + page);

		EXPECT_EQ(take_snapshot(vm), -EDQUOT);
		EXPECT_EQ(live::info(device).user_bytes, after);
		EXPECT_TRUE(is_parked(vm));
	}
	image.reset();
	EXPECT_GT(live::info(device).user_bytes, 64 * page) << "the VM still needs them";
	expect_good_end(vm);
}

TEST_F(Snapshots, ARefusedOneLeavesTheVmAsItWas)
{
	const machine vm = twin(1024);
	const mayfly_vm_info before = vm.info();
	const parameter limit("max_bytes_user", live::info(device).user_bytes);

	EXPECT_EQ(take_snapshot(vm, "warm"), -EDQUOT);

	const mayfly_vm_info after = vm.info();

	EXPECT_EQ(after.image_id, before.image_id);
	EXPECT_EQ(after.private_bytes, before.private_bytes);
	EXPECT_EQ(after.state, before.state);
	EXPECT_EQ(live::info(device).images, 1u);
	limit.set(0);
	expect_good_end(vm);
}

TEST_F(Snapshots, InTheMidstOfEverything)
{
	const machine vm = twin(16);
	std::atomic<bool> done = false;
	std::vector<std::thread> others;
	const auto repeat = [&](auto what) {
		others.emplace_back([&done, what] {
			while (!done)
				what();
		});
	};

	repeat([&] { vm.control(MAYFLY_OP_NOTIFY, 5); });
	repeat([&] {
		vm.control(MAYFLY_OP_PAUSE);
		vm.control(MAYFLY_OP_RESUME);
	});
	repeat([&] { static_cast<void>(vm.info()); });
	repeat([&] {
		live::vcpu_state state{};

		live::get_state(vm.handle(), state);
	});
	repeat([&] {
		const int fd = take_snapshot(vm);

		if (fd >= 0)
			close(fd);
	});
	for (std::uint64_t i = 0; i < live::many(200); i++) {
		const live::fd image = snapshot(vm);
		crowd clones(device, image, 2, MAYFLY_SPAWN_START);

		ASSERT_EQ(clones.result(), 0);
		clones.control(MAYFLY_OP_NOTIFY, 5);
	}
	EXPECT_NE(vm.info().state, unsigned{MAYFLY_ENDED}) << "status " << vm.info().status;
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	done = true;
	for (std::thread &one : others)
		one.join();
}

TEST_F(Snapshots, OfVmsThatAreBeingKilled)
{
	const live::fd image = live::make_image(device, guests::count_forever);

	for (std::uint64_t i = 0; i < live::many(200); i++) {
		const machine vm(image, device, MAYFLY_SPAWN_START);
		std::thread killer([&] { EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0); });
		const live::fd taken(take_snapshot(vm));

		EXPECT_TRUE(taken.get() >= 0 || taken.get() == -ESRCH) << taken.get();
		killer.join();
	}
}

TEST_F(Snapshots, CyclesLeaveNothing)
{
	const machine vm = twin(4);
	const std::uint64_t pages = live::info(device).pages;

	for (std::uint64_t i = 0; i < live::many(1000); i++) {
		const live::fd image = snapshot(vm);
		const machine clone(image, device, MAYFLY_SPAWN_START);
	}
	EXPECT_TRUE(live::eventually([&] { return live::info(device).images == 1; }));
	EXPECT_LE(live::info(device).pages, pages + 16);
	expect_good_end(vm);
}

}
