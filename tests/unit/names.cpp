// SPDX-License-Identifier: Apache-2.0
//
// What VMs may be called, as the module judges it.

#include <string>

#include <gtest/gtest.h>

extern "C" {
#include "vm/names.h"
}

namespace
{

std::string written(u64 id, const char *name)
{
	char to[64]{};

	names_write(to, sizeof(to), id, name);
	return to;
}

TEST(Names, BeginWithALetter)
{
	for (const char *good : {"a", "Z", "web-1", "a.b_c-D9", "vm", "vm-1", "vmx", "vm1a"})
		EXPECT_TRUE(names_valid(good)) << good;
	for (const char *bad : {"", "1", "-a", ".a", "_a", " a", "\xe4"})
		EXPECT_FALSE(names_valid(bad)) << bad;
}

TEST(Names, HaveNoOtherCharacters)
{
	for (const char *bad : {"a b", "a/b", "a:", "a*", "a\n", "a\x7f", "a\xe4", "a\xc3\xa4"})
		EXPECT_FALSE(names_valid(bad)) << bad;
}

TEST(Names, OfTheAutomaticFormAreNotToBeGiven)
{
	for (const char *automatic : {"vm0", "vm1", "vm007", "vm18446744073709551616"})
		EXPECT_FALSE(names_valid(automatic)) << automatic;
}

TEST(Names, AutomaticOnesTellTheId)
{
	EXPECT_EQ(names_automatic("vm1"), 1u);
	EXPECT_EQ(names_automatic("vm18446744073709551615"), ~0ull);
	for (const char *other : {"", "v", "vm", "vm-1", "vm1a", "vm 1", "vm+1", "vm1\n", "VM1", "web", "vm0"})
		EXPECT_EQ(names_automatic(other), 0u) << other;
	EXPECT_EQ(names_automatic("vm18446744073709551616"), 0u) << "too large for an id";
	EXPECT_EQ(names_automatic("vm99999999999999999999999"), 0u) << "much too large";
}

TEST(Names, AreWrittenDown)
{
	EXPECT_EQ(written(7, nullptr), "vm7");
	EXPECT_EQ(written(10, nullptr), "vm10");
	EXPECT_EQ(written(~0ull, nullptr), "vm18446744073709551615");
	EXPECT_EQ(written(7, "web-1"), "web-1");
}

TEST(Names, WrittenOnesAreFoundAgain)
{
	for (const u64 id : {1ull, 9ull, 10ull, 65536ull, ~0ull})
		EXPECT_EQ(names_automatic(written(id, nullptr).c_str()), id);
}

} // namespace
