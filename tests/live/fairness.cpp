// SPDX-License-Identifier: Apache-2.0
//
// Who gets how much of a CPU that all want. Only a machine whose clock stands still
// when it does can tell (Bochs; QEMU with --icount): elsewhere what the emulator
// loses to other processes is charged to whichever VM ran just then.

#include <algorithm>
#include <fstream>
#include <thread>

#include <sched.h>

#include "machine.hpp"

namespace
{

using live::machine;

class Fairness : public live::Live
{
protected:
	/// Puts every worker on the first CPU.
	static void gather_workers()
	{
		const auto cpus = static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_ONLN));
		cpu_set_t first;

		EXPECT_TRUE(live::eventually([&] { return live::workers().size() == cpus; }));
		CPU_ZERO(&first);
		CPU_SET(0, &first);
		for (const pid_t worker : live::workers())
			EXPECT_EQ(sched_setaffinity(worker, sizeof(first), &first), 0);
	}
	static std::uint64_t least_cpu(const std::vector<machine> &vms)
	{
		std::uint64_t least = ~0ull;

		for (const machine &vm : vms)
			least = std::min<std::uint64_t>(least, vm.info().cpu_ns);
		return least;
	}
	/// Until each of them has had \p ns more.
	static void run_for(const std::vector<machine> &vms, std::uint64_t ns)
	{
		const std::uint64_t enough = least_cpu(vms) + ns;

		EXPECT_TRUE(live::eventually([&] { return usleep(100000), least_cpu(vms) > enough; }, 200));
	}
	/// How much less than the most the least gets, while each gets \p ns and more.
	static double spread_over(const std::vector<machine> &vms, std::uint64_t ns)
	{
		std::vector<std::uint64_t> before, got;

		for (const machine &vm : vms)
			before.push_back(vm.info().cpu_ns);
		run_for(vms, ns);
		for (std::size_t i = 0; i < vms.size(); i++)
			got.push_back(vms[i].info().cpu_ns - before[i]);

		const auto [least, most] = std::ranges::minmax(got);

		return static_cast<double>(most - least) / static_cast<double>(most);
	}
};

TEST_F(Fairness, SpinnersShareACpuAndSleepersGetOn)
{
	const live::fd spin = live::make_image(device, guests::spin);
	const live::fd spin_cli = live::make_image(device, guests::spin_cli);
	const live::fd wait = live::make_image(device, guests::wait_loop);
	std::vector<machine> spinners, sleepers;

	for (int i = 0; i < 25; i++) {
		spinners.emplace_back(spin, device, MAYFLY_SPAWN_START);
		spinners.emplace_back(spin_cli, device, MAYFLY_SPAWN_START);
	}
	for (int i = 0; i < 4; i++)
		sleepers.emplace_back(wait, device, MAYFLY_SPAWN_START);
	gather_workers();

	std::vector<std::uint64_t> parked;

	for (const machine &vm : sleepers)
		parked.push_back(vm.info().parked);

	run_for(spinners, 30'000'000); // what came before is made up for

	const double spread = spread_over(spinners, 120'000'000);

	std::printf("CPU time of equals differs by %.1f %%\n", spread * 100);
	EXPECT_LE(spread, 0.05);
	for (std::size_t i = 0; i < sleepers.size(); i++)
		EXPECT_GE(sleepers[i].info().parked - parked[i], 50u);
}

/// The scheduler asks an attached VM's thread for the CPU; no timer does.
TEST_F(Fairness, AProcessThatWakesDoesNotWaitForATick)
{
	const machine vm(live::make_image(device, guests::spin), device, 0);
	const std::jthread runner([&] { EXPECT_EQ(vm.run(), 0); });
	constexpr int naps = 100;
	const auto one = std::chrono::milliseconds(1);
	const auto began = std::chrono::steady_clock::now();

	for (int i = 0; i < naps; i++)
		std::this_thread::sleep_for(one);

	const std::chrono::duration<double, std::milli> late = std::chrono::steady_clock::now() - began - naps * one;

	std::printf("late by %.2f ms\n", late.count() / naps);
	// Where ticks are 1 ms, to wait for the next makes this 0.45.
	EXPECT_LT(late.count() / naps, 0.2);
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
}

}
