// SPDX-License-Identifier: Apache-2.0
//
// Rules broken on purpose (kmod/debug/mutation.h), to see the checks of them fire.

#include <fstream>
#include <map>

#include <sched.h>

#include "machine.hpp"
#include "mutation.hpp"

namespace
{

using live::machine;

using live::mutation;
using enum live::mutation;

using hits = std::map<std::string, unsigned long>;

std::string parameter(const std::string &name)
{
	return "/sys/module/mayfly/parameters/" + name;
}

/// How often each check of kmod/debug/shadow.h has fired.
hits all_hits()
{
	std::ifstream file(parameter("shadow_hits"));
	hits result;

	for (std::string line; std::getline(file, line);)
		if (const auto equals = line.find('='); equals != std::string::npos)
			result[line.substr(0, equals)] = std::stoul(line.substr(equals + 1));
	return result;
}

std::string last_report()
{
	std::ifstream file(parameter("shadow_last"));
	std::string text;

	std::getline(file, text);
	return text;
}

/// The names of the checks that have fired since \p before.
std::vector<std::string> fired_since(const hits &before)
{
	std::vector<std::string> names;

	for (const auto &[name, count] : all_hits())
		if (count != before.at(name))
			names.push_back(name);
	return names;
}

using names = std::vector<std::string>;

class Mutations : public live::Live
{
protected:
	void SetUp() override
	{
		live::Live::SetUp();
		if (!(live::info(device).flags & MAYFLY_INFO_DEBUG))
			GTEST_SKIP() << "needs a module built with its debug checks";
		ASSERT_EQ(sched_getaffinity(0, sizeof everywhere_, &everywhere_), 0) << strerror(errno);
		// What is broken on one CPU is made again there.
		ASSERT_TRUE(live::run_on(0)) << strerror(errno);
	}
	void TearDown() override
	{
		mutate(none);
		if (CPU_COUNT(&everywhere_)) {
			EXPECT_EQ(sched_setaffinity(0, sizeof everywhere_, &everywhere_), 0) << strerror(errno);
		}
		live::Live::TearDown();
	}
	static void mutate(mutation which)
	{
		std::ofstream file(parameter("mutation"));

		file << static_cast<int>(which) << std::flush;
	}
	[[nodiscard]] bool is_svm() const { return live::info(device).backend == 1; }

	/// A VM from its first instruction to its last, in this thread.
	void run(std::span<const std::byte> code, std::int32_t status) const
	{
		const live::fd image = live::make_image(device, code);
		const machine vm(image, device);

		if (code.data() == guests::discard_all.data())
			vm.set_parameters(guests::range_gpa, 8);
		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, status);
	}
	/// With \p which in force, \p code runs as ever and exactly \p expected fire;
	/// without it, none.
	void expect_seen(mutation which, const names &expected, std::span<const std::byte> code = guests::exit42,
			 std::int32_t status = 42) const
	{
		run(code, status);
		const hits before = all_hits();

		mutate(which);
		run(code, status);
		mutate(none);
		EXPECT_EQ(fired_since(before), expected) << last_report();

		const hits after = all_hits();

		for (int i = 0; i < 3; i++)
			run(code, status);
		EXPECT_EQ(fired_since(after), names{}) << last_report();
	}

	/// The same for any \p work.
	template <class Work> static void expect_seen_in(mutation which, const names &expected, Work work)
	{
		const hits before = all_hits();

		work();
		EXPECT_EQ(fired_since(before), names{}) << last_report();
		mutate(which);
		work();
		mutate(none);
		EXPECT_EQ(fired_since(before), expected) << last_report();
	}

private:
	cpu_set_t everywhere_{};
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

		const mayfly_vm_info stat = vm.info();

		EXPECT_EQ(stat.reason, unsigned{MAYFLY_END_BAD_STATE});
		EXPECT_EQ(stat.address, offsetof(mayfly_vcpu_state, cs));
		EXPECT_NE(stat.detail, 0u);
		EXPECT_EQ(stat.rip, guests::entry);
		EXPECT_EQ(stat.exits_by[MAYFLY_EXIT_INVALID], 1u);
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

TEST_F(Mutations, AStateThatHardwareRefusesIsSeen)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const hits before = all_hits();

