// SPDX-License-Identifier: Apache-2.0
//
// What each tiny guest does, and how it must end. Every one runs attached and in
// the hands of the workers: both must say the same.

#include "machine.hpp"

namespace
{

using live::machine;

struct expectation {
	const char *name;
	std::span<const std::byte> code;
	std::uint32_t reason;
	std::int32_t status = 0;
	std::uint64_t address = 0;
	std::uint32_t exit_reason = MAYFLY_EXIT_HYPERCALL; ///< one that must be counted
};

constexpr std::uint32_t exited = MAYFLY_END_EXITED;
constexpr std::uint32_t triple = MAYFLY_END_TRIPLE_FAULT;
constexpr std::uint32_t bad = MAYFLY_END_BAD_ACCESS;
constexpr std::uint64_t memory = MAYFLY_MEMORY_DEFAULT;

const expectation table[] = {
	{"exit42", guests::exit42, exited, 42},
	{"hello", guests::hello, exited, 0},
	{"console_bad", guests::console_bad, exited, -14},
	{"unknown_hypercall", guests::unknown_hypercall, exited, -38},
	{"notify", guests::notify, exited, -2},
	{"wait_deadline", guests::wait_deadline, exited, 0},
	{"push_pop", guests::push_pop, exited, 0, 0, MAYFLY_EXIT_MEMORY},
	{"registers_park", guests::registers_park, exited, 0},
	{"xmm_park", guests::xmm_park, exited, 0},
	{"stamp", guests::stamp, exited, 0, 0, MAYFLY_EXIT_MEMORY},
	{"check_zero", guests::check_zero, exited, 0, 0, MAYFLY_EXIT_MEMORY},
	{"park_stamped", guests::park_stamped, exited, 0},
	{"discard_all", guests::discard_all, exited, 0},
	{"touch_all", guests::touch_all, exited, 0, 0, MAYFLY_EXIT_MEMORY},
	{"user_syscall", guests::user_syscall, exited, 43},
	{"own_system_calls", guests::own_system_calls, exited, 0},
	{"triple_fault", guests::triple_fault, triple, 0, 0, MAYFLY_EXIT_SHUTDOWN},
	{"null_read", guests::null_read, triple, 0, 0, MAYFLY_EXIT_SHUTDOWN},
	{"out_port", guests::out_port, triple, 0, 0, MAYFLY_EXIT_DENIED},
	{"in_port", guests::in_port, triple, 0, 0, MAYFLY_EXIT_DENIED},
	{"rdmsr_unknown", guests::rdmsr_unknown, triple, 0, 0, MAYFLY_EXIT_MSR},
	{"wrmsr_unknown", guests::wrmsr_unknown, triple, 0, 0, MAYFLY_EXIT_MSR},
	{"cr4_write", guests::cr4_write, triple, 0, 0, MAYFLY_EXIT_DENIED},
	{"dr_read", guests::dr_read, triple, 0, 0, MAYFLY_EXIT_DENIED},
	// Only SVM has to deny it; elsewhere the CPU does not know it.
	{"vmrun_ud", guests::vmrun_ud, triple, 0, 0, MAYFLY_EXIT_SHUTDOWN},
	{"user_hypercall", guests::user_hypercall, triple, 0, 0, MAYFLY_EXIT_HYPERCALL},
	{"bad_access", guests::bad_access, bad, 0, memory, MAYFLY_EXIT_MEMORY},
	{"bad_access_far", guests::bad_access_far, bad, 0, (64ull << 30) - 4096, MAYFLY_EXIT_MEMORY},
	{"write_text", guests::write_text, bad, 0, guests::gpa, MAYFLY_EXIT_MEMORY},
	{"poke_device", guests::poke_device, bad, 0, MAYFLY_GPA_DEVICE, MAYFLY_EXIT_MEMORY},
	{"poke_stub", guests::poke_stub, bad, 0, MAYFLY_GPA_STUB, MAYFLY_EXIT_MEMORY},
	{"run_device", guests::run_device, bad, 0, MAYFLY_GPA_DEVICE, MAYFLY_EXIT_MEMORY},
};

class Guest : public live::Live, public ::testing::WithParamInterface<expectation>
{
protected:
	static void check(const machine &vm)
	{
		const expectation &want = GetParam();
		const mayfly_vm_info got = vm.info();

		EXPECT_EQ(got.state, unsigned{MAYFLY_ENDED});
		EXPECT_EQ(got.reason, want.reason);
		EXPECT_EQ(got.status, want.status);
		EXPECT_EQ(got.address & ~0xfffull, want.address);
		EXPECT_GE(got.exits_by[want.exit_reason], 1u);
		EXPECT_GT(got.exits, 0u);
		EXPECT_GE(got.ended_ns, got.created_ns);
		EXPECT_NE(got.rip, 0u);
		// Memory goes back at once, not when the VM is removed.
		EXPECT_EQ(got.guest_pages + got.table_pages + got.device_pages, 0u);
	}
};

TEST_P(Guest, EndsAsItMustAttached)
{
	const live::fd image = live::make_image(device, GetParam().code);
	const machine vm(image, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(vm.run(0, &outcome), 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_ENDED});
	check(vm);
}

TEST_P(Guest, EndsAsItMustWithWorkers)
{
	const live::fd image = live::make_image(device, GetParam().code);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	ASSERT_TRUE(vm.wait_for_end());
	check(vm);
}

INSTANTIATE_TEST_SUITE_P(All, Guest, ::testing::ValuesIn(table),
			 [](const auto &test) { return std::string(test.param.name); });

class Exits : public live::Live
{};

TEST_F(Exits, AreCountedExactly)
{
	const live::fd image = live::make_image(device, guests::hypercall_loop);
	const machine vm(image, device);

	vm.set_parameters(1000);
	ASSERT_EQ(vm.run(), 0);
	// The loop's, and exit's own.
	EXPECT_EQ(vm.info().exits_by[MAYFLY_EXIT_HYPERCALL], 1001u);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
}

TEST_F(Exits, HltIsWaitWithoutDeadline)
{
	for (const auto code : {guests::hlt, guests::cli_hlt}) {
		const live::fd image = live::make_image(device, code);
		const machine vm(image, device);
		std::uint32_t outcome = 0;

		ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
		EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});
		EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PARKED});
		EXPECT_EQ(vm.info().exits_by[MAYFLY_EXIT_HLT], 1u);
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 3), 0);
		ASSERT_EQ(vm.run(0, &outcome), 0);
		EXPECT_EQ(vm.info().status, 7);
	}
}

