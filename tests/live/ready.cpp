// SPDX-License-Identifier: Apache-2.0
//
// Guests that say when they are ready for a snapshot, and who waits for that.

#include <csignal>
#include <thread>

#include "parameter.hpp"
#include "snapshots.hpp"
#include "waiter.hpp"

namespace
{

using live::crowd;
using live::image_info;
using live::is_awaited;
using live::machine;
using live::page;
using live::parameter;
using live::snapshot;
using live::Snapshots;
using live::take_snapshot;
using live::waiter;

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
		EXPECT_EQ(take_snapshot(vm, "", MAYFLY_SNAPSHOT_WHEN_READY), -EBUSY);
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
		EXPECT_EQ(take_snapshot(vm, "", MAYFLY_SNAPSHOT_WHEN_READY), -ESRCH);
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
		const live::fd taken(take_snapshot(vm, "", MAYFLY_SNAPSHOT_WHEN_READY));

		ASSERT_GE(taken.get(), 0);
		EXPECT_EQ(vm.info().image_id, image_info(taken).id);
	}
	done = true;
	other.join();
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
}

}