	mutate(guest_cs);
	{
		const machine vm(image, device);

		ASSERT_EQ(vm.run(), 0);
	}
	mutate(none);
	EXPECT_EQ(fired_since(before), names{"guest-state"}) << last_report();
}

TEST_F(Mutations, AnMsrOfTheHostIsMissed)
{
	expect_seen(host_msr, {"host-msr"});
}

TEST_F(Mutations, AControlRegisterOfTheHostIsMissed)
{
	expect_seen(host_cr, {"host-cr"});
}

TEST_F(Mutations, ADebugRegisterOfTheHostIsMissed)
{
	expect_seen(host_dr, {"host-dr"});
}

TEST_F(Mutations, TheGdtOfTheHostIsMissed)
{
	expect_seen(host_gdtr, {"host-table"});
}

TEST_F(Mutations, TheIdtOfTheHostIsMissed)
{
	if (!is_svm())
		GTEST_SKIP() << "VT-x leaves IDTR with the longest limit there is";
	expect_seen(host_idtr, {"host-table"});
}

TEST_F(Mutations, ASelectorOfTheHostIsMissed)
{
	expect_seen(host_selector, {"host-segment"});
}

TEST_F(Mutations, ASegmentBaseOfTheHostIsMissed)
{
	expect_seen(host_base, {"host-segment"});
}

TEST_F(Mutations, XCR0OfTheHostIsMissed)
{
	if (!live::cpu_says("flags", "avx"))
		GTEST_SKIP() << "needs a CPU with more than SSE in XCR0";
	expect_seen(host_xcr0, {"host-xstate"});
}

TEST_F(Mutations, ProtectionKeysOfTheHostAreMissed)
{
	if (!live::cpu_says("flags", "ospke"))
		GTEST_SKIP() << "needs a CPU with protection keys";
	expect_seen(host_pkru, {"host-xstate"});
}

TEST_F(Mutations, AFlagOfTheHostIsMissed)
{
	expect_seen(host_flags, {"host-flags"});
}

TEST_F(Mutations, AWrongFieldForTheHostIsSeenAndSoIsWhatItDoes)
{
	if (is_svm())
		GTEST_SKIP() << "needs VT-x: SVM saves the host by itself";
	expect_seen(host_field, {"host-field", "host-msr"});
}

/// Handlers of interrupts, and what follows them, may want the FPU (crypto).
TEST_F(Mutations, AnInterruptThatFindsTheFpuTakenIsSeen)
{
	const machine vm(live::make_image(device, guests::spin), device);
	const hits before = all_hits();

	mutate(keep_fpu);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
	EXPECT_TRUE(live::eventually([&] { return vm.info().exits_by[MAYFLY_EXIT_INTERRUPT] > 0; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	EXPECT_TRUE(vm.wait_for_end());
	mutate(none);
	EXPECT_EQ(fired_since(before), names{"host-fpu"}) << last_report();
}

TEST_F(Mutations, AWrongControlFieldIsSeen)
{
	expect_seen(control_field, {"control"});
}

TEST_F(Mutations, AMissingInterceptIsSeen)
{
	expect_seen(intercept, {"intercept"});
}

TEST_F(Mutations, AnOpenMsrIsSeen)
{
	expect_seen(msr_bitmap, {"msr-bitmap"});
}

TEST_F(Mutations, SystemCallsWithTheHostsMsrsAreSeen)
{
	if (is_svm())
		GTEST_SKIP() << "needs VT-x: SVM always switches them";
	expect_seen(syscalls, {"intercept"});
}

TEST_F(Mutations, ARatioOfTscsThatIsNotLoadedIsSeen)
{
	if (is_svm() || !(live::info(device).flags & MAYFLY_INFO_TSC_SCALING))
		GTEST_SKIP() << "needs VT-x with TSC scaling";

	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	live::vcpu_state state = vm.state();

	state.tsc_khz = static_cast<std::uint32_t>(2 * live::info(device).tsc_khz);
	ASSERT_EQ(vm.set_state(state), 0);

	const hits before = all_hits();

	mutate(tsc_ratio);
	ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);
	ASSERT_TRUE(vm.wait_for_end());
	EXPECT_EQ(fired_since(before), names{"control"}) << last_report();
}

TEST_F(Mutations, AnOpenPortIsSeen)
{
	expect_seen(io_bitmap, {is_svm() ? "io-bitmap" : "intercept"});
}

TEST_F(Mutations, AChangedFieldThatIsSaidToBeCleanIsSeen)
{
	if (!is_svm())
		GTEST_SKIP() << "needs SVM: VT-x has no clean bits";

	const hits before = all_hits();

	mutate(clean);
	run(guests::exit42, 42);
	// The next VM on this CPU has other tables, and another clock.
	run(guests::exit42, 42);
	mutate(none);
	EXPECT_EQ(fired_since(before), names{"control"}) << last_report();
	run(guests::exit42, 42);
}

/// Rule 27: no check has to fire, as nothing of it is used.
TEST_F(Mutations, NothingIsTakenFromAControlBlockAfterAShutdown)
{
	if (!is_svm())
		GTEST_SKIP() << "needs SVM: on VT-x a triple fault leaves the guest's state";

	const live::fd image = live::make_image(device, guests::triple_fault);
	const machine vm(image, device);
	const hits before = all_hits();

	mutate(shutdown);
	ASSERT_EQ(vm.run(), 0);

	const mayfly_vm_info end = vm.info();

	EXPECT_EQ(end.reason, unsigned{MAYFLY_END_TRIPLE_FAULT});
	EXPECT_EQ(end.rip & ~0xfffull, guests::entry) << "where it was entered";
	run(guests::exit42, 42);
	mutate(none);
	EXPECT_EQ(fired_since(before), names{}) << last_report();
}

/// CPUs that cannot be taken although they have said so are given back.
TEST_F(Mutations, VmxonThatRaisesAnExceptionIsAnError)
{
	if (is_svm())
		GTEST_SKIP() << "needs VT-x";

	const live::fd image = live::make_image(device, guests::exit42);
	mayfly_spawn request = live::spawn_request(image);

	mutate(vmxon);
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &request), -EIO);
	mutate(none);
	run(guests::exit42, 42);
}

