// SPDX-License-Identifier: Apache-2.0
//
// What broke other hypervisors: every MSR, every port, every CPUID leaf and every
// instruction that a guest must not have, and what hurts the host while it runs.

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>
#include <thread>

#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/syscall.h>

#include "machine.hpp"

namespace
{

using live::machine;

/// What the walks of hostile.S print.
struct passed {
	std::uint32_t number;
	std::uint32_t written;
	auto operator<=>(const passed &) const = default;
};

class Security : public live::Live
{
protected:
	void TearDown() override
	{
		{
			const live::fd image = live::make_image(device, guests::exit42);
			const machine vm(image, device);

			EXPECT_EQ(vm.run(), 0);
			EXPECT_EQ(vm.info().status, 42) << "the next VM";
		}
		Live::TearDown();
	}
	/// Runs a walk of \p count numbers from \p first on, and returns what it printed.
	std::string walk(std::span<const std::byte> code, std::uint64_t first, std::uint64_t count,
			 std::uint64_t value = 0)
	{
		const live::fd image = live::make_image(device, code);
		const machine vm(image, device);

		vm.set_parameters(first, count, value);
		EXPECT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, 0);
		EXPECT_EQ(vm.info().console_lost, 0u);
		return vm.output();
	}
	std::vector<passed> what_passes(std::span<const std::byte> code, std::uint64_t first, std::uint64_t count,
					std::uint64_t value = 0)
	{
		const std::string bytes = walk(code, first, count, value);
		std::vector<passed> result(bytes.size() / sizeof(passed));

		std::memcpy(result.data(), bytes.data(), result.size() * sizeof(passed));
		return result;
	}
};

std::vector<passed> read_and_written(std::initializer_list<std::uint32_t> numbers)
{
	std::vector<passed> result;

	for (const std::uint32_t number : numbers)
		result.insert(result.end(), {{number, 0}, {number, 1}});
	return result;
}

std::string text_of(const std::vector<passed> &all)
{
	std::string text;
	char one[32];

	for (const passed &p : all) {
		std::snprintf(one, sizeof(one), "%s %#x, ", p.written ? "write" : "read", p.number);
		text += one;
	}
	return text;
}

/// Rules 9, 10, 11: the bitmap's three ranges of 8,192, and around them.
TEST_F(Security, EveryMsrButItsOwnIsRefused)
{
	std::vector<passed> high = read_and_written({0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
						     0xc0000101, 0xc0000102});

	high.insert(high.begin(), {0xc0000080, 0}); // EFER can be read

	const std::map<std::uint32_t, std::vector<passed>> own = {
		{0x00000000, read_and_written({0x174, 0x175, 0x176})},
		{0x00002000, {}},
		{0x40000000, {}},
		{0xbfffe000, {}},
		{0xc0000000, high},
		{0xc0002000, {}},
		{0xc0010000, {}},
		{0xc0012000, {}},
		{0xffffe000, {}},
	};

	for (const auto &[first, want] : own) {
		const bool ranges = first == 0 || first == 0xc0000000 || first == 0xc0010000;
		const auto got = what_passes(guests::msr_walk, first, ranges ? 0x2000 : 0x20);

		EXPECT_EQ(got, want) << std::hex << first << ": " << text_of(got);
	}
}

/// Rule 11: BTF, BTS and LBR, AMD's breakpoint masks, the host's SPEC_CTRL.
TEST_F(Security, DebugAndSpeculationMsrsTakeNoValue)
{
	for (const std::uint64_t value : {1ull, 2ull, 0xc0ull, ~0ull})
		for (const std::uint32_t number :
		     {0x48u, 0x49u, 0x10bu, 0x122u, 0x123u, 0x1d9u, 0xda0u, 0xc0000103u, 0xc0010015u, 0xc0010114u,
		      0xc0011019u, 0xc001101au, 0xc001101bu, 0xc0011020u, 0xc0011027u, 0xc0011029u, 0xc001011fu}) {
			const auto got = what_passes(guests::msr_walk, number, 1, value);

			EXPECT_TRUE(got.empty()) << text_of(got) << std::hex << value;
		}
}

