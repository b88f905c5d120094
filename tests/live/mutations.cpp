// SPDX-License-Identifier: Apache-2.0
//
// Rules broken on purpose (kmod/mutation.h), to see the checks of them fire.

#include <fstream>

#include "machine.hpp"

namespace
{

using live::machine;

/// The numbers of enum mutation.
enum mutation { none, guest_cs };

class Mutations : public live::Live
{
protected:
	void SetUp() override
	{
		live::Live::SetUp();
		if (!(live::info(device).flags & MAYFLY_INFO_DEBUG))
			GTEST_SKIP() << "needs a module built with its debug checks";
	}
	void TearDown() override
	{
		mutate(none);
		live::Live::TearDown();
	}
	static void mutate(mutation which)
	{
		std::ofstream file("/sys/module/mayfly/parameters/mutation");

		file << static_cast<int>(which) << std::flush;
	}
};

TEST_F(Mutations, ARefusedEntryNamesTheRegister)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine before(image, device, MAYFLY_SPAWN_START);

	ASSERT_TRUE(live::eventually([&] { return before.info().state == MAYFLY_PARKED; }));
	mutate(guest_cs);
	{
		const machine vm(image, device);

		ASSERT_EQ(vm.run(), 0);

		const mayfly_vm_stat stat = vm.stat();

		EXPECT_EQ(stat.info.reason, unsigned{MAYFLY_END_BAD_STATE});
		EXPECT_EQ(stat.info.address, offsetof(mayfly_vcpu_state, cs));
		EXPECT_NE(stat.info.detail, 0u);
		EXPECT_EQ(stat.info.rip, guests::entry);
		EXPECT_EQ(stat.exits[MAYFLY_EXIT_INVALID], 1u);
	}
	mutate(none);

	// The CPU is none the worse for it: old guests go on, new ones run.
	EXPECT_EQ(before.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
	ASSERT_TRUE(before.wait_for_end());
	EXPECT_EQ(before.info().status, 1 << MAYFLY_EVENT_STOP);

	const live::fd other = live::make_image(device, guests::exit42);
	const machine after(other, device);

	ASSERT_EQ(after.run(), 0);
	EXPECT_EQ(after.info().status, 42);
}

}
