// SPDX-License-Identifier: Apache-2.0
//
// The module's own limits: VMs and bytes, of a user and of all.

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <thread>

#include <sys/resource.h>
#include <sys/wait.h>

#include "crowd.hpp"
#include "parameter.hpp"

namespace
{

using live::crowd;
using live::machine;
using live::parameter;

constexpr std::uint64_t page = 4096;

/// Runs \p body as somebody who has no rights and no VMs, but the device's
/// descriptor from root. True when its expectations hold.
bool as_nobody(const std::function<void()> &body)
{
	const pid_t child = fork();

	if (!child) {
		if (setgid(65534) || setuid(65534))
			_exit(1);
		body();
		_exit(::testing::Test::HasFailure() ? 1 : 0);
	}
	int status = 0;

	waitpid(child, &status, 0);
	return status == 0;
}

class Quotas : public live::Live
{
protected:
	[[nodiscard]] mayfly_info now() const { return live::info(device); }
};

TEST_F(Quotas, AUsersVmsAreCounted)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const parameter most("max_vms_user", 10);
	const crowd roots(device, image, 4);

	EXPECT_EQ(roots.result(), 0);
	EXPECT_TRUE(as_nobody([&] {
		EXPECT_EQ(now().user_vms, 0u);
		EXPECT_EQ(now().max_vms_user, 10u);
		EXPECT_EQ(crowd(device, image, 11).result(), -EDQUOT);
		EXPECT_EQ(now().vms, 4u) << "something was made";

		const crowd own(device, image, 10);
		mayfly_spawn attached = live::spawn_request(image);

		EXPECT_EQ(own.result(), 0);
		EXPECT_EQ(now().user_vms, 10u);
		EXPECT_EQ(now().vms, 14u);
		EXPECT_EQ(crowd(device, image, 1).result(), -EDQUOT);
		EXPECT_EQ(call(device, MAYFLY_SPAWN, &attached), -EDQUOT);
		EXPECT_EQ(attached.created, 0u);
		EXPECT_EQ(now().user_vms, 10u);
	}));
	EXPECT_EQ(now().user_vms, 4u);
	// Nobody's VMs took nothing from root.
	EXPECT_EQ(crowd(device, image, 6).result(), 0);
	EXPECT_EQ(crowd(device, image, 7).result(), -EDQUOT);
}

TEST_F(Quotas, AllVmsAreCounted)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const parameter most("max_vms", 8);
	const crowd roots(device, image, 5);

	EXPECT_EQ(roots.result(), 0);
	EXPECT_EQ(now().max_vms, 8u);
	EXPECT_EQ(now().max_vms_user, 8u) << "more than there may be";
	EXPECT_TRUE(as_nobody([&] {
		EXPECT_EQ(crowd(device, image, 4).result(), -EDQUOT);
		EXPECT_EQ(crowd(device, image, 3).result(), 0);
		EXPECT_EQ(now().vms, 5u);
	}));
}

TEST_F(Quotas, ParallelSpawnsNeverExceedACount)
{
	constexpr std::uint64_t limit = 100;
	const live::fd image = live::make_image(device, guests::wait_forever);
	const parameter most("max_vms_user", limit);
	std::atomic<bool> done = false;
	std::uint64_t seen = 0;
	std::thread watcher([&] {
		while (!done)
			seen = std::max<std::uint64_t>(seen, now().vms);
	});

	for (int round = 0; round < 10; round++) {
		std::vector<std::vector<std::unique_ptr<crowd>>> made(8);
		std::vector<std::thread> spawners;

		for (auto &own : made)
			spawners.emplace_back([&] {
				// Sevens until they do not fit, then one by one.
				for (const std::uint32_t count : {7, 1})
					do
						own.push_back(std::make_unique<crowd>(device, image, count));
					while (own.back()->result() == 0);
			});
		for (std::thread &spawner : spawners)
			spawner.join();

		std::uint64_t sum = 0;

		for (const auto &own : made)
			for (const auto &some : own)
				sum += some->size();
		EXPECT_EQ(sum, limit);
		EXPECT_EQ(now().user_vms, limit);
	}
	done = true;
	watcher.join();
	EXPECT_EQ(seen, limit);
}