TEST_F(Exits, WaitReturnsAndClearsEvents)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device);

	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 0), 0);
	ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, 5), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 1 << 0 | 1 << 5);
}

TEST_F(Exits, AHotImageFaultsLess)
{
	const live::fd image = live::make_image(device, guests::park_stamped);
	std::uint64_t faults[2];

	for (std::uint64_t &n : faults) {
		const machine vm(image, device);

		ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
		n = vm.info().exits_by[MAYFLY_EXIT_MEMORY];
	}
	EXPECT_GT(faults[0], 1u);
	// 16 pages are the range and more: too many to be hot, or all are.
	EXPECT_LE(faults[1], faults[0]);
}

TEST_F(Exits, WhatTheFirstVmWroteTheSecondHas)
{
	const live::fd image = live::make_image(device, guests::wait_loop);
	std::uint64_t faults[2];

	for (std::uint64_t &n : faults) {
		const machine vm(image, device);

		ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
		n = vm.info().exits_by[MAYFLY_EXIT_MEMORY];
	}
	EXPECT_GT(faults[0], 0u);
	EXPECT_EQ(faults[1], 0u);
}

TEST_F(Exits, ConsoleKeepsTheNewestAndCountsTheLost)
{
	const live::fd image = live::make_image(device, guests::console_flood);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
	EXPECT_EQ(vm.info().console_bytes, 80000u);
	EXPECT_EQ(vm.info().console_lost, 80000u - 4096);

	const std::string text = vm.output();

	ASSERT_EQ(text.size(), 4096u);
	EXPECT_EQ(text.substr(text.size() - 80), std::string(79, static_cast<char>('a' + 999 % 26)) + "\n");
}

TEST_F(Exits, OutputStopsRunWhenAsked)
{
	const live::fd image = live::make_image(device, guests::hello);
	const machine vm(image, device);
	std::uint32_t outcome = 0;

	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_OUTPUT, &outcome), 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_OUTPUT});
	EXPECT_EQ(vm.output(), "hello\n");
	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_OUTPUT, &outcome), 0);
	EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_ENDED});
}

}