/// Rule 9: what the CPU lets a guest write, the host has to bear at the switch.
TEST_F(Security, NonCanonicalAddressesInItsOwnMsrs)
{
	const std::uint64_t first = live::not_canonical();

	for (const std::uint64_t value : {first, first << 7, first * 3})
		for (const std::uint32_t number : {0x174u, 0xc0000081u, 0xc0000100u}) {
			const auto got = what_passes(guests::msr_walk, number, 4, value);

			EXPECT_GE(got.size(), 3u) << "reading is allowed";
		}
}

/// Rule 12: no port, not even 0x80.
TEST_F(Security, EveryPortIsRefused)
{
	const auto got = what_passes(guests::port_walk, 0, 0x10000);

	EXPECT_TRUE(got.empty()) << text_of(got);
}

/// Rules 2, 10, 24: nothing of SVM, VT-x, XSAVE, debug registers, caches, CR8.
TEST_F(Security, EveryPrivilegedInstructionIsRefused)
{
	const live::fd image = live::make_image(device, guests::refused_instructions);
	const machine vm(image, device);

	// QEMU 7.2 takes RDTSCP for RDTSC, which guests may execute. No AMD CPU can
	// intercept RDRAND and RDSEED.
	vm.set_parameters(live::info(device).backend == 2 ? 3 : 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
	EXPECT_EQ(vm.info().status, 0) << "the number of the one that passed";
}

/// Rule 38: on AMD RDPID makes no exit, and says what the host has left in TSC_AUX. No
/// emulator here has it: there this test only shows that it is refused.
TEST_F(Security, NoCpuHasANumber)
{
	const live::fd image = live::make_image(device, guests::cpu_number);
	cpu_set_t all;

	sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_COUNT(&all); cpu++) {
		const machine vm(image, device);

		ASSERT_TRUE(live::run_on(cpu));
		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, 0) << "on CPU " << cpu;
	}
	sched_setaffinity(0, sizeof(all), &all);
}

/// Rule 38: SSE2 and long mode, whatever the host has, and no topology.
TEST_F(Security, CpuidSaysWhatIsListedAndNothingElse)
{
	using leaf = std::array<std::uint32_t, 5>;

	std::vector<std::uint32_t> leaves;
	std::map<std::uint32_t, leaf> by_leaf;

	for (const std::uint32_t first : {0u, 0x20000000u, 0x40000000u, 0x80000000u, 0x80860000u, 0xc0000000u}) {
		const std::string bytes = walk(guests::cpuid_walk, first, 0x100);

		for (std::size_t i = 0; i + sizeof(leaf) <= bytes.size(); i += sizeof(leaf)) {
			leaf one;

			std::memcpy(&one, bytes.data() + i, sizeof(one));
			leaves.push_back(one[0]);
			by_leaf[one[0]] = one;
		}
	}
	const bool amd = live::info(device).cpu_vendor == MAYFLY_VENDOR_AMD;
	const std::uint32_t family = amd ? 0xf10 : 0x610;

	if (amd) {
		EXPECT_EQ(leaves, (std::vector<std::uint32_t>{0, 1, 0x40000000, 0x80000000, 0x80000001, 0x80000005,
							      0x80000006, 0x80000008}));
		EXPECT_EQ(std::memcmp(&by_leaf[0][2], "Auth", 4), 0);
	} else {
		EXPECT_EQ(leaves,
			  (std::vector<std::uint32_t>{0, 1, 2, 4, 0x40000000, 0x80000000, 0x80000001, 0x80000008}));
		EXPECT_EQ(std::memcmp(&by_leaf[0][2], "Genu", 4), 0);
	}
	EXPECT_EQ(by_leaf[1], (leaf{1, family, 0x10800, 0x80002000, 0x0788a97d}));
	EXPECT_EQ(by_leaf[0x80000001], (leaf{0x80000001, amd ? family : 0, 0, 1, 0x24100800}));
	EXPECT_EQ(by_leaf[0x80000008], (leaf{0x80000008, 0x3028, 0, 0, 0}));
}

