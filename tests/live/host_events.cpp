// SPDX-License-Identifier: Apache-2.0
//
// What happens to the host while VMs run: CPUs go and come, workers are moved.

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

#include <sched.h>
#include <sys/stat.h>
#include <sys/timex.h>

#include "machine.hpp"

namespace
{

using live::machine;
using live::workers;

class HostEvents : public live::Live
{
protected:
	[[nodiscard]] static bool write(const std::string &path, const std::string &text)
	{
		std::ofstream file(path);

		file << text << std::flush;
		return file.good();
	}
	static bool set_online(bool online) { return write("/sys/devices/system/cpu/cpu1/online", online ? "1" : "0"); }
	[[nodiscard]] static bool has_two_cpus() { return sysconf(_SC_NPROCESSORS_ONLN) > 1; }
	/// Where a thread may run now, as the kernel says it: "0-1".
	[[nodiscard]] static std::string allowed(pid_t thread)
	{
		std::ifstream file("/proc/" + std::to_string(thread) + "/status");
		const std::string key = "Cpus_allowed_list:\t";

		for (std::string line; std::getline(file, line);)
			if (line.starts_with(key))
				return line.substr(key.size());
		return {};
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
			parked.push_back(vm.info().parked);
		for (const machine &vm : spinners_)
			cpu.push_back(vm.info().cpu_ns);
		return live::eventually([&] {
			for (std::size_t i = 0; i < waiters_.size(); i++)
				if (waiters_[i].info().parked <= parked[i])
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
		EXPECT_TRUE(vms.gets_on());
		EXPECT_TRUE(set_online(true));
		EXPECT_TRUE(vms.gets_on());
	}
	vms.stop();
}

TEST_F(HostEvents, VmsLiveThroughWorkersThatAreMoved)
{
	if (!has_two_cpus())
		GTEST_SKIP() << "needs two CPUs";

	const crowd vms(device, 50);

	EXPECT_TRUE(live::eventually([] { return workers().size() == 2; }));

	const std::vector<pid_t> threads = workers();

	for (const unsigned long mask : {1ul, 2ul, 1ul, 3ul}) {
		cpu_set_t set;

		CPU_ZERO(&set);
		for (const int cpu : {0, 1})
			if (mask >> cpu & 1)
				CPU_SET(cpu, &set);
		for (const pid_t thread : threads)
			EXPECT_EQ(sched_setaffinity(thread, sizeof set, &set), 0) << strerror(errno);
		EXPECT_TRUE(vms.gets_on()) << "on CPUs " << mask;
	}
	vms.stop();
}

TEST_F(HostEvents, WorkersAreMadeWhenTheyAreNeeded)
{
	if (!has_two_cpus())
		GTEST_SKIP() << "needs two CPUs";

	const machine sleeper(live::make_image(device, guests::wait_forever), device, MAYFLY_SPAWN_START);

	EXPECT_TRUE(live::eventually([&] { return sleeper.info().state == MAYFLY_PARKED; }));
	EXPECT_EQ(workers().size(), 1u);

	const crowd vms(device, 50);

	EXPECT_TRUE(live::eventually([] { return workers().size() == 2; }));
	EXPECT_TRUE(vms.gets_on());
	EXPECT_EQ(workers().size(), 2u) << "as many as CPUs";
	vms.stop();
}

TEST_F(HostEvents, ACgroupHasNoMoreWorkersThanCpus)
{
	const std::string root = "/sys/fs/cgroup", group = root + "/mayfly-live-cpuset";

	ASSERT_TRUE(write(root + "/cgroup.subtree_control", "+cpuset"));
	ASSERT_EQ(mkdir(group.c_str(), 0755), 0) << strerror(errno);
	EXPECT_TRUE(write(group + "/cpuset.cpus", "0"));
	EXPECT_TRUE(write(group + "/cgroup.procs", "0"));
	{
		const crowd vms(device, 50);

		EXPECT_TRUE(vms.gets_on());
		EXPECT_TRUE(vms.gets_on());
		EXPECT_EQ(workers().size(), 1u);
		vms.stop();
	}
	EXPECT_TRUE(write(root + "/cgroup.procs", "0"));
	EXPECT_TRUE(live::eventually([&] { return rmdir(group.c_str()) == 0; })) << strerror(errno);
}

TEST_F(HostEvents, VmsLiveThroughACpusetThatChanges)
{
	const std::string root = "/sys/fs/cgroup", group = root + "/mayfly-live-cpuset";

	if (!has_two_cpus())
		GTEST_SKIP() << "needs two CPUs";
	ASSERT_TRUE(write(root + "/cgroup.subtree_control", "+cpuset"));
	ASSERT_EQ(mkdir(group.c_str(), 0755), 0) << strerror(errno);
	EXPECT_TRUE(write(group + "/cpuset.cpus", "0-1"));
	EXPECT_TRUE(write(group + "/cgroup.procs", "0"));
	{
		const crowd vms(device, 50);

		EXPECT_TRUE(live::eventually([] { return workers().size() == 2; }));

		const std::vector<pid_t> threads = workers();

		for (const char *cpus : {"0", "1", "0-1"}) {
			EXPECT_TRUE(write(group + "/cpuset.cpus", cpus));
			for (const pid_t thread : threads)
				EXPECT_EQ(allowed(thread), cpus);
			EXPECT_TRUE(vms.gets_on()) << "on CPUs " << cpus;
		}
		vms.stop();
	}
	EXPECT_TRUE(write(root + "/cgroup.procs", "0"));
	EXPECT_TRUE(live::eventually([&] { return rmdir(group.c_str()) == 0; })) << strerror(errno);
}

/// The host's Unix time, which is as right at the end as it was before.
class host_clock final
{
public:
	using unix_clock = std::chrono::system_clock;

	host_clock() = default;
	~host_clock()
	{
		run_fast(false);
		set(before_ +
		    std::chrono::duration_cast<unix_clock::duration>(std::chrono::steady_clock::now() - began_));
	}
	host_clock(const host_clock &) = delete;
	host_clock &operator=(const host_clock &) = delete;

	static void set(unix_clock::time_point to)
	{
		const auto ns = std::chrono::nanoseconds(to.time_since_epoch()).count();
		const timespec time{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};

		EXPECT_EQ(clock_settime(CLOCK_REALTIME, &time), 0) << strerror(errno);
	}
	/// A tenth faster than it should, or as fast as it should.
	static void run_fast(bool fast)
	{
		timex change{};

		change.modes = ADJ_TICK;
		change.tick = fast ? 11000 : 10000;
		EXPECT_GE(adjtimex(&change), 0) << strerror(errno);
	}

private:
	unix_clock::time_point before_ = unix_clock::now();
	std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// A VM of the workers that parks and wakes, one that never leaves the CPU, and one
/// that does so in a thread of its own.
class all_sorts final
{
public:
	explicit all_sorts(const live::fd &device)
		: waits(live::make_image(device, guests::wait_loop), device, MAYFLY_SPAWN_START),
		  spins(live::make_image(device, guests::spin), device, MAYFLY_SPAWN_START),
		  attached(live::make_image(device, guests::spin), device), runner_([this] { attached.run(); })
	{
	}
	~all_sorts()
	{
		EXPECT_EQ(attached.control(MAYFLY_OP_KILL), 0);
		runner_.join();
	}
	all_sorts(const all_sorts &) = delete;
	all_sorts &operator=(const all_sorts &) = delete;

	template <class What> void for_each(What what) const
	{
		for (const machine *vm : {&waits, &spins, &attached})
			what(*vm);
	}

	machine waits, spins, attached;

private:
	std::thread runner_;
};

/// When the guest's clock began, as it computes Unix time.
std::chrono::nanoseconds wall(const machine &vm)
{
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	const std::uint64_t ns = live::device_page(vm).clock.wall_ns;

	EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	return std::chrono::nanoseconds(ns);
}

TEST_F(HostEvents, GuestsLearnThatTheClockWasSet)
{
	using namespace std::chrono_literals;
	const all_sorts vms(device);
	const host_clock clock;
	std::map<const machine *, std::chrono::nanoseconds> before;
	std::chrono::nanoseconds steps = 0ns;

	vms.for_each([&](const machine &vm) { before[&vm] = wall(vm); });
	for (const std::chrono::nanoseconds step : {1h, -2h}) {
		host_clock::set(host_clock::unix_clock::now() + step);
		steps += step;
		vms.for_each([&](const machine &vm) {
			const auto is_set = [&] { return std::chrono::abs(wall(vm) - before[&vm] - steps) < 1s; };

			EXPECT_TRUE(live::eventually(is_set)) << (wall(vm) - before[&vm]).count();

			const auto age = host_clock::unix_clock::now().time_since_epoch() -
					 std::chrono::nanoseconds(vm.info().created_ns);

			EXPECT_GE(age, 0s);
			EXPECT_LT(age, 1h) << "it is not older for that";
		});
	}
}

TEST_F(HostEvents, GuestsFollowAClockThatIsSlewed)
{
	using namespace std::chrono_literals;
	const all_sorts vms(device);
	const host_clock clock;

	host_clock::run_fast(true);
	vms.for_each([&](const machine &vm) {
		// The first time may be for what was before.
		for (int round = 0; round < 2; round++) {
			const auto before = wall(vm);

			EXPECT_TRUE(live::eventually([&] { return wall(vm) - before > 20ms; }))
				<< (wall(vm) - before).count();
		}
	});
}

}
