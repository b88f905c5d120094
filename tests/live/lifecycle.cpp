// SPDX-License-Identifier: Apache-2.0
//
// Start, pause, resume, kill, remove; who may; what is left when a client dies.

#include <algorithm>
#include <array>
#include <csignal>
#include <thread>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "machine.hpp"

namespace
{

using live::machine;
using clock_type = std::chrono::steady_clock;

class Lifecycle : public live::Live
{
protected:
	[[nodiscard]] machine started(std::span<const std::byte> code)
	{
		const live::fd image = live::make_image(device, code);

		return {image, device, MAYFLY_SPAWN_START};
	}
	[[nodiscard]] std::vector<std::uint64_t> spawn_detached(std::span<const std::byte> code, std::uint32_t count,
								std::uint32_t flags = MAYFLY_SPAWN_START)
	{
		const live::fd image = live::make_image(device, code);
		std::vector<std::uint64_t> ids(count);
		mayfly_spawn spawn = live::spawn_request(image, flags | MAYFLY_SPAWN_DETACHED, count);

		spawn.ids = live::address(ids.data());
		EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);
		EXPECT_EQ(spawn.created, count);
		EXPECT_EQ(spawn.fd, -1);
		return ids;
	}
	/// Lets a paused VM go on until it has counted further, and pauses it again.
	/// Its CPU time grows before that: it has to come to its first instruction.
	static bool counts_on(const machine &vm)
	{
		const std::uint64_t count = vm.state().regs[MAYFLY_RCX];

		return live::eventually([&] {
			const std::uint64_t cpu = vm.info().cpu_ns;

			EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
			EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), -EALREADY);
			EXPECT_TRUE(live::eventually([&] { return vm.info().cpu_ns > cpu; }));
			EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
			return vm.state().regs[MAYFLY_RCX] > count;
		});
	}
	std::uint64_t control(std::uint32_t op, const std::vector<std::uint64_t> &ids)
	{
		mayfly_control args{};

		args.op = op;
		args.ids = live::address(ids.data());
		args.count = static_cast<std::uint32_t>(ids.size());
		EXPECT_EQ(call(device, MAYFLY_CONTROL, &args), 0);
		return args.done;
	}
	std::vector<mayfly_vm_info> list()
	{
		std::vector<mayfly_vm_info> rows(MAYFLY_MAX_BATCH);
		mayfly_list args{};

		args.rows = live::address(rows.data());
		args.row_size = sizeof(mayfly_vm_info);
		args.count = MAYFLY_MAX_BATCH;
		EXPECT_EQ(call(device, MAYFLY_LIST, &args), 0);
		rows.resize(args.count);
		return rows;
	}
};

TEST_F(Lifecycle, SpinnersDieWithinFiftyMilliseconds)
{
	for (const auto code : {guests::spin, guests::spin_cli, guests::fault_loop, guests::cpuid_loop}) {
		std::array<clock_type::duration, 5> took;

		for (auto &one : took) {
			const machine vm = started(code);

			ASSERT_TRUE(live::eventually([&] { return vm.info().cpu_ns > 0; }));

			const auto before = clock_type::now();

			ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
			one = clock_type::now() - before;
			EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_KILLED});
			EXPECT_EQ(vm.control(MAYFLY_OP_KILL), -ESRCH);
		}
		// The median: the machine below may take the CPU away at any time.
		std::ranges::sort(took);
		EXPECT_LT(took[2], std::chrono::milliseconds(50));
	}
}

TEST_F(Lifecycle, ASpinnerDoesNotStallItsCpu)
{
	const machine vm = started(guests::spin_cli);
	cpu_set_t all;

	sched_getaffinity(0, sizeof(all), &all);
	// On every CPU, so also on the spinner's: we get our turn.
	for (int cpu = 0; cpu < CPU_COUNT(&all); cpu++) {
		ASSERT_TRUE(live::run_on(cpu));

		const auto before = clock_type::now();

		for (int i = 0; i < 10; i++)
			sched_yield();
		EXPECT_LT(clock_type::now() - before, std::chrono::milliseconds(500));
	}
	sched_setaffinity(0, sizeof(all), &all);
}

TEST_F(Lifecycle, PausedStandsStill)
{
	const machine vm = started(guests::count_forever);

	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), -EALREADY);
	ASSERT_TRUE(counts_on(vm));

	const std::uint64_t count = vm.state().regs[MAYFLY_RCX];
	const std::uint64_t cpu = vm.info().cpu_ns;

	usleep(20000);
	EXPECT_EQ(vm.state().regs[MAYFLY_RCX], count);
	EXPECT_EQ(vm.info().cpu_ns, cpu);
	ASSERT_TRUE(counts_on(vm));
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), -ESRCH);
	EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), -ESRCH);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), -ESRCH);
	EXPECT_EQ(vm.control(MAYFLY_OP_NOTIFY, 1), -ESRCH);
}

