// SPDX-License-Identifier: Apache-2.0
//
// What broke other hypervisors: every MSR, every port, every CPUID leaf and every
// instruction that a guest must not have, and what hurts the host while it runs.

#include <algorithm>
#include <array>
#include <map>

#include <sched.h>

#include "machine.hpp"

namespace
{

using live::machine;

constexpr std::uint64_t not_canonical = std::uint64_t{1} << 47;

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
		mayfly_vcpu_state state = vm.state();

		state.regs[8] = first;
		state.regs[9] = count;
		state.regs[10] = value;
		EXPECT_EQ(vm.set_state(state), 0);
		EXPECT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, 0);
		EXPECT_EQ(vm.stat().console_lost, 0u);
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
		for (const std::uint32_t number : {0x48u, 0x49u, 0x10bu, 0x122u, 0x123u, 0x1d9u, 0xda0u, 0xc0000103u,
						   0xc0010015u, 0xc0010114u, 0xc0011019u, 0xc001101au, 0xc001101bu,
						   0xc0011020u, 0xc0011027u, 0xc0011029u, 0xc001011fu}) {
			const auto got = what_passes(guests::msr_walk, number, 1, value);

			EXPECT_TRUE(got.empty()) << text_of(got) << std::hex << value;
		}
}

/// Rule 9: what the CPU lets a guest write, the host has to bear at the switch.
TEST_F(Security, NonCanonicalAddressesInItsOwnMsrs)
{
	for (const std::uint64_t value : {not_canonical, not_canonical << 16, not_canonical * 3})
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

	// QEMU 7.2 takes RDTSCP for RDTSC, which guests may execute.
	vm.set_parameters(live::info(device).backend == 2);
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

/// Rule 38: SSE2 and long mode, whatever the host has; no vendor, no topology.
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
	EXPECT_EQ(leaves, (std::vector<std::uint32_t>{0, 1, 0x40000000, 0x80000000, 0x80000001, 0x80000008}));
	EXPECT_EQ(by_leaf[1], (leaf{1, 0x610, 0x10800, 0x80002000, 0x0788a97d}));
	EXPECT_EQ(by_leaf[0x80000001], (leaf{0x80000001, 0x610, 0, 1, 0x24100800}));
	EXPECT_EQ(by_leaf[0x80000008], (leaf{0x80000008, 0x3028, 0, 0, 0}));
}

/// Rule 1: a guest that raises #DB for ever can still be stopped.
TEST_F(Security, AnEndlessSingleStepIsKilled)
{
	const live::fd image = live::make_image(device, guests::step_loop);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	EXPECT_TRUE(live::eventually([&] { return vm.stat().exits[MAYFLY_EXIT_EXCEPTION] > 1000; }));
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
	EXPECT_EQ(vm.stat().exits[MAYFLY_EXIT_CPUID], 1u);
}

/// Asks twice, with different bytes in what is to be overwritten.
template <class T> void expect_all_written(const live::fd &on, unsigned long request)
{
	T zeros, ones;

	std::memset(&zeros, 0, sizeof(zeros));
	std::memset(&ones, 0xff, sizeof(ones));
	ASSERT_EQ(call(on, request, &zeros), 0);
	ASSERT_EQ(call(on, request, &ones), 0);
	EXPECT_EQ(std::memcmp(&zeros, &ones, sizeof(T)), 0) << request;
}

/// Rule 13: no byte of an answer is left as it was, so none is the kernel's stack's.
TEST_F(Security, EveryByteOfAnAnswerIsWritten)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);

	expect_all_written<mayfly_info>(device, MAYFLY_INFO);
	expect_all_written<mayfly_vm_stat>(vm.handle(), MAYFLY_STAT);
	expect_all_written<mayfly_vcpu_state>(vm.handle(), MAYFLY_GET_STATE);
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
			cpu_set_t one;

			CPU_ZERO(&one);
			CPU_SET(turns % 2, &one);
			ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
			ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
		}
		EXPECT_GT(turns, 10u);
		EXPECT_EQ(vm.info().status, 0);
	}
	EXPECT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

}
