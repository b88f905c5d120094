// SPDX-License-Identifier: Apache-2.0
//
// Every knob of a real cgroup, for VMs that workers run ("started") and for those
// that run in a process of the cgroup ("attached").
//
// A VM belongs to the cgroup of whoever made it. How long others wait is compared
// with a control run: an emulated machine itself stands still now and then.

#include <atomic>
#include <thread>

#include <sys/eventfd.h>

#include "cgroup.hpp"
#include "crowd.hpp"

namespace
{

using live::cgroup;
using live::crowd;
using live::inside;
using live::machine;
using live::resident;

constexpr std::uint64_t page = 4096, mib = 1 << 20;

/// Time that has passed.
class timer final
{
public:
	[[nodiscard]] std::int64_t ms() const
	{
		return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start_)
			.count();
	}

private:
	std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class Cgroups : public live::Live
{
protected:
	[[nodiscard]] live::fd image(std::span<const std::byte> code) const { return live::make_image(device, code); }

	/// A VM of \p group, whoever runs it.
	[[nodiscard]] machine make(const cgroup &group, std::span<const std::byte> code, std::uint32_t flags = 0,
				   std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		const live::fd start = image(code);

		group.enter();
		machine vm(start, device, flags, memory);
		cgroup::leave();
		return vm;
	}
	[[nodiscard]] machine start(const cgroup &group, std::span<const std::byte> code,
				    std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		return make(group, code, MAYFLY_SPAWN_START, memory);
	}
	/// Starts it with r8 and r9 set. A cgroup's first start comes from inside of it.
	[[nodiscard]] machine start_with(const cgroup &group, std::span<const std::byte> code, std::uint64_t r8,
					 std::uint64_t r9, std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		machine vm = make(group, code, 0, memory);

		vm.set_parameters(r8, r9);
		group.enter();
		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		cgroup::leave();
		return vm;
	}
	[[nodiscard]] machine start_outside(std::span<const std::byte> code) const
	{
		return machine(image(code), device, MAYFLY_SPAWN_START);
	}
	/// Runs it in the calling process to its end, as vmctl does.
	static bool run_to_end(const machine &vm)
	{
		int ret;

		while ((ret = vm.run()) == -EINTR)
			;
		return ret == 0;
	}
	/// It gets on: it has had more CPU time and parked more often, if it ever does.
	static bool gets_on(const machine &vm)
	{
		const mayfly_vm_info before = vm.info();

		return live::eventually([&] {
			const mayfly_vm_info now = vm.info();

			return before.parked ? now.parked > before.parked + 5 : now.cpu_ns > before.cpu_ns;
		});
	}
	/// It has the CPU no more, while \p other has it for \p ns.
	static bool stands_still(const machine &vm, const machine &other, std::uint64_t ns = 200'000'000)
	{
		const std::uint64_t before = vm.info().cpu_ns, until = other.info().cpu_ns + ns;

		return live::eventually([&] { return other.info().cpu_ns > until; }) && vm.info().cpu_ns == before;
	}
	static std::uint32_t reason_of(const machine &vm) { return vm.info().reason; }

	/// Ends a wait_worst; the longest of its waits, in us.
	static std::int32_t longest_wait(const machine &vm)
	{
		EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		EXPECT_TRUE(vm.wait_for_end());
		EXPECT_EQ(reason_of(vm), unsigned{MAYFLY_END_EXITED});
		return vm.info().status;
	}
	static void expect_no_stall(std::int32_t longest, std::int32_t in_control_run, const char *whose)
	{
		std::printf("%s longest wait for 1 ms: %d us, without pressure %d us\n", whose, longest,
			    in_control_run);
		EXPECT_LT(longest, 3 * in_control_run + 500'000) << whose;
	}
};

/// The longest waits of two VMs that want nothing, while one of \p group fills 64 MiB.
struct waits {
	std::int32_t same_cgroup, outside;
};

class CgroupsMemory : public Cgroups
{
protected:
	[[nodiscard]] waits fill(const cgroup &group, bool attached, std::uint32_t end) const
	{
		const machine same = start(group, guests::wait_worst), outside = start_outside(guests::wait_worst);
		const machine greedy = make(group, guests::touch_all, attached ? 0 : MAYFLY_SPAWN_START, 64 * mib);

		if (attached) {
			EXPECT_TRUE(inside(group, [&] { return run_to_end(greedy); }));
		}
		EXPECT_TRUE(greedy.wait_for_end());
		EXPECT_EQ(reason_of(greedy), end);
		return {longest_wait(same), longest_wait(outside)};
	}
};

TEST_F(CgroupsMemory, MaxEndsTheVmNotItsNeighbours)
{
	const cgroup group;
	// As small as a shell, in the same cgroup: nobody may kill it.
	const resident shell(group, [] { return pause(); });

	for (const bool attached : {false, true}) {
		group.set("memory.max", "max");
		const waits control = fill(group, attached, MAYFLY_END_EXITED);

		group.set("memory.max", 24 * mib);
		const waits full = fill(group, attached, MAYFLY_END_NO_MEMORY);

		expect_no_stall(full.same_cgroup, control.same_cgroup, "the cgroup's other VM's");
		expect_no_stall(full.outside, control.outside, "another cgroup's VM's");
	}
	EXPECT_GT(group.number("memory.events", "max"), 0u) << "the VM was not charged to its creator";
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
	EXPECT_FALSE(shell.has_ended());
}

TEST_F(CgroupsMemory, PageCacheMakesRoomForVms)
{
	const cgroup group;

	group.set("memory.max", 16 * mib);
	for (const bool attached : {false, true}) {
		live::fill_with_page_cache(group);
		const machine vm = make(group, guests::touch_all, attached ? 0 : MAYFLY_SPAWN_START, 10 * mib);

		if (attached) {
			EXPECT_TRUE(inside(group, [&] { return run_to_end(vm); }));
		}
		EXPECT_TRUE(vm.wait_for_end());
		EXPECT_EQ(reason_of(vm), unsigned{MAYFLY_END_EXITED});
	}
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
}

/// Sleeps for a millisecond again and again, as wait_worst does. What keeps this thread of
/// the host from waking up has nothing to do with VMs.
class sleeper_of_the_host final
{
public:
	sleeper_of_the_host(const sleeper_of_the_host &) = delete;
	sleeper_of_the_host &operator=(const sleeper_of_the_host &) = delete;
	sleeper_of_the_host() = default;
	~sleeper_of_the_host()
	{
		ends_ = true;
		thread_.join();
	}
	[[nodiscard]] std::int64_t longest_us() const { return longest_us_; }

private:
	void sleep_on()
	{
		while (!ends_) {
			const auto before = std::chrono::steady_clock::now();

			std::this_thread::sleep_for(std::chrono::milliseconds(1));
			const auto took = std::chrono::steady_clock::now() - before;

			longest_us_ = std::max<std::int64_t>(
				longest_us_, std::chrono::duration_cast<std::chrono::microseconds>(took).count());
		}
	}

	std::atomic<bool> ends_ = false;
	std::atomic<std::int64_t> longest_us_ = 0;
	std::thread thread_{[this] { sleep_on(); }};
};

TEST_F(CgroupsMemory, HighMakesVmsWaitAndNotTheirNeighbours)
{
	constexpr std::uint64_t memory = 256 * mib;
	const cgroup group;

	for (const bool attached : {false, true}) {
		const sleeper_of_the_host host;
		const machine same = start(group, guests::wait_worst), outside = start_outside(guests::wait_worst);
		const auto begin = [&](const machine &vm) {
			return std::make_unique<resident>(group, [&] {
				return attached ? run_to_end(vm) : vm.control(MAYFLY_OP_START) == 0;
			});
		};
		std::int64_t usual = 0;
		{
			const machine vm = make(group, guests::touch_all, 0, memory);
			const timer time;
			const auto runner = begin(vm);

			EXPECT_TRUE(vm.wait_for_end());
			usual = time.ms();
		}
		group.set("memory.high", 16 * mib);
		const machine vm = make(group, guests::touch_all, 0, memory);
		const timer time;
		const auto runner = begin(vm);

		EXPECT_TRUE(live::eventually([&] { return time.ms() > 3 * usual + 3000; }));
		EXPECT_EQ(reason_of(vm), unsigned{MAYFLY_END_NONE});
		EXPECT_LT(group.number("memory.current"), 48 * mib);
		EXPECT_GT(group.number("memory.events", "high"), 0u);
		EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
		// Whoever waited for more than a second was made to, unless all the machine stood still.
		for (const machine *neighbour : {&same, &outside})
			EXPECT_LT(longest_wait(*neighbour), 1'000'000 + 2 * host.longest_us());
		group.set("memory.high", "max");
	}
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
}

/// Its claim is the line's, which hands it over; what it waits for it asks for again.
TEST_F(CgroupsMemory, OneThatWaitsForMemoryCanBeSnapshotted)
{
	constexpr std::uint64_t memory = 64 * mib;
	const cgroup group;
	std::vector<live::fd> images;

	group.set("memory.high", 16 * mib);
	const machine vm = start(group, guests::touch_all, memory);

	ASSERT_TRUE(live::eventually([&] { return group.number("memory.events", "high") > 0; }));
	for (int i = 0; i < 10; i++) {
		const int taken = live::take_snapshot(vm);

		EXPECT_TRUE(taken >= 0 || taken == -ENOMEM) << taken;
		if (taken >= 0)
			images.emplace_back(taken);
	}
	EXPECT_EQ(reason_of(vm), unsigned{MAYFLY_END_NONE});
	group.set("memory.high", "max");
	EXPECT_TRUE(vm.wait_for_end());
	EXPECT_EQ(reason_of(vm), unsigned{MAYFLY_END_EXITED});
	EXPECT_FALSE(images.empty());
	for (const live::fd &taken : images) {
		const machine clone(taken, device, MAYFLY_SPAWN_START, memory);

		EXPECT_TRUE(clone.wait_for_end());
		EXPECT_EQ(reason_of(clone), unsigned{MAYFLY_END_EXITED});
	}
}

TEST_F(CgroupsMemory, HundredsThatWaitAboveHighDoNotHoldUpOthersFaults)
{
	constexpr std::uint64_t ballast = 64 * mib / page, pages = 100;
	const cgroup poor("mayfly-live-poor"), modest("mayfly-live-modest");
	const machine holds = start_with(modest, guests::stamp_wait, guests::range_gpa, ballast, 128 * mib);

	EXPECT_TRUE(live::eventually([&] { return holds.info().state == MAYFLY_PARKED; }));
	// Every fault of its VMs goes the long way, but for so little nobody has to wait.
	modest.set("memory.high", modest.number("memory.current") - 16 * page);

	const auto time_of_faults = [&] {
		const timer time;
		const machine vm = start_with(modest, guests::stamp, guests::range_gpa, pages);

		EXPECT_TRUE(vm.wait_for_end());
		EXPECT_EQ(reason_of(vm), unsigned{MAYFLY_END_EXITED});
		return time.ms();
	};
	const std::int64_t control = time_of_faults();
	const live::fd greedy = image(guests::touch_all);

	poor.set("memory.high", 16 * mib);
	poor.enter();
	crowd all(device, greedy, 400, MAYFLY_SPAWN_START, 64 * mib);
	cgroup::leave();
	EXPECT_EQ(all.result(), 0);
	EXPECT_TRUE(live::eventually([&] { return poor.number("memory.current") > 17 * mib; }));

	const std::int64_t under_pressure = time_of_faults();

	std::printf("%lu faults take %ld ms, without others' pressure %ld ms\n", pages, under_pressure, control);
	EXPECT_LT(under_pressure, 5 * control + 1000);
	EXPECT_EQ(all.count(live::is_ended), 0u);

	// Nor do they hold up who wants to be rid of them.
	const timer time;

	EXPECT_EQ(all.control(MAYFLY_OP_KILL), 400u);
	EXPECT_LT(time.ms(), 20000);
}

/// A cgroup's sleeping VMs, and no time after which they go cold.
class CgroupsCold : public Cgroups
{
protected:
	void SetUp() override
	{
		Cgroups::SetUp();
		std::ifstream(parameter) >> usual_;
		std::ofstream(parameter) << 0;
	}
	void TearDown() override
	{
		std::ofstream(parameter) << usual_;
		Cgroups::TearDown();
	}
	[[nodiscard]] std::vector<machine> sleepers(const cgroup &group, int count) const
	{
		std::vector<machine> all;

		for (int i = 0; i < count; i++)
			all.push_back(start(group, guests::remember));
		for (const machine &vm : all)
			EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
		return all;
	}
	[[nodiscard]] static std::ptrdiff_t cold(const std::vector<machine> &vms)
	{
		return std::ranges::count_if(vms, [](const machine &vm) { return vm.info().flags & MAYFLY_VM_COLD; });
	}
	static bool answers(const machine &vm)
	{
		const std::uint64_t before = vm.info().parked;

		return vm.control(MAYFLY_OP_NOTIFY, 5) == 0 &&
		       live::eventually([&] { return vm.info().parked > before || reason_of(vm); }) && !reason_of(vm);
	}

private:
	static constexpr const char *parameter = "/sys/module/mayfly/parameters/cold_after_ms";
	unsigned usual_ = 0;
};

TEST_F(CgroupsCold, SleepersOfAFullCgroupGoColdForOneThatWantsMemory)
{
	for (const bool attached : {false, true}) {
		const cgroup group;
		const std::vector<machine> own = sleepers(group, 150);
		std::vector<machine> others;

		others.push_back(start_outside(guests::remember));
		EXPECT_TRUE(live::eventually([&] { return others[0].info().state == MAYFLY_PARKED; }));
		usleep(200000); // they have slept, not napped

		const machine wants = make(group, guests::stamp);

		wants.set_parameters(guests::range_gpa, 400);
		// Room for the process that runs it, too, but not for what it wants.
		group.set("memory.max", group.number("memory.current") + 512 * 1024);
		if (attached) {
			EXPECT_TRUE(inside(group, [&] { return run_to_end(wants); }));
		} else {
			EXPECT_EQ(wants.control(MAYFLY_OP_START), 0);
		}
		EXPECT_TRUE(wants.wait_for_end());
		EXPECT_EQ(reason_of(wants), unsigned{MAYFLY_END_EXITED});
		EXPECT_GT(cold(own), 0);
		EXPECT_EQ(cold(others), 0) << "another cgroup has paid";
		EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
		// They have lost nothing.
		group.set("memory.max", "max");
		for (const machine &vm : own)
			EXPECT_TRUE(answers(vm));
	}
}

TEST_F(CgroupsCold, AColdVmThatWakesInAFullCgroupEndsAndNobodyElse)
{
	const cgroup group;
	const std::vector<machine> cold_ones = sleepers(group, 1);
	const machine neighbour = start(group, guests::wait_loop), outside = start_outside(guests::wait_loop);

	EXPECT_TRUE(live::eventually([&] {
		std::ofstream("/proc/sys/vm/drop_caches") << 2;
		return cold(cold_ones) == 1;
	}));
	// Less than it has already; nobody is in it who could be killed for that.
	group.set("memory.max", "0");
	EXPECT_EQ(cold_ones[0].control(MAYFLY_OP_NOTIFY, 5), 0);
	EXPECT_TRUE(cold_ones[0].wait_for_end());
	EXPECT_EQ(reason_of(cold_ones[0]), unsigned{MAYFLY_END_NO_MEMORY});
	EXPECT_TRUE(gets_on(neighbour));
	EXPECT_TRUE(gets_on(outside));
	EXPECT_EQ(group.number("memory.events", "oom_kill"), 0u);
}

class CgroupsCpu : public Cgroups
{
protected:
	/// The part of \p peer's CPU time that \p vm gets.
	static double share(const machine &vm, const machine &peer)
	{
		const std::uint64_t vm_before = vm.info().cpu_ns, peer_before = peer.info().cpu_ns;

		EXPECT_TRUE(live::eventually([&] { return peer.info().cpu_ns > peer_before + 2'000'000'000; }, 120));
		return static_cast<double>(vm.info().cpu_ns - vm_before) /
		       static_cast<double>(peer.info().cpu_ns - peer_before);
	}

	/// How much of a VM's CPU time its cgroup pays from now on. Not all of it: kernels
	/// charge nobody for the interrupts that a VM's slice has to bear.
	class bill final
	{
	public:
		bill(const cgroup &group, const machine &vm) : group_(group), vm_(vm) {}
		[[nodiscard]] double paid() const
		{
			return static_cast<double>(usage() - usage_before_) /
			       static_cast<double>(used() - used_before_);
		}

	private:
		[[nodiscard]] std::uint64_t usage() const { return group_.number("cpu.stat", "usage_usec"); }
		[[nodiscard]] std::uint64_t used() const { return vm_.info().cpu_ns / 1000; }

		const cgroup &group_;
		const machine &vm_;
		std::uint64_t usage_before_ = usage(), used_before_ = used();
	};
};

TEST_F(CgroupsCpu, MaxLimitsVms)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		GTEST_SKIP() << "needs two CPUs: the peer has one for itself";

	const cgroup peers("mayfly-live-peer");
	const machine peer = start(peers, guests::spin);

	for (const bool attached : {false, true}) {
		const cgroup group;
		const machine vm = make(group, guests::spin, attached ? 0 : MAYFLY_SPAWN_START);
		const resident runner(group, [&] { return !attached || run_to_end(vm); });
		const double free = share(vm, peer);

		group.set("cpu.max", "10000 100000");
		const bill ours(group, vm), theirs(peers, peer);
		const double limited = share(vm, peer), paid = ours.paid(), peer_paid = theirs.paid();

		std::printf(
			"%s: %.2f of the peer's CPU time, with cpu.max at 10 %% %.2f; paid %.2f of it, the peer %.2f\n",
			attached ? "attached" : "started", free, limited, paid, peer_paid);
		EXPECT_GT(free, 0.5);
		EXPECT_GT(paid, 0.8 * peer_paid) << "somebody else has paid";
		if (attached || live::info(device).flags & MAYFLY_INFO_CPU_MAX) {
			EXPECT_LT(limited, 0.3);
			EXPECT_GT(group.number("cpu.stat", "nr_throttled"), 0u);
		} else {
			EXPECT_GT(limited, 0.5) << "this kernel does what the module says it does not";
		}
		EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	}
}

/// They need CPU time for that, which theirs has not.
TEST_F(CgroupsCpu, WorkersOfAThrottledCgroupEnd)
{
	const cgroup group;
	const std::uint64_t others = live::info(device).pools;
	const live::fd are_in(eventfd(0, 0));
	std::vector<std::unique_ptr<resident>> hogs;

	for (int i = 0; i < 4; i++)
		hogs.push_back(std::make_unique<resident>(group, [&] {
			eventfd_write(are_in.get(), 1);
			for (;;)
				asm volatile("pause");
			return false;
		}));
	// On its way in one holds cgroup_mutex, which the limit would then have it keep.
	for (eventfd_t count = 0, more = 0; count < hogs.size(); count += more)
		ASSERT_EQ(eventfd_read(are_in.get(), &more), 0);
	{
		const machine vm = start(group, guests::wait_forever);

		EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
		EXPECT_GT(live::info(device).pools, others);
		// What a tick takes too much of it is owed for many seconds.
		group.set("cpu.max", "1000 1000000");
		EXPECT_TRUE(live::eventually([&] { return group.number("cpu.stat", "nr_throttled") > 2; }));
	}
	EXPECT_TRUE(live::eventually([&] { return live::info(device).pools == others; }, 3));
	group.set("cpu.max", "max");
}

TEST_F(CgroupsCpu, CpusetMovesAnAttachedVm)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		GTEST_SKIP() << "needs two CPUs";

	const cgroup group;
	const machine vm = make(group, guests::count_forever);
	const resident runner(group, [&] { return run_to_end(vm); });
	const auto runs_on = [&] {
		std::ifstream file("/proc/" + std::to_string(runner.process()) + "/stat");
		std::string word;

		for (int field = 0; field < 39; field++)
			file >> word;
		return word;
	};

	for (const char *cpu : {"0", "1", "0"}) {
		group.set("cpuset.cpus", cpu);
		EXPECT_TRUE(live::eventually([&] { return runs_on() == cpu; })) << cpu;
		EXPECT_TRUE(gets_on(vm));
		EXPECT_EQ(runs_on(), cpu);
	}
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
}

class CgroupsFreeze : public Cgroups
{};

TEST_F(CgroupsFreeze, StopsVmsUntilTheThaw)
{
	const machine outside = start_outside(guests::spin);

	for (const bool attached : {false, true}) {
		const cgroup group;
		const machine vm = make(group, guests::count_forever, attached ? 0 : MAYFLY_SPAWN_START);
		const resident runner(group, [&] { return !attached || run_to_end(vm); });
		const machine waits = start(group, guests::wait_loop);

		for (int round = 0; round < 3; round++) {
			EXPECT_TRUE(gets_on(vm));
			EXPECT_TRUE(gets_on(waits));
			group.set("cgroup.freeze", 1);
			EXPECT_TRUE(live::eventually([&] { return stands_still(vm, outside); }));
			EXPECT_TRUE(stands_still(vm, outside));
			EXPECT_TRUE(stands_still(waits, outside));
			group.set("cgroup.freeze", "0");
		}
		EXPECT_TRUE(gets_on(vm));
		EXPECT_TRUE(gets_on(waits));
		EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	}
}

/// RUN answers EINTR for a signal's handler, and the freezer has none.
TEST_F(CgroupsFreeze, AThawDoesNotEndRun)
{
	for (const auto code : {guests::count_forever, guests::wait_loop}) {
		const cgroup group;
		const machine vm = make(group, code, 0);
		resident runner(group, [&] { return vm.run() == 0; });

		for (int round = 0; round < 3; round++) {
			EXPECT_TRUE(gets_on(vm));
			group.set("cgroup.freeze", 1);
			EXPECT_TRUE(live::eventually([&] { return group.number("cgroup.events", "frozen") == 1; }));
			group.set("cgroup.freeze", "0");
		}
		EXPECT_TRUE(gets_on(vm));
		EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
		EXPECT_EQ(runner.status(), 0);
	}
}

TEST_F(CgroupsFreeze, AFrozenVmCanBeControlledAndRemoved)
{
	const cgroup group;
	const machine outside = start_outside(guests::spin), vm = start(group, guests::count_forever),
		      other = start(group, guests::wait_forever);

	EXPECT_TRUE(gets_on(vm));
	EXPECT_TRUE(live::eventually([&] { return other.info().state == MAYFLY_PARKED; }));
	group.set("cgroup.freeze", 1);
	EXPECT_TRUE(live::eventually([&] { return stands_still(vm, outside); }));

	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_GE(vm.state().rip, guests::entry);
	EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	EXPECT_TRUE(stands_still(vm, outside));
	// An event waits with the VM.
	EXPECT_EQ(other.control(MAYFLY_OP_NOTIFY, 5), 0);
	EXPECT_TRUE(stands_still(other, outside));
	EXPECT_EQ(reason_of(other), unsigned{MAYFLY_END_NONE});

	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_REMOVE), 0);
	group.set("cgroup.freeze", "0");
	EXPECT_TRUE(other.wait_for_end());
	EXPECT_EQ(other.info().status, 1 << 5);
}

TEST_F(CgroupsFreeze, TheLastVmOfAFrozenCgroupGoes)
{
	const cgroup group;
	machine vm = start(group, guests::spin);

	EXPECT_TRUE(gets_on(vm));
	group.set("cgroup.freeze", 1);
	vm.close();
	EXPECT_TRUE(live::eventually([&] { return live::info(device).pools == 0; }));
	EXPECT_TRUE(live::eventually([&] { return group.tasks().empty(); }));
}

class CgroupsEnd : public Cgroups
{};

TEST_F(CgroupsEnd, KillEndsWhatItsProcessesHoldAndLeavesWhatIsDetached)
{
	cgroup group;
	const live::fd spin = image(guests::spin), wait = image(guests::wait_loop);

	resident owner(group, [&] {
		const machine started(spin, device, MAYFLY_SPAWN_START), attached(spin, device);
		const crowd detached(device, wait, 1, MAYFLY_SPAWN_START);

		return run_to_end(attached);
	});
	const auto rows = [&] {
		std::vector<mayfly_vm_info> all(8);
		mayfly_list list{};

		list.rows = live::address(all.data());
		list.row_size = sizeof(mayfly_vm_info);
		list.count = static_cast<std::uint32_t>(all.size());
		EXPECT_EQ(call(device, MAYFLY_LIST, &list), 0);
		all.resize(list.count);
		return all;
	};

	EXPECT_TRUE(live::eventually([&] {
		const std::vector<mayfly_vm_info> all = rows();

		return all.size() == 3 && std::ranges::all_of(all, [](const auto &row) { return row.exits > 5; });
	}));
	group.set("cgroup.kill", 1);
	EXPECT_TRUE(WIFSIGNALED(owner.status()));
	EXPECT_TRUE(live::eventually([&] { return rows().size() == 1; }));

	const mayfly_vm_info left = rows()[0];

	EXPECT_TRUE(left.flags & MAYFLY_VM_DETACHED);
	EXPECT_TRUE(live::eventually([&] { return rows()[0].exits > left.exits + 5; }));
	EXPECT_FALSE(group.tasks().empty()) << "its workers";
	EXPECT_EQ(group.remove(), -EBUSY);

	std::uint64_t id = left.id;
	mayfly_control control{};

	control.ids = live::address(&id);
	control.count = 1;
	for (const std::uint32_t op : {MAYFLY_OP_KILL, MAYFLY_OP_REMOVE}) {
		control.op = op;
		EXPECT_EQ(call(device, MAYFLY_CONTROL, &control), 0);
		EXPECT_EQ(control.done, 1u);
	}
	EXPECT_TRUE(live::eventually([&] { return group.remove() == 0; }));
}

TEST_F(CgroupsEnd, VmsOutliveTheirCgroupIfNoWorkerIsInIt)
{
	const machine outside = start_outside(guests::wait_loop);
	cgroup group;
	const machine started = start(group, guests::wait_loop), attached = make(group, guests::stamp),
		      idle = make(group, guests::stamp);

	EXPECT_TRUE(gets_on(started));
	EXPECT_EQ(group.remove(), -EBUSY);
	for (const pid_t worker : group.tasks())
		cgroup::expel(worker);
	ASSERT_EQ(group.remove(), 0);

	EXPECT_TRUE(gets_on(started));
	// What they take now is the parent cgroup's.
	EXPECT_TRUE(run_to_end(attached));
	EXPECT_EQ(attached.info().status, 0);
	EXPECT_EQ(idle.control(MAYFLY_OP_START), 0);
	EXPECT_TRUE(idle.wait_for_end());
	EXPECT_EQ(idle.info().status, 0);
	EXPECT_TRUE(gets_on(outside));
}

TEST_F(CgroupsEnd, AVmThatWasNeverStartedCannotBeAfterItsCgroup)
{
	cgroup group;
	const machine vm = make(group, guests::stamp);

	EXPECT_EQ(group.remove(), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), -EXDEV);
	EXPECT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 0);
}

}
