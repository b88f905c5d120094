// SPDX-License-Identifier: Apache-2.0
//
// Snapshots: a VM becomes an image and goes on, and so do all that are made from it.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include <x86intrin.h>

#include "crowd.hpp"
#include "parameter.hpp"

namespace
{

using live::crowd;
using live::image_info;
using live::machine;
using live::parameter;

constexpr std::uint64_t page = 4096;

class Snapshots : public live::Live
{
protected:
	/// An image descriptor, or a negative errno.
	static int take(const machine &vm, const char *name = "", std::uint32_t flags = 0)
	{
		mayfly_snapshot args{};

		std::memcpy(args.name, name, std::min(std::strlen(name), sizeof(args.name)));
		args.flags = flags;
		const int ret = call(vm.handle(), MAYFLY_SNAPSHOT, &args);

		return ret ? ret : args.fd;
	}
	static live::fd snapshot(const machine &vm)
	{
		const int ret = take(vm);

		EXPECT_GE(ret, 0) << strerror(-ret);
		return live::fd(ret);
	}
	[[nodiscard]] static bool is_parked(const machine &vm) { return vm.info().state == MAYFLY_PARKED; }
	static void wait_until_parked(const machine &vm)
	{
		ASSERT_TRUE(live::eventually([&] { return is_parked(vm); })) << "status " << vm.info().status;
	}
	/// A started VM that has filled \p pages with its id, and now waits.
	[[nodiscard]] machine twin(std::uint64_t pages, std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		return twin_of(live::make_image(device, guests::twin), pages, memory);
	}
	/// The same, of an image that stays, or else it is folded as soon as there is a snapshot.
	[[nodiscard]] machine twin_of(const live::fd &image, std::uint64_t pages,
				      std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		machine vm(image, device, 0, memory);

		vm.set_parameters(guests::range_gpa, pages);
		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		wait_until_parked(vm);
		return vm;
	}
	/// Does it find its memory as it should be?
	static void expect_answer(const machine &vm, std::uint32_t event = 5)
	{
		const std::uint64_t before = vm.info().parked;

		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, event), 0);
		ASSERT_TRUE(live::eventually([&] { return vm.info().parked > before; }))
			<< "status " << vm.info().status;
	}
	static void expect_answers(crowd &all, std::uint32_t event = 5)
	{
		const std::vector<mayfly_vm_info> before = all.rows();

		ASSERT_EQ(all.control(MAYFLY_OP_NOTIFY, event), all.size());
		ASSERT_TRUE(live::eventually([&] {
			const auto &now = all.rows();

			for (std::size_t i = 0; i < now.size(); i++)
				if (now[i].state != MAYFLY_ENDED && now[i].parked <= before[i].parked)
					return false;
			return true;
		}));
		EXPECT_EQ(all.count(live::is_ended), 0u) << "status " << all.rows()[0].status;
	}
	static void expect_good_end(crowd &all)
	{
		ASSERT_EQ(all.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), all.size());
		ASSERT_TRUE(live::eventually([&] { return all.count(live::is_ended) == all.size(); }));
		for (const mayfly_vm_info &row : all.rows()) {
			EXPECT_EQ(row.reason, unsigned{MAYFLY_END_EXITED});
			EXPECT_EQ(row.status, 0) << "1: memory, 2: generation";
		}
	}
	static void expect_good_end(const machine &vm)
	{
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		ASSERT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, 0) << "1: memory, 2: generation";
	}
	static std::uint64_t counter(const machine &vm)
	{
		std::uint64_t value = 0;

		EXPECT_EQ(access_memory(vm.handle(), guests::counter_gpa, std::as_writable_bytes(std::span(&value, 1)),
					0),
			  0);
		return value;
	}
	static std::uint64_t guest_tsc(const machine &vm) { return __rdtsc() + vm.state().tsc_offset; }
	/// As a host short of memory does.
	static void shrink()
	{
		std::ofstream file("/proc/sys/vm/drop_caches");

		file << "2" << std::flush;
	}
};

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
		EXPECT_EQ(take(*one), -ESRCH);
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
		EXPECT_EQ(take(vm, bad), -EINVAL) << bad;
	EXPECT_EQ(take(vm, "", MAYFLY_SNAPSHOT_REPLACE), -EINVAL) << "no name to take";
	EXPECT_EQ(take(vm, "warm", 4), -EINVAL);
	EXPECT_EQ(vm.info().image_id, image);

	live::fd first(take(vm, "warm"));

	ASSERT_GE(first.get(), 0);
	EXPECT_STREQ(image_info(first).name, "warm");

	const std::uint64_t id = vm.info().image_id;

	EXPECT_EQ(take(vm, "warm"), -EEXIST);
	EXPECT_EQ(vm.info().image_id, id);
	EXPECT_EQ(live::info(device).images, 2u);

	const live::fd second(take(vm, "warm", MAYFLY_SNAPSHOT_REPLACE));

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

		EXPECT_EQ(take(vm), -EDQUOT);
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

	EXPECT_EQ(take(vm, "warm"), -EDQUOT);

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
		const int fd = take(vm);

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
		const live::fd taken(take(vm));

		EXPECT_TRUE(taken.get() >= 0 || taken.get() == -ESRCH) << taken.get();
		killer.join();
	}
}

