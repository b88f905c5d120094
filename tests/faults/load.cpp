// SPDX-License-Identifier: Apache-2.0
//
// Every allocation of loading the module fails once: it is not loaded then, nothing
// is lost, and the next attempt works.

#include <cstdio>

#include <sys/syscall.h>

#include "injection.hpp"
#include "live/descriptor.hpp"

namespace
{

/// More allocations than loading makes, the kernel's own included.
constexpr int too_many = 5000;

bool is_loaded()
{
	return std::filesystem::exists("/sys/module/mayfly/parameters");
}

TEST(Load, EveryAllocation)
{
	const char *const path = std::getenv("MAYFLY_KO");
	int faults = 0, refused = 0;

	ASSERT_NE(path, nullptr);
	ASSERT_EQ(syscall(SYS_delete_module, "mayfly", O_NONBLOCK), 0) << strerror(errno);
	for (int n = 1; n < too_many; n++) {
		const live::fd file(open(path, O_RDONLY | O_CLOEXEC));
		faults::nth_fault fault(n);
		const long ret = syscall(SYS_finit_module, file.get(), "", 0);
		const int error = errno;
		const bool happened = fault.happened();

		ASSERT_EQ(ret == 0, is_loaded()) << "fault " << n;
		if (!happened) {
			ASSERT_EQ(ret, 0) << "without a fault: " << strerror(error);
			break;
		}
		faults++;
		if (ret) {
			refused++;
			EXPECT_TRUE(error == ENOMEM || error == EFAULT) << "fault " << n << ": " << strerror(error);
		} else {
			ASSERT_EQ(syscall(SYS_delete_module, "mayfly", O_NONBLOCK), 0) << strerror(errno);
		}
	}
	EXPECT_TRUE(is_loaded());
	EXPECT_GT(refused, 0);
	std::printf("faults: %-24s %4d made, %4d of them refused the call\n", "load", faults, refused);
}

}