TEST_F(Quotas, BytesHeldAreTheSumOfTheVmsAndImages)
{
	// They take memory by writing, by talking and by their own tables, and one
	// gives some back; nobody has a part in root's.
	const live::fd flood = live::make_image(device, guests::console_flood);
	const live::fd stamps = live::make_image(device, guests::stamp_wait);
	const live::fd discards = live::make_image(device, guests::discard_all);
	crowd talkers(device, flood, 3, MAYFLY_SPAWN_START), writers(device, stamps, 5, MAYFLY_SPAWN_START),
		fresh(device, flood, 2);
	const machine discarder(discards, device);

	EXPECT_EQ(discarder.run(), 0);
	EXPECT_TRUE(live::eventually([&] {
		return talkers.count(live::is_parked) + writers.count(live::is_parked) == 8;
	}));

	const auto held = [](crowd &some) {
		const std::vector<mayfly_vm_info> &rows = some.rows();

		return std::accumulate(rows.begin(), rows.end(), std::uint64_t{0},
				       [](std::uint64_t sum, const mayfly_vm_info &row) {
					       return sum + row.private_bytes;
				       });
	};
	const std::uint64_t images = live::image_info(flood).bytes + live::image_info(stamps).bytes +
				     live::image_info(discards).bytes;
	const std::uint64_t sum = held(talkers) + held(writers) + held(fresh) + discarder.info().private_bytes + images;

	EXPECT_GT(sum, 5 * guests::range_pages * page);
	EXPECT_EQ(now().user_bytes, sum);
	EXPECT_EQ(now().bytes, sum);
	EXPECT_TRUE(as_nobody([&] {
		EXPECT_EQ(now().user_bytes, 0u);
		EXPECT_EQ(now().bytes, sum);
	}));
}

TEST_F(Quotas, SpawnStopsAtALimitOfBytes)
{
	const live::fd image = live::make_image(device, guests::wait_forever);

	for (const char *name : {"max_bytes_user", "max_bytes"}) {
		constexpr std::uint64_t limit = 1 << 20;
		const std::uint64_t base = now().user_bytes;
		const parameter most(name, base + limit);
		crowd all(device, image, 1000);

		EXPECT_EQ(all.result(), -EDQUOT);
		ASSERT_GT(all.size(), 1u);

		const std::uint64_t each = all.rows().front().private_bytes;

		EXPECT_EQ(all.size(), limit / each) << each;
		EXPECT_EQ(now().user_bytes, base + all.size() * each);
		EXPECT_EQ(now().vms, all.size());

		mayfly_spawn attached = live::spawn_request(image);

		EXPECT_EQ(call(device, MAYFLY_SPAWN, &attached), -EDQUOT);
	}
}

TEST_F(Quotas, AVmThatTakesTooManyBytesEndsAndNobodyElse)
{
	// What one fault takes on each of two CPUs: tables, and for one that walks as
	// much as it has walked so far, here less than the limit.
	constexpr std::uint64_t limit = 4 << 20, slack = 2 * 4 * page + limit;
	const live::fd greedy = live::make_image(device, guests::touch_all);
	const live::fd modest = live::make_image(device, guests::wait_loop);
	const std::uint64_t images = live::image_info(greedy).bytes + live::image_info(modest).bytes;
	const machine neighbour(modest, device, MAYFLY_SPAWN_START);

	EXPECT_TRUE(live::eventually([&] { return neighbour.info().parked > 0; }));
	for (const char *name : {"max_bytes_user", "max_bytes"}) {
		const parameter most(name, limit);

		EXPECT_TRUE(as_nobody([&] {
			std::atomic<bool> done = false;
			std::uint64_t seen = 0;
			std::thread watcher([&] {
				while (!done)
					seen = std::max<std::uint64_t>(seen, now().bytes);
			});

			{
				const machine attached(greedy, device, 0, 64 << 20);

				EXPECT_EQ(attached.run(), 0);
				EXPECT_EQ(attached.info().reason, unsigned{MAYFLY_END_LIMIT});
			}
			crowd started(device, greedy, 4, MAYFLY_SPAWN_START, 64 << 20);

			EXPECT_EQ(started.result(), 0);
			EXPECT_TRUE(live::eventually([&] { return started.count(live::is_ended) == 4; }));
			for (const mayfly_vm_info &row : started.rows())
				EXPECT_EQ(row.reason, unsigned{MAYFLY_END_LIMIT});
			done = true;
			watcher.join();
			EXPECT_LE(seen, limit + slack + neighbour.info().private_bytes + images);
		})) << name;

		const std::uint64_t parked = neighbour.info().parked;

		EXPECT_TRUE(live::eventually([&] { return neighbour.info().parked > parked; }));
	}
	EXPECT_EQ(neighbour.info().reason, unsigned{MAYFLY_END_NONE});
}

