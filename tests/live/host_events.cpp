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

/// VMs that park and wake each millisecond, and three that never leave the CPU.
class crowd final
{
public:
	crowd(const live::fd &device, int count)
	{
		const live::fd waiting = live::make_image(device, guests::wait_loop);
		const live::fd spinning = live::make_image(device, guests::spin_cli);

		for (int i = 0; i < count; i++)
			waiters_.emplace_back(waiting, device, MAYFLY_SPAWN_START);
		for (int i = 0; i < 3; i++)
			spinners_.emplace_back(spinning, device, MAYFLY_SPAWN_START);
	}

	/// Everybody is still alive and has done something since the call.
	[[nodiscard]] bool gets_on() const
	{
		std::vector<std::uint64_t> parked, cpu;

		for (const machine &vm : waiters_)
			parked.push_back(vm.stat().parked);
		for (const machine &vm : spinners_)
			cpu.push_back(vm.info().cpu_ns);
		return live::eventually([&] {
			for (std::size_t i = 0; i < waiters_.size(); i++)
				if (waiters_[i].stat().parked <= parked[i])
					return false;
			for (std::size_t i = 0; i < spinners_.size(); i++)
				if (spinners_[i].info().cpu_ns <= cpu[i])
					return false;
			return true;
		});
	}
	/// The waiters end as they are asked to.
	void stop() const
	{
		for (const machine &vm : waiters_)
			EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		for (const machine &vm : waiters_) {
			ASSERT_TRUE(vm.wait_for_end());
			EXPECT_EQ(vm.info().status, 0);
		}
	}

private:
	std::vector<machine> waiters_, spinners_;
};

TEST_F(HostEvents, VmsLiveThroughCpusThatGoAndCome)
{
	if (access("/sys/devices/system/cpu/cpu1/online", W_OK))
		GTEST_SKIP() << "needs a second CPU that can be switched off";

	const crowd vms(device, 500);

	for (int round = 0; round < 3; round++) {
		EXPECT_TRUE(set_online(false));
		usleep(50000);
		EXPECT_TRUE(set_online(true));
		usleep(50000);
	}
	EXPECT_TRUE(vms.gets_on());
	vms.stop();
}

}
