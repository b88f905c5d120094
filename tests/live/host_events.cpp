// SPDX-License-Identifier: Apache-2.0
//
// What happens to the host while VMs run: CPUs go and come.

#include <algorithm>
#include <fstream>

#include "machine.hpp"

namespace
{

using live::machine;

class HostEvents : public live::Live
{
protected:
	static bool set_online(bool online)
	{
		std::ofstream file("/sys/devices/system/cpu/cpu1/online");

		file << (online ? "1" : "0") << std::flush;
		return file.good();
	}
};

TEST_F(HostEvents, VmsLiveThroughCpusThatGoAndCome)
{
	if (access("/sys/devices/system/cpu/cpu1/online", W_OK))
		GTEST_SKIP() << "needs a second CPU that can be switched off";

	const live::fd waiting = live::make_image(device, guests::wait_loop);
	const live::fd spinning = live::make_image(device, guests::spin_cli);
	std::vector<machine> waiters, spinners;

	for (int i = 0; i < 500; i++)
		waiters.emplace_back(waiting, device, MAYFLY_SPAWN_START);
	for (int i = 0; i < 3; i++)
		spinners.emplace_back(spinning, device, MAYFLY_SPAWN_START);

	for (int round = 0; round < 3; round++) {
		EXPECT_TRUE(set_online(false));
		usleep(50000);
		EXPECT_TRUE(set_online(true));
		usleep(50000);
	}

	// Everybody is still alive and gets on.
	std::vector<std::uint64_t> parked, cpu;

	for (const machine &vm : waiters)
		parked.push_back(vm.stat().parked);
	for (const machine &vm : spinners)
		cpu.push_back(vm.info().cpu_ns);
	EXPECT_TRUE(live::eventually([&] {
		for (std::size_t i = 0; i < waiters.size(); i++)
			if (waiters[i].stat().parked <= parked[i])
				return false;
		for (std::size_t i = 0; i < spinners.size(); i++)
			if (spinners[i].info().cpu_ns <= cpu[i])
				return false;
		return true;
	}));
	for (const machine &vm : waiters)
		EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
	for (const machine &vm : waiters) {
		ASSERT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().status, 0);
	}
}

}
