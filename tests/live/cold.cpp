// SPDX-License-Identifier: Apache-2.0
//
// VMs that sleep give back what can be made again, and notice nothing of it.

#include <fstream>

#include "machine.hpp"

namespace
{

using live::machine;
using live::shrink;

class Cold : public live::Live
{
protected:
	void SetUp() override
	{
		live::Live::SetUp();
		std::ifstream(parameter) >> usual_;
		set_age(0);
	}
	void TearDown() override
	{
		set_age(usual_);
		live::Live::TearDown();
	}
	static void set_age(unsigned ms)
	{
		std::ofstream file(parameter);

		file << ms << std::flush;
		EXPECT_TRUE(file.good()) << parameter;
	}
	static bool is_parked(const machine &vm) { return vm.info().state == MAYFLY_PARKED; }
	static bool is_cold(const machine &vm) { return vm.info().flags & MAYFLY_VM_COLD; }

	/// Started VMs that have filled \p pages and now wait.
	[[nodiscard]] std::vector<machine> sleepers(int count, std::uint64_t pages)
	{
		const live::fd image = live::make_image(device, guests::remember);
		std::vector<machine> all;

		for (int i = 0; i < count; i++) {
			all.emplace_back(image, device);
			all.back().set_parameters(guests::range_gpa, pages);
			EXPECT_EQ(all.back().control(MAYFLY_OP_START), 0);
		}
		for (const machine &vm : all)
			EXPECT_TRUE(live::eventually([&] { return is_parked(vm); }));
		return all;
	}
	static void expect_answer(const machine &vm)
	{
		const std::uint64_t before = vm.info().parked;

		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);
		ASSERT_TRUE(live::eventually([&] { return vm.info().parked > before; }))
			<< "status " << vm.info().status;
	}
	static void expect_good_end(const machine &vm)
	{
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		ASSERT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, 0) << "1: memory, 2: device page";
	}

	static constexpr const char *parameter = "/sys/module/mayfly/parameters/cold_after_ms";

private:
	unsigned usual_ = 0;
};

TEST_F(Cold, ByAgeAndBackByAnEvent)
{
	const std::vector<machine> vms = sleepers(1, 1);
	const machine &vm = vms[0];
	const mayfly_vm_info warm = vm.info();

	EXPECT_FALSE(is_cold(vm));
	EXPECT_EQ(live::info(device).cold, 0u);
	set_age(50);
	ASSERT_TRUE(live::eventually([&] { return is_cold(vm); }));
	EXPECT_EQ(live::info(device).cold, 1u);

	const mayfly_vm_info cold = vm.info();

	EXPECT_EQ(cold.table_pages, 0u);
	EXPECT_EQ(cold.device_pages, 0u);
	EXPECT_LT(cold.guest_pages, warm.guest_pages + 1);
	EXPECT_LE(cold.private_bytes, 12u << 10);
	EXPECT_EQ(cold.parked, warm.parked) << "going cold is not a life of its own";
	EXPECT_EQ(cold.exits, warm.exits);

	set_age(0);
	const std::uint64_t warmed = live::info(device).warmed;

	expect_answer(vm);
	EXPECT_EQ(live::info(device).warmed, warmed + 1);
	EXPECT_EQ(live::info(device).cold, 0u);
	EXPECT_EQ(vm.info().table_pages, warm.table_pages);
	EXPECT_EQ(vm.info().device_pages, 1u);
	expect_good_end(vm);
}

TEST_F(Cold, AllByTheShrinkerManyTimes)
{
	const std::vector<machine> vms = sleepers(100, 3);

	for (int round = 0; round < 3; round++) {
		ASSERT_TRUE(live::eventually([&] { return shrink(), live::info(device).cold == vms.size(); }));
		for (const machine &vm : vms)
			expect_answer(vm);
		EXPECT_EQ(live::info(device).cold, 0u);
	}
	for (const machine &vm : vms)
		expect_good_end(vm);
}

TEST_F(Cold, WhoHasMuchKeepsItsTables)
{
	const std::vector<machine> vms = sleepers(2, 100);

	shrink();
	shrink();
	for (const machine &vm : vms) {
		EXPECT_FALSE(is_cold(vm));
		expect_answer(vm);
		expect_good_end(vm);
	}
}

TEST_F(Cold, CanBePausedReadKilledAndRunAttached)
{
	const std::vector<machine> vms = sleepers(3, 1);

	ASSERT_TRUE(live::eventually([&] { return shrink(), live::info(device).cold == 3; }));
	EXPECT_EQ(vms[0].control(MAYFLY_OP_KILL), 0);
	EXPECT_EQ(live::info(device).cold, 2u);

	ASSERT_EQ(vms[1].control(MAYFLY_OP_PAUSE), 0);
	const live::vcpu_state state = vms[1].state();

	EXPECT_EQ(state.regs[13], vms[1].info().id); // where the guest keeps it
	EXPECT_EQ(vms[1].set_state(state), 0);       // it waits no more
	ASSERT_EQ(vms[1].control(MAYFLY_OP_RESUME), 0);
	expect_good_end(vms[1]);

	// One that nobody runs can go cold as well.
	const live::fd image = live::make_image(device, guests::remember);
	const machine attached(image, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(attached.run(MAYFLY_RUN_UNTIL_PARK), 0);
	ASSERT_TRUE(live::eventually([&] { return shrink(), is_cold(attached); }));
	ASSERT_EQ(attached.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
	ASSERT_EQ(attached.run(0, &outcome), 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_ENDED});
	EXPECT_EQ(attached.info().status, 0);
	expect_good_end(vms[2]);
}

TEST_F(Cold, EventsRaceWithGoingCold)
{
	const std::vector<machine> vms = sleepers(20, 2);
	const std::vector<machine> others = sleepers(1, 30);
	const machine &paused_now_and_then = others[0];
	const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(2);

	set_age(1);
	while (std::chrono::steady_clock::now() < limit) {
		shrink();
		for (const machine &vm : vms)
			ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0) << "status " << vm.info().status;
		// Its clock is on the device page.
		ASSERT_EQ(paused_now_and_then.control(MAYFLY_OP_PAUSE), 0);
		live::vcpu_state state = paused_now_and_then.state();
		state.tsc_offset++;
		ASSERT_EQ(paused_now_and_then.set_state(state), 0);
		ASSERT_EQ(paused_now_and_then.control(MAYFLY_OP_RESUME), 0);
	}
	for (const machine &vm : vms)
		expect_good_end(vm);
	EXPECT_GT(live::info(device).warmed, 0u);
}

}
