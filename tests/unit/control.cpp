// SPDX-License-Identifier: Apache-2.0
// kill, rm, pause, stop and wait over a pretended module.
#include "command_line.hpp"

namespace
{

class control_test : public command_line
{};

TEST_F(control_test, a_thousand_cost_as_many_calls_as_one)
{
	for (int i = 0; i < 1000; i++)
		fake.add("vm");
	EXPECT_EQ(run({"kill", "--all"}), 0);
	EXPECT_EQ(system_calls(), 3); // INFO, LIST, CONTROL
	fake.calls.clear();
	EXPECT_EQ(run({"rm", "--all"}), 0);
	EXPECT_EQ(system_calls(), 3);
	EXPECT_TRUE(fake.vms.empty());
}

TEST_F(control_test, named_vms_must_be_there_and_sets_may_vanish)
{
	fake.end(fake.add("one"), MAYFLY_END_EXITED);
	EXPECT_EQ(run({"kill", "one"}), 1);
	EXPECT_EQ(err, "vmctl: kill: one: has ended already\n");
	EXPECT_EQ(run({"kill", "one*"}), 0);
	EXPECT_EQ(run({"kill", "--all"}), 0);
	EXPECT_EQ(run({"kill", "7"}), 1);
	EXPECT_EQ(err, "vmctl: kill: 7: no such VM\n");
	EXPECT_EQ(run({"kill", "a*"}), 1);
}

TEST_F(control_test, rm_wants_ended_vms_unless_forced)
{
	fake.add("one");
	EXPECT_EQ(run({"rm", "one"}), 1);
	EXPECT_EQ(err, "vmctl: rm: one: has not ended; kill it first, or use rm -f\n");
	EXPECT_EQ(run({"rm", "-f", "one"}), 0);
	EXPECT_TRUE(fake.vms.empty());
}

TEST_F(control_test, many_complaints_are_counted)
{
	for (int i = 0; i < 1000; i++)
		fake.add("vm");
	EXPECT_EQ(run({"rm", "--all"}), 1);
	EXPECT_NE(err.find("… and 995 more"), std::string::npos);
}

TEST_F(control_test, pause_twice_is_an_error_for_one_by_name)
{
	fake.add("one");
	EXPECT_EQ(run({"pause", "one"}), 0);
	EXPECT_EQ(run({"pause", "one"}), 1);
	EXPECT_EQ(err, "vmctl: pause: one: is paused already\n");
	EXPECT_EQ(run({"pause", "--all"}), 0);
	EXPECT_EQ(run({"unpause", "one"}), 0);
	EXPECT_EQ(run({"unpause", "one"}), 1);
}

TEST_F(control_test, stop_asks_then_kills)
{
	fake.add("one");
	EXPECT_EQ(run({"stop", "one"}), 0);
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY}));

	fake.ends_when_notified = false;
	fake.operations.clear();
	fake.add("deaf");
	EXPECT_EQ(run({"stop", "-t", "0.01", "deaf"}), 0);
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY, MAYFLY_OP_KILL}));
	EXPECT_EQ(run({"stop", "deaf"}), 0); // it has stopped: that was wanted
}

TEST_F(control_test, stop_wakes_paused_vms_and_kills_unstarted_ones)
{
	fake.add("paused", MAYFLY_PAUSED);

	auto &unstarted = fake.add("unstarted", MAYFLY_READY);

	unstarted.flags = MAYFLY_VM_DETACHED;
	EXPECT_EQ(run({"stop", "-t", "0", "--all"}), 0);
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY, MAYFLY_OP_RESUME, MAYFLY_OP_KILL}));
	EXPECT_EQ(fake.find(2)->reason, unsigned{MAYFLY_END_KILLED});
}

TEST_F(control_test, wait_gives_back_the_last_status)
{
	fake.end(fake.add("one"), MAYFLY_END_EXITED, 3);
	fake.end(fake.add("two"), MAYFLY_END_KILLED);
	fake.end(fake.add("three"), MAYFLY_END_TRIPLE_FAULT);
	EXPECT_EQ(run({"wait", "one"}), 3);
	EXPECT_EQ(out, "3\n");
	EXPECT_EQ(run({"wait", "three", "one", "two"}), 137);
	EXPECT_EQ(out, "125\n3\n137\n");
	EXPECT_EQ(err, "vmctl: wait: three: triple fault at rip 0x0\n");
	EXPECT_EQ(run({"wait", "four"}), 125);
}

} // namespace
