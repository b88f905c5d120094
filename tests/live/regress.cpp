// SPDX-License-Identifier: Apache-2.0
//
// One test for each fault that was once there. Each failed before its fix, but for
// the first: its race is too narrow to be hit at every run.

#include <atomic>
#include <csignal>
#include <thread>

#include <asm/ldt.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "machine.hpp"

namespace
{

using live::machine;
using live::run_on;

class Regress : public live::Live
{
protected:
	void SetUp() override
	{
		Live::SetUp();
		sched_getaffinity(0, sizeof(all_), &all_);
		if (CPU_COUNT(&all_) < 2)
			GTEST_SKIP() << "needs two CPUs";

		struct sigaction action {};

		action.sa_handler = [](int) {};
		sigaction(SIGALRM, &action, nullptr);
	}
	void TearDown() override
	{
		sched_setaffinity(0, sizeof(all_), &all_);
		Live::TearDown();
	}
	static void pin(int cpu) { ASSERT_TRUE(run_on(cpu)); }
	static void alarm_in(long microseconds)
	{
		itimerval timer{};

		timer.it_value.tv_usec = microseconds;
		setitimer(ITIMER_REAL, &timer, nullptr);
	}

private:
	cpu_set_t all_;
};

/// A VM was found by name before it could be found by id, and freed in between.
TEST_F(Regress, AVmIsNotFoundBeforeItIsWhole)
{
	const live::fd image = live::make_image(device, guests::exit42);
	std::atomic<bool> done = false;
	std::thread thief([&] {
		while (!done) {
			mayfly_open open{};

			std::strcpy(open.name, "prey");
			if (call(device, MAYFLY_OPEN, &open))
				continue;
			const machine vm{live::fd(open.fd)};

			vm.control(MAYFLY_OP_KILL);
			vm.control(MAYFLY_OP_REMOVE);
		}
	});

	for (int i = 0; i < 3000; i++) {
		mayfly_spawn spawn = live::spawn_request(image, i % 2 ? MAYFLY_SPAWN_DETACHED : 0);

		std::strcpy(spawn.name, "prey");
		const int ret = call(device, MAYFLY_SPAWN, &spawn);

		live::fd made(spawn.fd);
		EXPECT_TRUE(ret == 0 || ret == -EEXIST) << ret;
	}
	EXPECT_TRUE(live::eventually([&] { return live::info(device).vms == 0; }));
	done = true;
	thief.join();
}

/// SET_STATE was lost when RUN on another CPU was called off before its entry.
TEST_F(Regress, ANewStateSurvivesARunThatWasCalledOff)
{
	const live::fd image = live::make_image(device, guests::wait_loop);
	const machine vm(image, device);

	pin(0);
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
	for (unsigned n = 0; n < 1000; n++) {
		live::vcpu_state state = vm.state();

		state.rip = guests::entry;
		state.regs[MAYFLY_RDI] = live::elf_image::kernel_base + MAYFLY_GPA_DEVICE;
		state.lstar = 0x1000 + n;
		ASSERT_EQ(vm.set_state(state), 0);
		pin(1);
		alarm_in(1 + n % 200);
		vm.run(MAYFLY_RUN_UNTIL_PARK);
		alarm_in(0);
		pin(0);
		while (vm.run(MAYFLY_RUN_UNTIL_PARK) == -EINTR)
			;
		ASSERT_EQ(vm.state().lstar, 0x1000 + n);
	}
}

constexpr unsigned ldt_entry = 7; // the first

bool has_segment(unsigned selector)
{
	bool valid;
	unsigned rights;

	asm volatile("lar %[selector], %[rights]" : "=@ccz"(valid), [rights] "=r"(rights) : [selector] "r"(selector));
	return valid;
}

/// An LDT for the calling process, which sees its entry.
bool get_ldt()
{
	user_desc entry{};

	entry.limit = 0xfffff;
	entry.seg_32bit = 1;
	entry.limit_in_pages = 1;
	entry.useable = 1;
	return syscall(SYS_modify_ldt, 0x11, &entry, sizeof(entry)) == 0 && has_segment(ldt_entry);
}

/// Leaves its address space, with an LDT, to whatever runs on CPU 0 next, and then
/// frees page tables, at which the kernel takes it away from there.
bool lends_its_ldt()
{
	constexpr std::size_t bytes = 4 << 20;
	void *const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE) || !run_on(0) || !get_ldt())
		return false;
	std::memset(memory, 1, bytes);
	if (!run_on(1))
		return false;
	usleep(5000); // a few slices there
	munmap(memory, bytes);
	usleep(5000);
	return true;
}