TEST_F(Lifecycle, AnEventReachesAPausedWaiterWhenItGoesOn)
{
	const machine vm = started(guests::wait_forever);

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 4), 0);
	usleep(5000);
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PAUSED});
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	ASSERT_TRUE(vm.wait_for_end());
	EXPECT_EQ(vm.info().status, 1 << 4);
}

TEST_F(Lifecycle, StartOnceOnly)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device);

	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_READY});
	ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), -EALREADY);
	EXPECT_EQ(vm.run(), -EBUSY);
	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_REMOVE), -EBUSY);
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_REMOVE), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_REMOVE), -ENOENT);
}

TEST_F(Lifecycle, TheLastDescriptorTakesTheVmWithIt)
{
	for (const auto code : {guests::spin_cli, guests::wait_forever, guests::exit42}) {
		machine vm = started(code);

		vm.close();
		EXPECT_TRUE(live::eventually([&] { return live::info(device).vms == 0; }));
	}
}

TEST_F(Lifecycle, ADetachedVmStays)
{
	const std::vector<std::uint64_t> ids = spawn_detached(guests::wait_forever, 1);
	mayfly_open open{};

	open.id = ids[0];
	ASSERT_EQ(call(device, MAYFLY_OPEN, &open), 0);
	live::fd handle(open.fd);
	handle.reset();
	device = live::open_device();
	EXPECT_EQ(live::info(device).vms, 1u);
	EXPECT_EQ(control(MAYFLY_OP_KILL, ids), 1u);
	EXPECT_EQ(list()[0].reason, unsigned{MAYFLY_END_KILLED});
	EXPECT_EQ(control(MAYFLY_OP_REMOVE, ids), 1u);
}

TEST_F(Lifecycle, ASignalInterruptsRun)
{
	const live::fd image = live::make_image(device, guests::spin_cli);
	const machine vm(image, device);
	struct sigaction action {};

	action.sa_handler = [](int) {};
	sigaction(SIGALRM, &action, nullptr);

	// Again and again: one signal may come right before RUN.
	const itimerval often{.it_interval = {0, 20000}, .it_value = {0, 20000}}, never{};

	setitimer(ITIMER_REAL, &often, nullptr);
	EXPECT_EQ(vm.run(), -EINTR);
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_READY});
	EXPECT_EQ(vm.run(), -EINTR);
	setitimer(ITIMER_REAL, &never, nullptr);

	const live::fd waiting = live::make_image(device, guests::wait_forever);
	const machine sleeper(waiting, device);

	EXPECT_EQ(sleeper.run(MAYFLY_RUN_UNTIL_PARK), 0);
	setitimer(ITIMER_REAL, &often, nullptr);
	EXPECT_EQ(sleeper.run(), -EINTR);
	EXPECT_EQ(sleeper.info().state, unsigned{MAYFLY_PARKED});
	setitimer(ITIMER_REAL, &never, nullptr);
}

TEST_F(Lifecycle, OthersControlAnAttachedVm)
{
	const live::fd image = live::make_image(device, guests::spin_cli);
	const machine vm(image, device);
	int ret = 1;
	std::uint32_t outcome = 0;
	std::thread runner([&] { ret = vm.run(0, &outcome); });

	ASSERT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_RUNNING; }));
	EXPECT_EQ(vm.run(), -EBUSY);
	EXPECT_EQ(vm.control(MAYFLY_OP_START), -EBUSY);
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PAUSED});
	EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_RUNNING; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	runner.join();
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_ENDED});
}

/// Nobody wants its thread's CPU, so that nothing ends its turn.
TEST_F(Lifecycle, CpuTimeOfAnAttachedVmGrowsWhileItRuns)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		GTEST_SKIP() << "needs two CPUs: one watches the other";

	const machine vm(live::make_image(device, guests::spin), device);
	std::thread runner([&] {
		const sched_param first{.sched_priority = 1};

		EXPECT_TRUE(live::run_on(1));
		EXPECT_EQ(sched_setscheduler(0, SCHED_FIFO, &first), 0);
		EXPECT_EQ(vm.run(), 0);
	});

	for (int i = 0; i < 10; i++) {
		const mayfly_vm_info before = vm.info();

		EXPECT_TRUE(live::eventually([&] {
			return vm.info().exits_by[MAYFLY_EXIT_INTERRUPT] > before.exits_by[MAYFLY_EXIT_INTERRUPT] + 5;
		}));
		EXPECT_GT(vm.info().cpu_ns, before.cpu_ns);
	}
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	runner.join();
}