/// Rule 1: a guest that raises #DB for ever can still be stopped.
TEST_F(Security, AnEndlessSingleStepIsKilled)
{
	const live::fd image = live::make_image(device, guests::step_loop);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	EXPECT_TRUE(live::eventually([&] { return vm.info().exits_by[MAYFLY_EXIT_EXCEPTION] > 1000; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	ASSERT_TRUE(vm.wait_for_end());
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_KILLED});
}

/// Rule 22: a length that is not the shortest, and a next instruction that is not there.
TEST_F(Security, InstructionsWithPrefixesAndAtTheEndOfMemory)
{
	{
		const live::fd image = live::make_image(device, guests::prefixed_cpuid);
		const machine vm(image, device);

		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().status, 42);
	}
	const live::fd image = live::make_image(device, guests::cpuid_at_the_end);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_BAD_ACCESS});
	EXPECT_EQ(vm.info().address & ~0xfffull, MAYFLY_MEMORY_DEFAULT);
	EXPECT_EQ(vm.info().exits_by[MAYFLY_EXIT_CPUID], 1u);
}

/// Asks twice, with different bytes in what is to be overwritten; returns an answer.
template <class T> T all_written(const live::fd &on, unsigned long request)
{
	T zeros, ones;

	std::memset(&zeros, 0, sizeof(zeros));
	std::memset(&ones, 0xff, sizeof(ones));
	EXPECT_EQ(call_row(on, request, zeros), 0);
	EXPECT_EQ(call_row(on, request, ones), 0);
	EXPECT_EQ(std::memcmp(&zeros, &ones, sizeof(T)), 0) << request;
	return zeros;
}

/// The bytes are zero, where the module's stack is 0xfe in DEBUG builds.
template <class T> void expect_zero(const T &part, const char *name)
{
	const auto bytes = std::as_bytes(std::span(&part, 1));

	EXPECT_TRUE(std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; })) << name;
}

void expect_zero_behind(const char (&name)[MAYFLY_NAME_SIZE])
{
	for (std::size_t i = strnlen(name, sizeof(name)); i < sizeof(name); i++)
		EXPECT_EQ(name[i], 0) << name << " at " << i;
}

void expect_a_living_ones(const mayfly_vm_info &row)
{
	expect_zero(row.reason, "reason");
	expect_zero(row.status, "status");
	expect_zero(row.ended_ns, "ended_ns");
	expect_zero(row.rip, "rip");
	expect_zero(row.address, "address");
	expect_zero(row.detail, "detail");
	expect_zero(row.flags, "flags");
	expect_zero_behind(row.name);
	expect_zero_behind(row.image);
}

/// Rule 13: no byte of an answer is left as it was, or is what the kernel's stack was.
TEST_F(Security, EveryByteOfAnAnswerIsWritten)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);

	EXPECT_EQ(all_written<mayfly_info>(device, MAYFLY_INFO).vms, 1u);
	EXPECT_EQ(all_written<mayfly_image_info>(image, MAYFLY_STAT).users, 2u);

	const auto stat = all_written<mayfly_vm_info>(vm.handle(), MAYFLY_STAT);

	expect_a_living_ones(stat);
	expect_zero(stat.exits_by, "exits");

	live::vcpu_state state;

	std::memset(&state, 0xff, sizeof(state));
	ASSERT_EQ(live::get_state(vm.handle(), state), 0);
	expect_zero(state.cr2, "CR2");
	expect_zero(state.events, "events");
	expect_zero(state.deadline, "deadline");
	expect_zero(state.waiting, "waiting");

	std::array<mayfly_vm_info, 2> rows;
	mayfly_list list{};

	std::memset(rows.data(), 0xff, sizeof(rows));
	list.rows = live::address(rows.data());
	list.row_size = sizeof(mayfly_vm_info);
	list.count = rows.size();
	ASSERT_EQ(call(device, MAYFLY_LIST, &list), 0);
	ASSERT_EQ(list.count, 1u);
	expect_a_living_ones(rows[0]);
	EXPECT_EQ(rows[1].id, ~std::uint64_t{0}) << "a row that is none";
}