/// What the host finds out about its TSC after the module was loaded, clocks show.
TEST_F(Mutations, ClocksAreAsFastAsTheHostKnowsWithTheFirstVm)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const auto ns_per_tick = [&] { return live::ns_per_tick(machine(image, device)); };
	const double before = ns_per_tick();

	mutate(tsc_khz);
	EXPECT_NEAR(ns_per_tick() / before, 0.5, 0.001);
	mutate(none);
	EXPECT_DOUBLE_EQ(ns_per_tick(), before);

	// While there are VMs, it stays as they know it.
	const machine first(image, device);

	mutate(tsc_khz);
	EXPECT_DOUBLE_EQ(ns_per_tick(), before);
}

/// A host that forbids split locks ends the VM, and no worker.
TEST_F(Mutations, ASplitLockEndsTheVmAndNobodyElse)
{
	const live::fd image = live::make_image(device, guests::step_loop);
	const machine vm(image, device);
	const machine neighbour(live::make_image(device, guests::wait_loop), device, MAYFLY_SPAWN_START);

	mutate(split_lock);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
	EXPECT_TRUE(vm.wait_for_end());
	mutate(none);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_SPLIT_LOCK});

	const std::uint64_t parked = neighbour.info().parked;

	EXPECT_TRUE(live::eventually([&] { return neighbour.info().parked > parked + 2; }));
	EXPECT_EQ(neighbour.control(MAYFLY_OP_KILL), 0);
}

/// To read a page that the hardware has found broken would be a machine check.
TEST_F(Mutations, TheHostReadsNoBrokenPage)
{
	const machine vm(live::make_image(device, guests::exit42), device);
	std::array<std::byte, 16> bytes{};
	const auto access = [&](std::uint64_t gpa, std::uint32_t flags) {
		return live::access_memory(vm.handle(), gpa, bytes, flags);
	};

	mutate(broken_page);
	EXPECT_EQ(access(guests::gpa, 0), -EFAULT);
	EXPECT_EQ(access(guests::gpa, MAYFLY_MEMORY_WRITE), -EHWPOISON) << "to be copied first";
	mutate(none);
	EXPECT_EQ(access(guests::gpa, 0), 0);

	const live::fd writes = live::make_image(device, guests::user_syscall);
	const machine guest(writes, device);

	mutate(broken_page);
	EXPECT_EQ(guest.run(), 0);
	mutate(none);
	EXPECT_EQ(guest.info().reason, unsigned{MAYFLY_END_BROKEN_MEMORY});
}

