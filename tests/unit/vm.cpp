// SPDX-License-Identifier: Apache-2.0
// One VM's handle, over a pretended module.
#include <cstddef>

#include <gtest/gtest.h>

#include "fake_module.hpp"

namespace
{

using namespace std::chrono_literals;
using vmctl::poll_result;
using vmctl::run_result;

class vm_test : public testing::Test
{
protected:
	fake_module fake;

	vmctl::vm add(std::uint32_t state = MAYFLY_PARKED)
	{
		const std::uint64_t id = fake.add("one", state).id;
		auto opened = vmctl::device::open(fake)->open_vm(id);

		EXPECT_TRUE(opened);
		return std::move(*opened);
	}
};

TEST_F(vm_test, verbs_are_operations)
{
	const auto vm = add();

	EXPECT_TRUE(vm.start());
	EXPECT_TRUE(vm.pause());
	EXPECT_TRUE(vm.resume());
	EXPECT_TRUE(vm.notify(7));
	EXPECT_EQ(vm.notify(7).error().what, "the VM has ended already");
	EXPECT_EQ(vm.kill().error().code, ESRCH);
	EXPECT_TRUE(vm.remove());
	EXPECT_TRUE(fake.vms.empty());
	EXPECT_EQ(fake.operations,
		  (std::vector<std::uint32_t>{MAYFLY_OP_START, MAYFLY_OP_PAUSE, MAYFLY_OP_RESUME, MAYFLY_OP_NOTIFY,
					      MAYFLY_OP_NOTIFY, MAYFLY_OP_KILL, MAYFLY_OP_REMOVE}));
	EXPECT_EQ(fake.ports, (std::vector<std::uint32_t>{0, 0, 0, 7, 7, 0, 0}));
}

TEST_F(vm_test, asks_to_stop)
{
	EXPECT_TRUE(add().ask_to_stop());
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY}));
	EXPECT_EQ(fake.ports, (std::vector<std::uint32_t>{vmctl::stop_port}));
}

TEST_F(vm_test, verbs_go_on_after_a_signal)
{
	const auto vm = add();

	fake.interruptions = 1;
	EXPECT_TRUE(vm.kill());
	EXPECT_EQ(fake.calls[MAYFLY_CONTROL], 2);
	EXPECT_FALSE(vm.kill()) << "this one was not interrupted";
}

TEST_F(vm_test, refusals_are_words)
{
	using vmctl::operation;

	const auto vm = add(MAYFLY_PAUSED);

	EXPECT_EQ(vm.pause().error().what, "the VM is paused already");
	EXPECT_EQ(vm.remove().error().what, "the VM has not ended; kill it first");
	EXPECT_EQ(refusal(operation::start, EALREADY), "is started already");
	EXPECT_EQ(refusal(operation::resume, EALREADY), "is not paused");
	EXPECT_EQ(refusal(operation::start, EBUSY), "is run by another process");
	EXPECT_EQ(refusal(operation::kill, ENOENT), "no such VM");
	EXPECT_EQ(refusal(operation::kill, EPERM), "someone else's VM");
	EXPECT_EQ(refusal(operation::kill, EFAULT), "Bad address");
}

TEST_F(vm_test, a_handlers_control_leaves_errno_alone)
{
	errno = EDOM;
	EXPECT_EQ(vmctl::control_in_handler(-1, vmctl::operation::kill), EBADF);
	EXPECT_EQ(errno, EDOM);
}

TEST_F(vm_test, runs_until_what_was_asked_for)
{
	const auto vm = add();

	EXPECT_EQ(vm.run(), run_result::ended);
	fake.outcome = MAYFLY_RAN_PARKED;
	EXPECT_EQ(vm.run({.until_park = true}), run_result::parked);
	fake.outcome = MAYFLY_RAN_OUTPUT;
	fake.agains = 1;
	EXPECT_EQ(vm.run({.until_output = true}), run_result::output);
	EXPECT_EQ(fake.run_flags.size(), 4u);
	fake.run_flags.pop_back();
	EXPECT_EQ(fake.run_flags, (std::vector<std::uint32_t>{0, MAYFLY_RUN_UNTIL_PARK, MAYFLY_RUN_UNTIL_OUTPUT}));
	fake.outcome = MAYFLY_RAN_READY;
	EXPECT_EQ(vm.run({.until_ready = true}), run_result::ready);
	EXPECT_EQ(fake.run_flags.back(), std::uint32_t{MAYFLY_RUN_UNTIL_READY});
}

