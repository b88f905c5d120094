// SPDX-License-Identifier: Apache-2.0
//
// What the real seam reads of a real machine.

#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>
#include <vmctl/vmctl.hpp>

namespace
{

std::string read(const std::string &path)
{
	vmctl::posix_system calls;
	const auto bytes = calls.read_file(path, 1 << 20);

	return bytes ? std::string(reinterpret_cast<const char *>(bytes->data()), bytes->size()) : bytes.error().what;
}

// Such a file gives nothing beyond its first read.
TEST(PosixSystem, ReadsFilesOfProcSysWhole)
{
	constexpr const char *path = "/proc/sys/kernel/pid_max";
	std::ifstream file(path);
	const std::string expected{std::istreambuf_iterator(file), {}};

	ASSERT_GT(expected.size(), 2u);
	EXPECT_EQ(read(path), expected);
	EXPECT_GT(read("/proc/self/smaps").size(), 4096u);
}

}