TEST_F(Lifecycle, AnAttachedWaiterIsWokenAndKilled)
{
	for (const std::uint32_t op : {MAYFLY_OP_NOTIFY, MAYFLY_OP_KILL}) {
		const live::fd image = live::make_image(device, guests::wait_forever);
		const machine vm(image, device);
		int ret = 1;
		std::thread runner([&] { ret = vm.run(); });

		EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
		EXPECT_EQ(vm.control(op), 0);
		runner.join();
		EXPECT_EQ(ret, 0);
		EXPECT_EQ(vm.info().state, unsigned{MAYFLY_ENDED});
	}
}

TEST_F(Lifecycle, AClientKilledAtAnyMomentLeavesNothing)
{
	for (int delay = 0; delay < 20000; delay += 1000) {
		const pid_t child = fork();

		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			const live::fd own = live::open_device();
			const live::fd image = live::make_image(own, guests::spin_cli);

			for (;;) {
				const machine a(image, own, MAYFLY_SPAWN_START);
				const machine b(image, own);
				std::thread([&] { b.run(); }).detach();
				usleep(500);
				b.control(MAYFLY_OP_KILL);
			}
		}
		usleep(static_cast<useconds_t>(delay));
		kill(child, SIGKILL);
		waitpid(child, nullptr, 0);
	}
	EXPECT_TRUE(live::eventually([&] { return live::info(device).vms == 0; }));
}

TEST_F(Lifecycle, PollTellsOfOutputAndEnd)
{
	const live::fd image = live::make_image(device, guests::hello);
	const machine vm(image, device);
	pollfd poll{.fd = vm.handle().get(), .events = POLLIN, .revents = 0};

	EXPECT_EQ(::poll(&poll, 1, 0), 0);
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_OUTPUT), 0);
	ASSERT_EQ(::poll(&poll, 1, 0), 1);
	EXPECT_EQ(poll.revents, POLLIN);
	EXPECT_EQ(vm.output(), "hello\n");
	EXPECT_EQ(::poll(&poll, 1, 0), 0);
	ASSERT_EQ(vm.run(), 0);
	ASSERT_EQ(::poll(&poll, 1, 0), 1);
	EXPECT_EQ(poll.revents, POLLIN | POLLHUP);

	char byte;

	EXPECT_EQ(read(vm.handle().get(), &byte, 1), 0);
}

TEST_F(Lifecycle, OthersMayNot)
{
	const std::vector<std::uint64_t> ids = spawn_detached(guests::wait_forever, 1);
	const pid_t child = fork();

	if (!child) {
		// The right to the device is the opener's; the right to a VM is not.
		const int failed = setgid(65534) || setuid(65534);
		mayfly_open open{};
		mayfly_control args{};
		std::int32_t result = 0;

		open.id = ids[0];
		args.op = MAYFLY_OP_KILL;
		args.ids = live::address(ids.data());
		args.results = live::address(&result);
		args.count = 1;
		const bool good = !failed && call(device, MAYFLY_OPEN, &open) == -EPERM &&
				  call(device, MAYFLY_CONTROL, &args) == 0 && result == -EPERM && list().empty();
		_exit(good ? 0 : 1);
	}

	int status = 0;

	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(control(MAYFLY_OP_KILL, ids), 1u);
	EXPECT_EQ(control(MAYFLY_OP_REMOVE, ids), 1u);
}

TEST_F(Lifecycle, AThousandParkAtNoCostAndVanishWithoutATrace)
{
	constexpr std::uint32_t count = 1000;
	const std::vector<std::uint64_t> ids = spawn_detached(guests::wait_forever, count);
	const auto total = [&] {
		std::uint64_t parked = 0, exits = 0, cpu = 0;

		for (const mayfly_vm_info &row : list()) {
			parked += row.state == MAYFLY_PARKED;
			exits += row.exits;
			cpu += row.cpu_ns;
		}
		return std::tuple(parked, exits, cpu);
	};

	ASSERT_TRUE(live::eventually([&] { return std::get<0>(total()) == count; }));

	const auto before = total();

	sleep(1);
	EXPECT_EQ(total(), before);
	EXPECT_EQ(control(MAYFLY_OP_KILL, ids), count);
	EXPECT_EQ(control(MAYFLY_OP_REMOVE, ids), count);
}

TEST_F(Lifecycle, AThousandAreWokenAndAnswer)
{
	constexpr std::uint32_t count = 1000;
	const std::vector<std::uint64_t> ids = spawn_detached(guests::wait_forever, count);

	EXPECT_EQ(control(MAYFLY_OP_NOTIFY, ids), count);
	ASSERT_TRUE(live::eventually([&] {
		return std::ranges::all_of(list(), [](const mayfly_vm_info &row) { return row.state == MAYFLY_ENDED; });
	}));
	for (const mayfly_vm_info &row : list()) {
		EXPECT_EQ(row.reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(row.status, 1);
	}
	EXPECT_EQ(control(MAYFLY_OP_REMOVE, ids), count);
}

}
