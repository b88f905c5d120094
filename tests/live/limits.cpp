// SPDX-License-Identifier: Apache-2.0
//
// When memory runs out, and when the CPU belongs to somebody else.

#include <algorithm>
#include <cstdlib>

#include <linux/kvm.h>
#include <sys/mman.h>

#include "cgroup.hpp"
#include "crowd.hpp"

namespace
{

using live::cgroup;
using live::crowd;
using live::free_memory;
using live::inside;
using live::machine;

class Limits : public live::Live
{};

TEST_F(Limits, ACgroupsLimitEndsTheVmAndKillsNobody)
{
	for (const std::uint32_t flags : {0, MAYFLY_SPAWN_START}) {
		const cgroup group;

		group.set("memory.max", 24 << 20);
		EXPECT_TRUE(inside(group, [flags] {
			const live::fd own = live::open_device();
			const live::fd image = live::make_image(own, guests::touch_all);
			const machine vm(image, own, flags, 256 << 20);

			if (flags ? !vm.wait_for_end() : vm.run() != 0)
				return false;
			return vm.info().reason == MAYFLY_END_NO_MEMORY;
		}));
		EXPECT_GT(group.number("memory.events", "max"), 0u) << "the VM was not charged to its creator";
		EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
		EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
	}
}

TEST_F(Limits, SpawnAtTheLimitKeepsWhatItMade)
{
	const cgroup group;

	group.set("memory.max", 16 << 20);
	EXPECT_TRUE(inside(group, [] {
		const live::fd own = live::open_device();
		const live::fd image = live::make_image(own, guests::wait_forever);
		mayfly_spawn spawn = live::spawn_request(image, MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_START, 100000);
		std::vector<std::uint64_t> ids(100000);
		std::vector<std::int32_t> results(1000);

		spawn.ids = live::address(ids.data());
		const int ret = call(own, MAYFLY_SPAWN, &spawn);
		const std::uint64_t made = spawn.created;

		if (ret != -ENOMEM || made < 100 || made > 1000 || live::info(own).vms != made)
			return false;
		mayfly_control control{};

		control.ids = live::address(ids.data());
		control.count = static_cast<std::uint32_t>(made);
		control.results = live::address(results.data());
		control.op = MAYFLY_OP_KILL;
		if (call(own, MAYFLY_CONTROL, &control) != 0)
			return false;
		// One may have ended for want of memory before.
		for (std::size_t i = 0; i < made; i++)
			if (results[i] != 0 && results[i] != -ESRCH)
				return false;
		control.op = MAYFLY_OP_REMOVE;
		return call(own, MAYFLY_CONTROL, &control) == 0 && control.done == made;
	}));
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
	EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
}

TEST_F(Limits, TenThousandVmsInACgroupThatHoldsAThirdOfThem)
{
	const std::uint64_t each = guests::range_pages * 4096;
	const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(live::many(10000),
									      free_memory() / (3 * each / 2)));
	const live::fd clock = live::make_image(device, guests::wait_worst);
	machine neighbour(clock, device, MAYFLY_SPAWN_START);
	const cgroup group;

	EXPECT_TRUE(inside(group, [&] {
		const live::fd own = live::open_device();
		const live::fd image = live::make_image(own, guests::stamp_wait);
		const live::fd limit = group.file("memory.max");
		crowd all(own, image, count);

		EXPECT_EQ(all.size(), count);
		group.set("memory.max", group.number("memory.current") + count / 3 * each);
		EXPECT_EQ(all.control(MAYFLY_OP_START), count);
		EXPECT_TRUE(live::eventually(
			[&] { return all.count(live::is_parked) + all.count(live::is_ended) == count; }, 120));

		const std::size_t survivors = all.count(live::is_parked);

		EXPECT_GE(survivors, count / 4);
		EXPECT_LE(survivors, count * 3 / 4);
		EXPECT_EQ(all.count([](const auto &row) { return row.reason == MAYFLY_END_NO_MEMORY; }),
			  count - survivors);
		// They have what they have written. Who has slept for long is cold by now, and
		// takes memory to wake, which others must not have had before.
		EXPECT_EQ(write(limit.get(), "max", 3), 3);
		EXPECT_EQ(all.control(MAYFLY_OP_NOTIFY), survivors);
		EXPECT_TRUE(live::eventually([&] { return all.count(live::is_ended) == count; }));
		EXPECT_EQ(all.count([](const auto &row) { return row.reason == MAYFLY_END_EXITED && !row.status; }),
			  survivors);
		return !::testing::Test::HasFailure();
	}));
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
	EXPECT_EQ(neighbour.control(MAYFLY_OP_NOTIFY), 0);
	EXPECT_TRUE(neighbour.wait_for_end());

	const mayfly_vm_info end = neighbour.info();

	EXPECT_EQ(end.reason, unsigned{MAYFLY_END_EXITED});
	EXPECT_LT(end.status, 2000000) << "us, the longest of the neighbour's waits for 1 ms";
	std::printf("%u VMs; the neighbour's longest wait for 1 ms took %d us\n", count, end.status);
	neighbour.close();
	EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
}

TEST_F(Limits, AFullCgroupHasRoomForItsProcesses)
{
	constexpr std::size_t wanted = 48 * 4096;
	const cgroup group;

	group.set("memory.max", 24 << 20);
	EXPECT_TRUE(inside(group, [] {
		const live::fd own = live::open_device();
		const live::fd image = live::make_image(own, guests::stamp_wait);
		crowd all(own, image, 10000, MAYFLY_SPAWN_START);

		// The last of them, whose memory is free again, is not what there is room by.
		if (all.result() != -ENOMEM || !live::eventually([&] {
			    return all.count(live::is_parked) + all.count(live::is_ended) == all.size();
		    }))
			return false;

		void *const more = mmap(nullptr, wanted, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		return more != MAP_FAILED && munmap(more, wanted) == 0;
	}));
	EXPECT_GT(group.number("memory.events", "max"), 0u);
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
	EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
}

TEST_F(Limits, WhileKvmHoldsTheCpuSpawnIsBusy)
{
	ASSERT_EQ(std::system("modprobe kvm_amd || modprobe kvm_intel"), 0);

	const live::fd kvm(open("/dev/kvm", O_RDWR | O_CLOEXEC));

	ASSERT_GE(kvm.get(), 0);
	const live::fd image = live::make_image(device, guests::exit42);
	{
		// Loaded but idle does not disturb.
		const machine vm(image, device);

		EXPECT_EQ(vm.run(), 0);
		// And now it is KVM that comes second.
		EXPECT_EQ(ioctl(kvm.get(), KVM_CREATE_VM, 0), -1);
		EXPECT_TRUE(errno == EBUSY || errno == EIO) << errno; // EIO from Linux 6.12 on
	}
	{
		const live::fd guest(ioctl(kvm.get(), KVM_CREATE_VM, 0));

		ASSERT_GE(guest.get(), 0);
		mayfly_spawn spawn = live::spawn_request(image);

		EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EBUSY);
		EXPECT_EQ(live::info(device).vms, 0u);
	}
	const machine vm(image, device);

	EXPECT_EQ(vm.run(), 0);
}

TEST_F(Limits, TheModuleStaysWhileVmsLive)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	EXPECT_NE(std::system("rmmod mayfly 2>/dev/null"), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
}

}