TEST_F(Quotas, TheConsolesPageCounts)
{
	const live::fd image = live::make_image(device, guests::console_flood);
	const parameter most("max_bytes_user", 0);
	const machine vm(image, device);

	// Its stack's page is there by then, and the small console is not full.
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_OUTPUT), 0);
	most.set(now().user_bytes);
	EXPECT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_LIMIT});
}

TEST_F(Quotas, LoweredBelowWhatIsUsedNothingEndsAndNothingStarts)
{
	const live::fd image = live::make_image(device, guests::wait_loop);
	crowd vms(device, image, 5, MAYFLY_SPAWN_START);
	const auto runs = [](const mayfly_vm_info &row) { return row.state != MAYFLY_ENDED && row.exits > 10; };

	EXPECT_TRUE(live::eventually([&] { return vms.count(runs) == 5; }));
	for (const char *name : {"max_vms", "max_vms_user", "max_bytes", "max_bytes_user"}) {
		const parameter most(name, 1);
		const std::vector<mayfly_vm_info> before = vms.rows();

		EXPECT_EQ(crowd(device, image, 1).result(), -EDQUOT) << name;
		EXPECT_TRUE(live::eventually([&] {
			const std::vector<mayfly_vm_info> &after = vms.rows();

			return std::ranges::equal(before, after, [](const auto &then, const auto &later) {
				return later.exits > then.exits + 10;
			});
		})) << name;
		EXPECT_EQ(vms.count(runs), 5u) << name;
	}
	EXPECT_EQ(crowd(device, image, 1).result(), 0);
}

/// One user may have many cgroups, each with its workers.
TEST_F(Quotas, WorkersAreThreadsOfTheUser)
{
	const live::fd image = live::make_image(device, guests::exit42);

	ASSERT_TRUE(live::eventually([&] { return now().pools == 0; })) << "there are workers";
	EXPECT_TRUE(as_nobody([&] {
		const machine vm(image, device);
		rlimit most{};

		ASSERT_EQ(getrlimit(RLIMIT_NPROC, &most), 0);

		const rlimit none = {0, most.rlim_max};

		ASSERT_EQ(setrlimit(RLIMIT_NPROC, &none), 0);
		EXPECT_EQ(vm.control(MAYFLY_OP_START), -EAGAIN);
		EXPECT_EQ(crowd(device, image, 2, MAYFLY_SPAWN_START).result(), -EAGAIN);
		EXPECT_EQ(now().user_vms, 1u) << "something was made";
		// It lives, and others may have it run.
		ASSERT_EQ(setrlimit(RLIMIT_NPROC, &most), 0);
		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		EXPECT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().status, 42);
	}));
}

TEST_F(Quotas, WithoutMoreThreadsOneWorkerRunsAll)
{
	const live::fd image = live::make_image(device, guests::wait_loop),
		       spin = live::make_image(device, guests::spin);

	ASSERT_TRUE(live::eventually([&] { return now().pools == 0; })) << "there are workers";
	EXPECT_TRUE(as_nobody([&] {
		rlimit most{};

		ASSERT_EQ(getrlimit(RLIMIT_NPROC, &most), 0);
		most.rlim_cur = 1;
		ASSERT_EQ(setrlimit(RLIMIT_NPROC, &most), 0);

		const crowd spinners(device, spin, 3, MAYFLY_SPAWN_START);
		crowd waiters(device, image, 5, MAYFLY_SPAWN_START);

		EXPECT_EQ(spinners.result(), 0);
		EXPECT_EQ(waiters.result(), 0);
		EXPECT_TRUE(live::eventually([&] {
			return waiters.count([](const mayfly_vm_info &row) { return row.parked > 3; }) == 5;
		}));
		EXPECT_EQ(live::workers().size(), 1u);
	}));
}

}