TEST_F(Mutations, AChangeWithoutANewTagIsSeen)
{
	expect_seen(skip_tag, {"stale"}, guests::discard_all, 0);
}

TEST_F(Mutations, TagsThatBeginAgainWithoutAFlushAreSeen)
{
	expect_seen(skip_flush, {"tag"});
}

TEST_F(Mutations, ANewTagWithoutInveptIsSeen)
{
	if (is_svm())
		GTEST_SKIP() << "needs VT-x: with SVM a tag is all there is";
	expect_seen(skip_invept, {"stale"}, guests::discard_all, 0);
}

TEST_F(Mutations, ATopTableOfAnotherVmWithoutInveptIsSeen)
{
	if (is_svm())
		GTEST_SKIP() << "needs VT-x: with SVM a tag is all there is";
	// As long as there is a VM, the CPU is not taken again, which flushes all.
	const live::fd image = live::make_image(device, guests::exit42);
	const machine other(image, device);
	const hits before = all_hits();

	// The page of an old top table comes back sooner or later.
	mutate(skip_invept);
	for (int i = 0; i < 3000 && all_hits().at("root") == before.at("root"); i++)
		run(guests::exit42, 42);
	mutate(none);
	EXPECT_EQ(fired_since(before), names{"root"}) << last_report();

	const hits after = all_hits();

	run(guests::exit42, 42);
	EXPECT_EQ(fired_since(after), names{}) << last_report();
}

TEST_F(Mutations, APageFreedWhileItIsMappedIsSeen)
{
	expect_seen(free_mapped, {"freed-mapped"}, guests::discard_all, 0);
}

TEST_F(Mutations, APageFreedWhileItsVmIsInGuestModeIsSeen)
{
	expect_seen(free_inside, {"freed-inside"}, guests::discard_all, 0);
}

TEST_F(Mutations, AnImageThatCanBeWrittenIsSeen)
{
	const live::fd image = live::make_image(device, guests::exit42);

	expect_seen_in(freeze, {"frozen"}, [&] {
		// It never runs: it would write to the image's pages.
		const machine vm(image, device);
		std::array<std::byte, 1> written{};

		EXPECT_EQ(access_memory(vm.handle(), guests::counter_gpa, written, MAYFLY_MEMORY_WRITE), 0);
		live::snapshot(vm);
	});
}

TEST_F(Mutations, ASnapshotWithoutANewTagIsSeen)
{
	const live::fd image = live::make_image(device, guests::twin);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
	expect_seen_in(skip_tag, {"stale"}, [&] {
		live::snapshot(vm);
		EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);
		EXPECT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
	});
}

TEST_F(Mutations, AnImageThatLosesPagesToItsParentIsSeen)
{
	const live::fd image = live::make_image(device, guests::exit42);

	expect_seen_in(fold, {"folded"}, [&] {
		// It never runs: its pages may be somebody else's.
		const machine vm(image, device);
		std::array<std::byte, 1> written{};
		const auto write = [&](std::uint64_t gpa) {
			EXPECT_EQ(access_memory(vm.handle(), gpa, written, MAYFLY_MEMORY_WRITE), 0);
		};

		write(guests::counter_gpa);
		write(guests::stack_gpa);
		live::fd first = live::snapshot(vm);
		write(guests::counter_gpa);
		const live::fd second = live::snapshot(vm);

		EXPECT_EQ(live::info(device).images, 3u);
		first.reset();
		EXPECT_TRUE(live::eventually([&] { return live::info(device).images == 2; }));
	});
}

TEST_F(Mutations, ACloneThatTakesItselfForItsOriginalIsSeen)
{
	const live::fd image = live::make_image(device, guests::twin);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));

	const live::fd taken = live::snapshot(vm);

	ASSERT_GE(taken.get(), 0);

	for (const mutation which : {none, generation}) {
		mutate(which);
		const machine clone(taken, device, MAYFLY_SPAWN_START);

		mutate(none);
		ASSERT_EQ(clone.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		ASSERT_TRUE(clone.wait_for_end());
		EXPECT_EQ(clone.info().status, which == none ? 0 : 2);
	}
}

}