bool is_awaited(const machine &vm)
{
	return (vm.info().flags & MAYFLY_VM_AWAITED) != 0;
}

/// One who waits in a thread of its own for a snapshot of a VM that is ready.
class waiter
{
public:
	explicit waiter(const machine &vm)
		: thread_([this, &vm] {
			  mayfly_snapshot args{};

			  args.flags = MAYFLY_SNAPSHOT_WHEN_READY;
			  id_ = gettid();
			  const int ret = call(vm.handle(), MAYFLY_SNAPSHOT, &args);
			  fd_ = ret ? ret : args.fd;
		  })
	{
	}
	[[nodiscard]] pid_t id() const { return id_; }
	/// An image descriptor, or a negative errno.
	int end()
	{
		thread_.join();
		return fd_;
	}

private:
	std::atomic<pid_t> id_ = 0;
	int fd_ = 0;
	std::thread thread_;
};

TEST_F(Snapshots, TheGuestNamesItsMoment)
{
	const live::fd image = live::make_image(device, guests::ready);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	wait_until_parked(vm);
	for (std::uint64_t round = 1; round <= 3; round++) {
		// The first one says so while nobody waits.
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);
		ASSERT_TRUE(live::eventually([&] { return vm.info().parked == 2 * round; }));
		EXPECT_EQ(vm.info().ready, 2 * round - 1);

		waiter one(vm);

		ASSERT_TRUE(live::eventually([&] { return is_awaited(vm); }));
		EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PARKED}) << "it is not held up";
		EXPECT_EQ(take(vm, "", MAYFLY_SNAPSHOT_WHEN_READY), -EBUSY);
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);

		const live::fd taken(one.end());

		ASSERT_GE(taken.get(), 0);
		ASSERT_TRUE(live::eventually([&] { return vm.info().parked == 2 * round + 1; }));

		crowd clones(device, taken, 20, MAYFLY_SPAWN_START);

		ASSERT_TRUE(live::eventually([&] { return clones.count(live::is_ended) == 20; }));
		for (const mayfly_vm_info &row : clones.rows()) {
			EXPECT_EQ(row.status, 40) << "it goes on behind the call";
			EXPECT_EQ(row.parked, 0u);
			EXPECT_EQ(row.ready, 0u);
		}
	}
	expect_good_end(vm);
}

TEST_F(Snapshots, RunComesBackWhenTheGuestIsReady)
{
	const live::fd image = live::make_image(device, guests::ready);
	const machine vm(image, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);
		ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK | MAYFLY_RUN_UNTIL_READY, &outcome), 0);
		ASSERT_EQ(outcome, unsigned{MAYFLY_RAN_READY});

		const live::fd taken = snapshot(vm);
		const machine clone(taken, device);

		ASSERT_EQ(clone.run(), 0);
		EXPECT_EQ(clone.info().status, 40);
		ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK | MAYFLY_RUN_UNTIL_READY, &outcome), 0);
		EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});
	}

	// Not asked for, it does not; but somebody else may wait.
	waiter one(vm);

	ASSERT_TRUE(live::eventually([&] { return is_awaited(vm); }));
	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});

	const live::fd taken(one.end());

	EXPECT_GE(taken.get(), 0);
	EXPECT_EQ(vm.info().image_id, image_info(taken).id);
	EXPECT_EQ(vm.run(8), -EINVAL);
}

