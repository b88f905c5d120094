// SPDX-License-Identifier: Apache-2.0
// Numbers and ends as text, and back.
#include "text.hpp"

#include <gtest/gtest.h>

namespace
{

using namespace vmctl::cli;
using vmctl::end_reason;

TEST(text, parses_sizes_strictly)
{
	EXPECT_EQ(parse_size("4096"), 4096u);
	EXPECT_EQ(parse_size("64K"), 65536u);
	EXPECT_EQ(parse_size("4M"), 4u << 20);
	EXPECT_EQ(parse_size("1G"), 1u << 30);
	EXPECT_EQ(parse_size("0"), 0u);
	EXPECT_EQ(parse_size("4m"), 4u << 20);
	EXPECT_EQ(parse_size("1.5G"), 3u << 29);
	EXPECT_EQ(parse_size("0.5k"), 4096u);
	EXPECT_EQ(parse_size("1.2G"), 1288486912u);
	EXPECT_EQ(parse_size("2.3M"), 2408448u);
	EXPECT_EQ(parse_size("0.3G"), 322121728u);
	EXPECT_EQ(parse_size("5K"), 5120u);
	EXPECT_EQ(parse_size("2.25MiB"), 9u << 18);
	EXPECT_EQ(parse_size("16MB"), 16u << 20);
	EXPECT_EQ(parse_size("1t"), 1ull << 40);
	EXPECT_EQ(parse_size("0.999999T"), 1099510525952u);
	EXPECT_EQ(parse_size("16777215.999999T"), 18446744073708449792u);
	for (const char *wrong : {"",
				  "K",
				  "-1",
				  "+1",
				  " 1",
				  "1 ",
				  "1 M",
				  "1.5",
				  "1.M",
				  ".5M",
				  "1.2.3M",
				  "1.1234567M",
				  "1.-5M",
				  "4P",
				  "4MM",
				  "4iB",
				  "4KiBB",
				  "M4",
				  "4B",
				  "0x10",
				  "1e3",
				  "18446744073709551616",
				  "18014398509481985K",
				  "99999999999T",
				  "16777216T"})
		EXPECT_FALSE(parse_size(wrong)) << wrong;
}

TEST(text, parses_seconds)
{
	EXPECT_EQ(parse_seconds("10"), 10000u);
	EXPECT_EQ(parse_seconds("0.5"), 500u);
	EXPECT_EQ(parse_seconds("0.025"), 25u);
	for (const char *wrong : {"", ".", "1.", ".5", "-1", "1s", "1.2345", "1e9", "9999999999999"})
		EXPECT_FALSE(parse_seconds(wrong)) << wrong;
}

TEST(text, writes_sizes_and_times)
{
	EXPECT_EQ(size_text(0), "0 B");
	EXPECT_EQ(size_text(1023), "1023 B");
	EXPECT_EQ(size_text(36864), "36.0 KiB");
	EXPECT_EQ(size_text((1 << 20) - 1), "1.0 MiB");
	EXPECT_EQ(size_text(16 << 20), "16.0 MiB");
	EXPECT_EQ(size_text(UINT64_MAX), "16384.0 PiB");
	EXPECT_EQ(time_text(999), "999 ns");
	EXPECT_EQ(time_text(12'300'000), "12.3 ms");
	EXPECT_EQ(time_text(2'500'000'000), "2.5 s");
	EXPECT_EQ(age_text(5'000'000'000), "5s");
	EXPECT_EQ(age_text(7200'000'000'000), "2h");
}

TEST(text, keeps_terminals_safe)
{
	EXPECT_EQ(printable("a\033[2Jb\n\x80"), "a?[2Jb??");
	EXPECT_EQ(printable("web-… \xc2\x9b\x7f\xe2\x80"), "web-… ?????");
}

vmctl::vm_info ended(end_reason reason, int status = 0)
{
	vmctl::vm_info row;

	row.state = vmctl::vm_state::ended;
	row.reason = reason;
	row.status = status;
	row.rip = 0xffffffff80100004;
	row.address = 0x5000000;
	row.bad_register = "cr4";
	row.detail = 0xffffffff;
	return row;
}

TEST(text, tells_how_a_vm_ended)
{
	EXPECT_EQ(ended(end_reason::none).end_text(), "");
	EXPECT_EQ(ended(end_reason::exited, 3).end_text(), "exited with status 3");
	EXPECT_EQ(ended(end_reason::killed).end_text(), "killed");
	EXPECT_EQ(ended(end_reason::triple_fault).end_text(), "triple fault at rip 0xffffffff80100004");
	EXPECT_EQ(ended(end_reason::bad_access).end_text(),
		  "bad access to guest-physical 0x5000000 at rip 0xffffffff80100004");
	EXPECT_EQ(ended(end_reason::bad_state).end_text(),
		  "the CPU refused the guest's cr4 (code 0xffffffff) at rip 0xffffffff80100004");
	EXPECT_EQ(ended(end_reason::no_memory).end_text(), "the host, or the cgroup, had no memory left");
	EXPECT_EQ(ended(end_reason::entry_failed).end_text(),
		  "the CPU refused to enter the guest (code 0xffffffff) at rip 0xffffffff80100004");
	EXPECT_EQ(ended(end_reason::limit).end_text(), "its user's VMs, or all VMs, hold all the memory that they may");
	EXPECT_EQ(ended(end_reason{99}).end_text(), "ended for reason 99 that this version does not know");
}

TEST(text, derives_exit_statuses)
{
	EXPECT_EQ(exit_status(ended(end_reason::exited, 0)), 0);
	EXPECT_EQ(exit_status(ended(end_reason::exited, 7)), 7);
	EXPECT_EQ(exit_status(ended(end_reason::exited, -1)), 255);
	EXPECT_EQ(exit_status(ended(end_reason::exited, 256)), 0);
	EXPECT_EQ(exit_status(ended(end_reason::killed)), 137);
	EXPECT_EQ(exit_status(ended(end_reason::triple_fault)), 125);
	EXPECT_EQ(exit_status(ended(end_reason{99})), 125);
}

} // namespace
