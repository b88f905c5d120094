// SPDX-License-Identifier: Apache-2.0
//
// VMs never see each other: memory, registers, FPU; nor what was there before.

#include <algorithm>

#include "machine.hpp"

namespace
{

using live::machine;

class Isolation : public live::Live
{
protected:
	/// Runs \p count VMs of one guest side by side; all must end with \p status.
	void all_end_with(std::span<const std::byte> code, int count, std::int32_t status)
	{
		const live::fd image = live::make_image(device, code);
		std::vector<machine> all;

		for (int i = 0; i < count; i++)
			all.emplace_back(image, device, MAYFLY_SPAWN_START);
		for (const machine &vm : all) {
			ASSERT_TRUE(vm.wait_for_end());
			EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
			EXPECT_EQ(vm.info().status, status);
		}
	}
};

TEST_F(Isolation, MemoryIsEachVmsOwn)
{
	all_end_with(guests::park_stamped, 200, 0);
}

TEST_F(Isolation, RegistersAreEachVmsOwn)
{
	all_end_with(guests::registers_park, 200, 0);
}

TEST_F(Isolation, FpuRegistersAreEachVmsOwn)
{
	all_end_with(guests::xmm_park, 200, 0);
}

TEST_F(Isolation, FpuRegistersOfTheCallerSurviveRun)
{
	const live::fd image = live::make_image(device, guests::xmm_park);
	const machine vm(image, device);
	std::uint64_t before[2] = {0x1122334455667788, 0x99aabbccddeeff00}, after[2] = {};
	mayfly_run run{};
	long ret = MAYFLY_RUN;

	// ioctl by hand, so that the compiler has no say about xmm7 in between.
	do
		asm volatile("movdqu (%[before]), %%xmm7\n\t"
			     "mov $16, %%eax\n\t"
			     "syscall\n\t"
			     "movdqu %%xmm7, (%[after])"
			     : "=&a"(ret)
			     : [before] "r"(before), [after] "r"(after), "D"(static_cast<long>(vm.handle().get())),
			       "S"(MAYFLY_RUN), "d"(&run)
			     : "rcx", "r11", "xmm7", "memory");
	while (ret == 0 && run.outcome == MAYFLY_RAN_AGAIN);
	ASSERT_EQ(ret, 0);
	EXPECT_EQ(run.outcome, unsigned{MAYFLY_RAN_ENDED});
	EXPECT_EQ(vm.info().status, 0);
	EXPECT_EQ(after[0], before[0]);
	EXPECT_EQ(after[1], before[1]);
}

TEST_F(Isolation, FreedPagesComeBackZeroed)
{
	constexpr std::uint64_t pages = 3000;
	const live::fd writer = live::make_image(device, guests::stamp);
	const live::fd reader = live::make_image(device, guests::check_zero);

	for (int round = 0; round < 5; round++) {
		{
			const machine vm(writer, device);

			vm.set_parameters(guests::range_gpa, pages);
			ASSERT_EQ(vm.run(), 0);
			ASSERT_EQ(vm.info().status, 0);
		}
		const machine vm(reader, device);

		vm.set_parameters(guests::range_gpa, pages);
		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().status, 0);
		EXPECT_LT(vm.info().exits_by[MAYFLY_EXIT_MEMORY], pages / 10) << "a walk gets many at once";
	}
}

TEST_F(Isolation, DiscardedMemoryIsGone)
{
	const live::fd image = live::make_image(device, guests::discard_all);
	const machine vm(image, device);

	vm.set_parameters(guests::range_gpa, 500);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 0);
}

TEST_F(Isolation, ArgumentsAndIdsAreEachVmsOwn)
{
	const live::fd image = live::make_image(device, guests::exit_id);
	const machine a(image, device), b(image, device);

	ASSERT_EQ(a.run(), 0);
	ASSERT_EQ(b.run(), 0);
	EXPECT_EQ(static_cast<std::uint64_t>(a.info().status), a.info().id);
	EXPECT_EQ(static_cast<std::uint64_t>(b.info().status), b.info().id);
	EXPECT_NE(a.info().id, b.info().id);
}

}