TEST_F(Snapshots, WhoWaitsForAVmThatEndsIsTold)
{
	const live::fd image = live::make_image(device, guests::ready);

	for (const std::uint32_t op : {MAYFLY_OP_KILL, MAYFLY_OP_NOTIFY}) {
		const machine vm(image, device, MAYFLY_SPAWN_START);
		waiter one(vm);

		ASSERT_TRUE(live::eventually([&] { return is_awaited(vm); }));
		ASSERT_EQ(vm.control(op, op == MAYFLY_OP_KILL ? 0 : MAYFLY_EVENT_STOP), 0);
		EXPECT_EQ(one.end(), -ESRCH);
		EXPECT_EQ(take(vm, "", MAYFLY_SNAPSHOT_WHEN_READY), -ESRCH);
	}
	EXPECT_EQ(live::info(device).images, 1u);
}

TEST_F(Snapshots, WhoIsSignalledWaitsNoMore)
{
	struct sigaction action = {};

	action.sa_handler = [](int) {};
	sigaction(SIGUSR2, &action, nullptr);

	const live::fd image = live::make_image(device, guests::ready);
	const machine vm(image, device, MAYFLY_SPAWN_START);
	waiter one(vm);

	ASSERT_TRUE(live::eventually([&] { return is_awaited(vm); }));
	ASSERT_EQ(tgkill(getpid(), one.id(), SIGUSR2), 0);
	EXPECT_EQ(one.end(), -EINTR);
	EXPECT_EQ(live::info(device).images, 1u);
	wait_until_parked(vm);

	const std::uint64_t before = vm.info().image_id;

	expect_answer(vm);
	EXPECT_EQ(vm.info().image_id, before);
	expect_good_end(vm);
}

TEST_F(Snapshots, ARefusalWhenTheGuestIsReadyLeavesItAsItWas)
{
	const parameter stays_warm("cold_after_ms", 0);
	const live::fd image = live::make_image(device, guests::ready);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	wait_until_parked(vm);
	{
		waiter one(vm);

		ASSERT_TRUE(live::eventually([&] { return is_awaited(vm); }));

		// It has pages that it needs to wake; those of another layout are too many.
		const parameter limit("max_bytes_user", live::info(device).user_bytes + page);

		expect_answer(vm);
		EXPECT_EQ(one.end(), -EDQUOT);
	}
	EXPECT_EQ(live::info(device).images, 1u);
	expect_answer(vm);
	expect_good_end(vm);
}

TEST_F(Snapshots, OfOneThatIsReadyAllTheTime)
{
	const live::fd image = live::make_image(device, guests::ready_forever);
	const machine vm(image, device, MAYFLY_SPAWN_START);
	std::atomic<bool> done = false;
	std::thread other([&] {
		while (!done) {
			const std::uint64_t exits = vm.info().exits;

			vm.control(MAYFLY_OP_PAUSE);
			vm.control(MAYFLY_OP_RESUME);
			// Or it would hardly ever run.
			EXPECT_TRUE(live::eventually([&] { return done || vm.info().exits > exits + 10; }));
		}
	});

	for (std::uint64_t i = 0; i < live::many(100); i++) {
		const live::fd taken(take(vm, "", MAYFLY_SNAPSHOT_WHEN_READY));

		ASSERT_GE(taken.get(), 0);
		EXPECT_EQ(vm.info().image_id, image_info(taken).id);
	}
	done = true;
	other.join();
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
}

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
			const live::fd image(take(vm, "last", MAYFLY_SNAPSHOT_REPLACE));

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
			const live::fd last(take(vm, "last", MAYFLY_SNAPSHOT_REPLACE));
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
	const live::fd taken(take(vm));
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
