// SPDX-License-Identifier: Apache-2.0
//
// Allocations fail at random where no call is to be told: in the workers, in the
// threads that fetch memory for them, while sleepers go cold and warm.

#include <algorithm>

#include "injection.hpp"
#include "live/cgroup.hpp"
#include "live/machine.hpp"

namespace
{

using live::machine;

bool fetches_memory(const std::string &name)
{
	// Any unbound thread of the kernel's pool may be given the module's work.
	return name.starts_with("mayfly/") || name.starts_with("kworker/u");
}

class Workers : public live::Live
{
protected:
	void SetUp() override
	{
		live::Live::SetUp();
		std::ifstream(cold_after) >> usual_;
	}
	void TearDown() override
	{
		faults::put(cold_after, std::to_string(usual_));
		live::Live::TearDown();
	}
	static std::size_t count(const std::vector<machine> &vms, unsigned reason)
	{
		return static_cast<std::size_t>(std::ranges::count_if(vms, [&](const machine &vm) {
			return vm.info().reason == reason;
		}));
	}

	static constexpr const char *cold_after = "/sys/module/mayfly/parameters/cold_after_ms";

private:
	unsigned usual_ = 0;
};

TEST_F(Workers, AVmWithoutMemoryEndsAndTheOthersGoOn)
{
	const live::fd image = live::make_image(device, guests::stamp);
	const machine neighbour(live::make_image(device, guests::wait_forever), device, MAYFLY_SPAWN_START);
	std::vector<machine> vms;
	std::size_t done = 0, starved = 0;

	// A few rounds: how many survive is a matter of chance.
	for (int percent = 2; percent <= 64 && (!done || !starved); percent *= 2) {
		vms.clear();
		for (int i = 0; i < 40; i++) {
			vms.emplace_back(image, device);
			vms.back().set_parameters(guests::range_gpa, 200);
		}
		const faults::unlucky_threads unlucky(percent, fetches_memory);

		for (const machine &vm : vms)
			EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		for (const machine &vm : vms)
			ASSERT_TRUE(vm.wait_for_end(300));
		EXPECT_EQ(count(vms, MAYFLY_END_EXITED) + count(vms, MAYFLY_END_NO_MEMORY), vms.size());
		done += count(vms, MAYFLY_END_EXITED);
		starved += count(vms, MAYFLY_END_NO_MEMORY);
	}
	EXPECT_GT(done, 0u);
	EXPECT_GT(starved, 0u);
	EXPECT_EQ(neighbour.info().state, unsigned{MAYFLY_PARKED});
	EXPECT_EQ(neighbour.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
	EXPECT_TRUE(neighbour.wait_for_end());
}

/// Reclaim takes pages one by one where the host has no block to ask for.
TEST_F(Workers, PageCacheMakesRoomForVmsOnAFragmentedHost)
{
	const live::cgroup group("mayfly-faults-test");

	group.set("memory.max", 8 << 20);
	live::fill_with_page_cache(group);
	const faults::no_blocks fragmented;

	EXPECT_TRUE(live::inside(group, [] {
		const live::fd own = live::open_device();
		const machine vm(live::make_image(own, guests::touch_all), own, 0, 6 << 20);

		return vm.run() == 0 && vm.info().reason == MAYFLY_END_EXITED;
	}));
}

TEST_F(Workers, SleepersThatCannotBeWarmedEndNoMemory)
{
	const live::fd image = live::make_image(device, guests::remember);
	std::vector<machine> vms;

	faults::put(cold_after, "1");
	for (int i = 0; i < 40; i++) {
		vms.emplace_back(image, device);
		vms.back().set_parameters(guests::range_gpa, 8);
		EXPECT_EQ(vms.back().control(MAYFLY_OP_START), 0);
	}
	ASSERT_TRUE(live::eventually([&] { return live::info(device).cold == vms.size(); }, 300));
	faults::put(cold_after, "0");
	{
		const faults::unlucky_threads unlucky(10, fetches_memory);
		std::vector<std::uint64_t> parked;

		for (const machine &vm : vms) {
			parked.push_back(vm.info().parked);
			EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, 1), 0);
		}
		// Some go cold again at once, for the sake of others.
		ASSERT_TRUE(live::eventually(
			[&] {
				return std::ranges::equal(vms, parked, [](const machine &vm, std::uint64_t before) {
					const mayfly_vm_info now = vm.info();

					return now.state == MAYFLY_ENDED ||
					       (now.state == MAYFLY_PARKED && now.parked > before);
				});
			},
			300));
	}
	// Who is still there has lost nothing: it compares all its memory.
	for (const machine &vm : vms)
		if (vm.info().state == MAYFLY_PARKED) {
			EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		}
	for (const machine &vm : vms)
		ASSERT_TRUE(vm.wait_for_end(300));
	EXPECT_EQ(count(vms, MAYFLY_END_EXITED) + count(vms, MAYFLY_END_NO_MEMORY), vms.size());
	EXPECT_GT(count(vms, MAYFLY_END_EXITED), 0u);
	for (const machine &vm : vms)
		EXPECT_EQ(vm.info().status, 0);
}

}