/// The host's LDT was the last one of a slice: its end brought back one that the kernel
/// had put away in between, for whoever ran there next, and after it was freed.
TEST_F(Regress, AnLdtThatGoesDuringASliceStaysAway)
{
	const live::fd image = live::make_image(device, guests::spin);
	int ask[2], answer[2];
	char byte = 0;

	// A child has its parent's LDT.
	if (syscall(SYS_modify_ldt, 0, &byte, 1) != 0)
		GTEST_SKIP() << "this process has got an LDT from an earlier test";
	ASSERT_EQ(pipe(ask), 0);
	ASSERT_EQ(pipe(answer), 0);

	const pid_t owner = fork();

	if (owner == 0) {
		close(ask[1]);
		while (read(ask[0], &byte, 1) == 1) {
			byte = lends_its_ldt();
			if (write(answer[1], &byte, 1) != 1)
				break;
		}
		_exit(0);
	}
	{
		// One for each CPU: what runs after the owner has no address space of its own.
		const std::array spinners = {machine(image, device, MAYFLY_SPAWN_START),
					     machine(image, device, MAYFLY_SPAWN_START)};

		pin(0);
		for (int round = 0; round < 8; round++) {
			ASSERT_EQ(write(ask[1], &byte, 1), 1);
			ASSERT_EQ(read(answer[0], &byte, 1), 1);
			EXPECT_EQ(byte, 1);
			EXPECT_FALSE(has_segment(ldt_entry)) << "round " << round;
		}
	}
	for (int end : {ask[0], ask[1], answer[0], answer[1]})
		close(end);
	EXPECT_EQ(waitpid(owner, nullptr, 0), owner);
}

/// The host's LDT was the one of the slice's beginning: another thread's change
/// in the middle was undone by the next exit, and the old table is freed memory.
TEST_F(Regress, AChangeOfTheLdtDuringASliceStays)
{
	const live::fd image = live::make_image(device, guests::spin);
	const machine vm(image, device);
	const pthread_t runner = pthread_self();
	std::atomic<bool> interrupted = false;

	struct sigaction action {};
	action.sa_handler = [](int) {};
	sigaction(SIGUSR1, &action, nullptr);
	pin(0);

	std::thread changer([&] {
		pin(1);
		EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_RUNNING; }));
		usleep(20000);

		EXPECT_TRUE(get_ldt()) << strerror(errno);
		// One signal may come right before RUN.
		while (!interrupted) {
			usleep(20000);
			pthread_kill(runner, SIGUSR1);
		}
	});

	EXPECT_EQ(vm.run(), -EINTR);
	interrupted = true;
	EXPECT_TRUE(has_segment(ldt_entry));
	changer.join();
}

/// A VM that was being killed could be started, and ran on freed tables.
TEST_F(Regress, WhatIsBeingKilledIsNotStarted)
{
	const live::fd image = live::make_image(device, guests::park_stamped);

	for (int round = 0; round < 5; round++) {
		const machine vm(image, device, 0, 64 << 20);

		// Enough memory that to free it takes a while.
		vm.set_parameters(guests::range_gpa, 8000);
		while (vm.run(MAYFLY_RUN_UNTIL_PARK) == -EINTR)
			;
		std::thread killer([&] { EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0); });
		int ret = 0;

		while (vm.info().state == MAYFLY_PARKED)
			;
		ret = vm.control(MAYFLY_OP_START);
		EXPECT_EQ(ret, -ESRCH);
		killer.join();
	}
}

/// Names that grow too long were found out in the middle of the batch.
TEST_F(Regress, NumbersThatDoNotFitAreRefusedAtOnce)
{
	const live::fd image = live::make_image(device, guests::exit42);
	mayfly_spawn spawn = live::spawn_request(image, MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_NUMBERED, 20);

	std::memset(spawn.name, 'x', 61);
	spawn.first = 1;
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EINVAL);
	EXPECT_EQ(spawn.created, 0u);
	EXPECT_EQ(live::info(device).vms, 0u);
}

