// SPDX-License-Identifier: Apache-2.0
// What VMs may be given, as the library judges it.
#include <cerrno>

#include <gtest/gtest.h>
#include <vmctl/limits.hpp>

namespace
{

using namespace vmctl;

std::string text(const result<void> &judged)
{
	return judged ? "" : judged.error().what;
}

TEST(limits, names)
{
	for (const char *good : {"a", "Z", "web-1", "a.b_c-D9"})
		EXPECT_TRUE(check_name(good)) << good;
	for (const char *bad : {"", "1", "-a", ".a", "_a", " a", "a b", "a/b", "a\n", "a\xe4", "\xc3\xa4"})
		EXPECT_EQ(text(check_name(bad)), "a name is a letter, then letters, digits, '.', '_' or '-'") << bad;
	EXPECT_FALSE(check_name(std::string_view("a\0b", 3)));
	EXPECT_EQ(check_name("1").error().code, EINVAL);
}

TEST(limits, lengths_of_names)
{
	EXPECT_TRUE(check_name(std::string(63, 'x')));
	EXPECT_EQ(text(check_name(std::string(64, 'x'))), "the name is longer than 63 characters");
	EXPECT_TRUE(check_name(std::string(61, 'x'), 1));
	EXPECT_EQ(text(check_name(std::string(62, 'x'), 1)), "the name is longer than 61 characters");
	EXPECT_EQ(text(check_name(std::string(61, 'x'), 10)), "the name is longer than 60 characters");
	EXPECT_EQ(numbered_name("web", 7), "web-7");
	EXPECT_EQ(numbered_name(std::string(52, 'x'), UINT32_MAX).size(), max_name_length);
	EXPECT_TRUE(check_name(std::string(52, 'x'), UINT32_MAX));
}

TEST(limits, memory)
{
	EXPECT_TRUE(check_memory(4096));
	EXPECT_TRUE(check_memory(default_memory));
	EXPECT_TRUE(check_memory(max_memory));
	EXPECT_EQ(text(check_memory(0)), "a VM needs memory");
	EXPECT_EQ(text(check_memory(4097)), "not a multiple of 4 KiB");
	EXPECT_EQ(text(check_memory(max_memory + 4096)), "more than a VM may have, 64.0 GiB");
	EXPECT_EQ(text(check_memory(2ull << 30, 1 << 30)), "more than a VM may have, 1.0 GiB");
}

TEST(limits, arguments)
{
	EXPECT_TRUE(check_arguments({}));
	EXPECT_TRUE(check_arguments(std::vector{std::string(2047, 'x'), std::string(2047, 'x')}));
	EXPECT_EQ(text(check_arguments(std::vector{std::string(2047, 'x'), std::string(2048, 'x')})),
		  "the guest's arguments take 4097 bytes; 4096 are allowed");
	EXPECT_EQ(check_arguments(std::vector{std::string(4096, 'x')}).error().code, E2BIG);
	EXPECT_EQ(check_arguments(std::vector{std::string("a\0b", 3)}).error().code, EINVAL);
}

} // namespace
