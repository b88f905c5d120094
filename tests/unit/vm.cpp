// SPDX-License-Identifier: Apache-2.0
// One VM's handle, over a pretended module.
#include <gtest/gtest.h>

#include "fake_module.hpp"

namespace
{

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

} // namespace