TEST_F(vm_test, polls)
{
	const auto vm = add();

	EXPECT_EQ(vm.poll(0ms), poll_result::nothing);
	fake.poll_events = POLLIN;
	EXPECT_EQ(vm.poll(20ms), poll_result::output);
	fake.poll_events = POLLIN | POLLHUP;
	EXPECT_EQ(vm.poll(), poll_result::ended);
	EXPECT_EQ(vm.poll(-5ms), poll_result::ended);
	EXPECT_EQ(vm.poll(std::chrono::hours(24 * 365)), poll_result::ended);
	EXPECT_EQ(fake.timeouts, (std::vector{0, 20, -1, 0, INT_MAX}));
}

TEST_F(vm_test, tells_all_that_the_module_tells)
{
	const auto vm = add();
	auto &row = fake.vms[0];
	auto &counters = fake.counters[row.id];

	row.uid = 1000;
	row.cpu_ns = 5;
	row.created_ns = 6;
	row.flags = MAYFLY_VM_DETACHED | MAYFLY_VM_COLD;
	std::memset(row.image, 'x', sizeof row.image); // without a NUL
	counters.exits_by[MAYFLY_EXIT_INTERRUPT] = 1;
	counters.exits_by[MAYFLY_EXIT_INVALID] = 2;
	counters.console_lost = 3;
	counters.parked = 4;

	const auto stat = vm.stat();

	ASSERT_TRUE(stat);
	EXPECT_EQ(stat->info.id, row.id);
	EXPECT_EQ(stat->info.name, "one");
	EXPECT_EQ(stat->info.image, std::string(64, 'x'));
	EXPECT_EQ(stat->info.state, vmctl::vm_state::parked);
	EXPECT_EQ(stat->info.uid, 1000u);
	EXPECT_EQ(stat->info.cpu_ns, 5u);
	EXPECT_EQ(stat->info.created_ns, 6u);
	EXPECT_TRUE(stat->info.detached);
	EXPECT_FALSE(stat->info.started);
	EXPECT_TRUE(stat->info.cold);
	EXPECT_FALSE(stat->info.ended());
	EXPECT_EQ(stat->exits[vmctl::exit_reason::interrupt], 1u);
	EXPECT_EQ(stat->exits[vmctl::exit_reason::invalid], 2u);
	EXPECT_EQ(stat->console_lost, 3u);
	EXPECT_EQ(stat->parked, 4u);
}

TEST_F(vm_test, names_the_register_that_was_refused)
{
	const auto vm = add();
	auto &row = fake.vms[0];

	fake.end(row, MAYFLY_END_BAD_STATE);
	row.address = offsetof(mayfly_vcpu_state, cr4);
	EXPECT_EQ(vm.info()->bad_register, "cr4");
	EXPECT_EQ(vm.info()->address, 0u);
	row.address = 7; // no register is there
	EXPECT_EQ(vm.info()->bad_register, "");
	EXPECT_EQ(vm.info()->end_text(), "the CPU refused the guest's state at offset 7 (code 0x0) at rip 0x0");
	row.reason = MAYFLY_END_BAD_ACCESS;
	row.address = 0x5000;
	EXPECT_EQ(vm.info()->bad_register, "");
	EXPECT_EQ(vm.info()->address, 0x5000u);
}

// Another value in each byte, and no field left out on the way.
TEST_F(vm_test, carries_the_whole_vcpu)
{
	const auto vm = add();
	fake_module::raw_vcpu &whole = fake.states[1];
	mayfly_vcpu_state &held = whole.registers;
	auto *bytes = reinterpret_cast<unsigned char *>(&whole);

	for (std::size_t i = 0; i < sizeof whole; i++)
		bytes[i] = static_cast<unsigned char>(i % 251 + 1);
	held.flags = MAYFLY_STATE_SHADOW;
	held.gdtr.reserved = held.idtr.reserved = 0;

	const fake_module::raw_vcpu kept = whole;
	const mayfly_vcpu_state &before = kept.registers;
	const auto state = vm.state();

	ASSERT_TRUE(state);
	EXPECT_EQ(state->regs[vmctl::rsi], before.regs[MAYFLY_RSI]);
	EXPECT_EQ(state->regs[vmctl::r15], before.regs[15]);
	EXPECT_EQ(state->tr.attributes, before.tr.attributes);
	EXPECT_EQ(state->idtr.limit, before.idtr.limit);
	EXPECT_EQ(state->fpu[511], std::byte{kept.fpu[511]});
	EXPECT_TRUE(state->interrupt_shadow);
	EXPECT_FALSE(state->exception_pending);

	std::memset(&whole, 0, sizeof whole);
	ASSERT_TRUE(vm.set_state(*state));
	EXPECT_EQ(std::memcmp(&whole, &kept, sizeof whole), 0);

	auto changed = *state;

	changed.exception_pending = true;
	ASSERT_TRUE(vm.set_state(changed));
	EXPECT_EQ(held.flags, unsigned{MAYFLY_STATE_SHADOW | MAYFLY_STATE_EXCEPTION});
	EXPECT_EQ(*vm.state(), changed);
}

} // namespace