/// Rules 18 and 19: how much a hypercall does has a limit, and no range wraps.
TEST_F(Security, HypercallsHaveLimits)
{
	struct question {
		std::uint32_t number;
		std::uint64_t gpa, amount;
		std::int32_t answer;
	};
	constexpr std::uint64_t all = ~std::uint64_t{0}, end = MAYFLY_MEMORY_DEFAULT;
	const live::fd image = live::make_image(device, guests::call_argument);

	for (const auto &[number, gpa, amount, answer] : std::initializer_list<question>{
		     {MAYFLY_HC_DISCARD, guests::range_gpa, 1024, MAYFLY_DISCARD_MAX},
		     {MAYFLY_HC_DISCARD, guests::range_gpa, 0, 0},
		     {MAYFLY_HC_DISCARD, guests::range_gpa, all, -EINVAL},
		     {MAYFLY_HC_DISCARD, guests::range_gpa, all >> 12, -EINVAL},
		     {MAYFLY_HC_DISCARD, all & ~0xfffull, 2, -EINVAL},
		     {MAYFLY_HC_DISCARD, end - 4096, 2, -EINVAL},
		     {MAYFLY_HC_DISCARD, end - 4096, 1, 1},
		     {MAYFLY_HC_CONSOLE, guests::gpa, all, MAYFLY_CONSOLE_MAX},
		     {MAYFLY_HC_CONSOLE, all, 2, -EFAULT},
		     {MAYFLY_HC_CONSOLE, all - 4095, all, -EFAULT},
		     {MAYFLY_HC_CONSOLE, end - 1, 2, -EFAULT},
		     {MAYFLY_HC_CONSOLE, end - 1, 1, 1},
	     }) {
		const machine vm(image, device);

		vm.set_parameters(number, gpa, amount);
		ASSERT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, answer) << number << std::hex << " of " << gpa << ", " << amount;
	}
}

/// Rule 23: a VM exit clears DR7, and a debugger's breakpoint must not go with it.
TEST_F(Security, BreakpointsOfTheHostSurviveRun)
{
	constexpr int rounds = 20;
	alignas(8) static volatile std::uint64_t watched;
	perf_event_attr attributes{};

	attributes.size = sizeof(attributes);
	attributes.type = PERF_TYPE_BREAKPOINT;
	attributes.bp_type = HW_BREAKPOINT_W;
	attributes.bp_addr = live::address(const_cast<const std::uint64_t *>(&watched));
	attributes.bp_len = HW_BREAKPOINT_LEN_8;
	attributes.exclude_kernel = 1;

	const live::fd image = live::make_image(device, guests::exit42);
	const live::fd event(static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0)));

	ASSERT_GE(event.get(), 0) << strerror(errno);
	for (std::uint64_t i = 0; i < rounds; i++) {
		const machine vm(image, device);

		ASSERT_EQ(vm.run(), 0);
		watched = i;
	}

	std::uint64_t count = 0;

	ASSERT_EQ(read(event.get(), &count, sizeof(count)), static_cast<ssize_t>(sizeof(count)));
	EXPECT_EQ(count, std::uint64_t{rounds});
}