/// The descriptor was installed before the caller had been told its number.
TEST_F(Regress, WhatCannotBeToldIsNotMade)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	void *const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const live::fd next(dup(0));

	ASSERT_NE(page, MAP_FAILED);
	*static_cast<mayfly_spawn *>(page) = live::spawn_request(image, MAYFLY_SPAWN_START);
	ASSERT_EQ(mprotect(page, 4096, PROT_READ), 0);
	EXPECT_EQ(call(device, MAYFLY_SPAWN, page), -EFAULT);
	EXPECT_TRUE(live::eventually([&] { return live::info(device).vms == 0; }));
	munmap(page, 4096);

	// No number has been used up.
	const live::fd after(dup(0));

	EXPECT_EQ(after.get(), next.get() + 1);
}

/// Between slices, RUN did not own its VM.
TEST_F(Regress, RunOwnsItsVmWhilePaused)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device);
	int ret = 1;
	std::uint32_t outcome = 0;
	std::thread runner([&] { ret = vm.run(0, &outcome); });

	EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_START), -EBUSY);
	EXPECT_EQ(vm.run(), -EBUSY);
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), -EBUSY);
	EXPECT_EQ(vm.set_state(vm.state()), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	runner.join();
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_ENDED});
}

/// Looking at a parked VM counted as parking.
TEST_F(Regress, ParkingIsCountedOnce)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device);

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
		static_cast<void>(vm.state());
	}
	EXPECT_EQ(vm.info().parked, 1u);
}

/// "vm07" and VMs with names of their own were found as vm<ID>.
TEST_F(Regress, AutomaticNamesAreExact)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine plain(image, device);
	mayfly_spawn spawn = live::spawn_request(image);
	std::uint64_t id = 0;

	std::strcpy(spawn.name, "own");
	spawn.ids = live::address(&id);
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);

	const machine named{live::fd(spawn.fd)};
	const auto open = [&](const std::string &name) {
		mayfly_open args{};

		std::strcpy(args.name, name.c_str());
		const int ret = call(device, MAYFLY_OPEN, &args);
		live::fd made(ret ? -1 : args.fd);
		return ret;
	};
	const std::string number = std::to_string(plain.info().id);

	EXPECT_EQ(open("vm" + number), 0);
	EXPECT_EQ(open("vm0" + number), -ENOENT);
	EXPECT_EQ(open("vm" + number + "\n"), -ENOENT);
	EXPECT_EQ(open("vm" + std::to_string(id)), -ENOENT);
	EXPECT_EQ(open("own"), 0);
}

TEST_F(Regress, SyscallMayLeaveAnRplInSs)
{
	const live::fd image = live::make_image(device, guests::user_syscall_rpl);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED}) << "only unrestricted guests may be entered so";
	// QEMU takes the RPL away.
	EXPECT_TRUE(vm.info().status == 44 || vm.info().status == 41) << vm.info().status;
}

TEST_F(Regress, A32BitInstructionPointerWrapsAround)
{
	const live::fd image = live::make_image(device, guests::wrap_around);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED}) << "VT-x takes no RIP beyond 4 GiB there";
	EXPECT_EQ(vm.info().status, 7);
}

/// VT-x refused to enter with a base of DS or ES that SET_STATE had taken.
TEST_F(Regress, DataSegmentsHaveBasesOf32Bits)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	const live::vcpu_state start = vm.state();

	for (mayfly_segment_register mayfly_vcpu_state::*const segment :
	     {&mayfly_vcpu_state::ds, &mayfly_vcpu_state::es}) {
		live::vcpu_state state = start;

		(state.*segment).base = 1ull << 32;
		EXPECT_EQ(vm.set_state(state), -EINVAL);
	}
	live::vcpu_state state = start;

	state.ds.base = state.es.base = 0xfffffffful;
	state.fs.base = state.gs.base = 0xffffffff80000000;
	ASSERT_EQ(vm.set_state(state), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 42);
}

/// A DEBUG build warned of a state that QEMU lets a guest come to, and no CPU does.
TEST_F(Regress, AGuestThatComesToAStateOfNoCpuIsNoFaultOfOurs)
{
	const live::fd image = live::make_image(device, guests::two_code_sizes);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	if (vm.info().reason == MAYFLY_END_BAD_STATE)
		EXPECT_EQ(vm.info().address, offsetof(mayfly_vcpu_state, cs));
	else
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_TRIPLE_FAULT});
}

/// ICEBP was taken for a #DB that had come before it, and raised again and again.
TEST_F(Regress, IcebpIsRefused)
{
	const live::fd image = live::make_image(device, guests::icebp);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
	EXPECT_EQ(vm.info().status, 6) << "#UD";
}

}