/// The kernel's log from here on.
class kernel_log final
{
public:
	kernel_log() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC))
	{
		EXPECT_GE(fd_.get(), 0) << "/dev/kmsg: " << strerror(errno);
		lseek(fd_.get(), 0, SEEK_END);
	}
	/// The message of the next record, if there is one.
	[[nodiscard]] std::optional<std::string> next() const
	{
		char record[8192];
		const ssize_t n = read(fd_.get(), record, sizeof(record));

		if (n <= 0)
			return std::nullopt;

		const std::string line(record, static_cast<std::size_t>(n));

		return line.substr(line.find(';') + 1);
	}

private:
	live::fd fd_;
};

/// Rule 25: an NMI that comes in guest mode is taken at once, and not the last one.
TEST_F(Security, NmisInGuestModeAreTheHosts)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		GTEST_SKIP() << "needs two CPUs: one sends them to the other";

	const live::fd image = live::make_image(device, guests::spin_cli);
	const machine vm(image, device);
	std::thread runner([&] {
		EXPECT_TRUE(live::run_on(1));
		EXPECT_EQ(vm.run(), 0);
	});
	cpu_set_t before;
	int in_guest_mode = 0;
	std::string places;

	sched_getaffinity(0, sizeof(before), &before);
	EXPECT_TRUE(live::run_on(0));
	// It may be with the host at that moment, for a tick.
	for (int i = 0; i < 30 && in_guest_mode < 3 && !HasFailure(); i++) {
		// Its CPU may be busy with printing what the last round had printed.
		EXPECT_TRUE(live::eventually([&, before = vm.info().cpu_ns] { return vm.info().cpu_ns > before; }));
		const kernel_log log;
		std::string rip;
		bool of_other = false;

		std::ofstream("/proc/sysrq-trigger") << "l" << std::flush;
		EXPECT_TRUE(live::eventually([&] {
			while (const auto line = log.next()) {
				if (line->starts_with("NMI backtrace for cpu "))
					of_other = line->starts_with("NMI backtrace for cpu 1");
				// Where it was, or that it was idle.
				if (of_other && rip.empty() &&
				    (line->starts_with("RIP: ") || line->find("skipped") != std::string::npos))
					rip = *line;
			}
			return !rip.empty();
		})) << "round "
		    << i;
		in_guest_mode += rip.find("svm_enter") != std::string::npos ||
				 rip.find("vmx_do_nmi") != std::string::npos;
		places += rip;
	}
	EXPECT_EQ(in_guest_mode, 3) << places;
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	runner.join();
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_KILLED});
	sched_setaffinity(0, sizeof(before), &before);
}

/// Rule 20: deadlines that are over before they are set.
TEST_F(Security, ManyWithDeadlinesThatAreAlmostOver)
{
	const live::fd image = live::make_image(device, guests::wait_hardly);
	std::vector<machine> all;

	for (int i = 0; i < 20; i++) {
		all.emplace_back(image, device);
		all.back().set_parameters(500);
		ASSERT_EQ(all.back().control(MAYFLY_OP_START), 0);
	}
	for (const machine &vm : all) {
		ASSERT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
	}
}

/// Rule 5: the CPU changes at every park, with what each CPU keeps of the host.
TEST_F(Security, GuestsThatChangeTheCpuAtEveryPark)
{
	cpu_set_t before;

	ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
	if (CPU_COUNT(&before) < 2)
		GTEST_SKIP() << "needs two CPUs";

	for (const auto code : {guests::registers_park, guests::xmm_park, guests::park_stamped}) {
		const live::fd image = live::make_image(device, code);
		const machine vm(image, device);
		std::uint32_t outcome = MAYFLY_RAN_PARKED;
		unsigned turns = 0;

		for (; outcome == MAYFLY_RAN_PARKED; turns++) {
			ASSERT_TRUE(live::run_on(static_cast<int>(turns % 2)));
			ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
		}
		EXPECT_GT(turns, 10u);
		EXPECT_EQ(vm.info().status, 0);
	}
	EXPECT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}
