// SPDX-License-Identifier: Apache-2.0
// Which VMs a word means.
#include "select.hpp"

#include <gtest/gtest.h>

namespace
{

using namespace vmctl::cli;

std::vector<vmctl::vm_info> rows()
{
	std::vector<vmctl::vm_info> made;

	for (const char *name : {"web-1", "web-2", "web-10", "db", "database", "cache"}) {
		vmctl::vm_info &row = made.emplace_back();

		row.id = 2 * made.size() - 1; // 1 3 5 7 9 11
		row.name = name;
	}
	return made;
}

// Ids chosen, or what was missing.
std::string chosen_by(std::initializer_list<const char *> words)
{
	std::vector<selector> selectors;
	std::string text;

	for (const char *word : words) {
		const auto parsed = selector::parse(word);

		if (!parsed)
			return "usage: " + parsed.error().cause.what;
		selectors.push_back(*parsed);
	}

	const auto all = rows();
	const auto made = select(all, selectors);

	for (const auto &one : made->vms)
		text += std::to_string(one.row.id) + (one.by_name ? "! " : " ");
	for (const auto &missing : made->missing)
		text += missing.what;
	return text;
}

TEST(select, by_id)
{
	EXPECT_EQ(chosen_by({"3"}), "3! ");
	EXPECT_EQ(chosen_by({"4"}), "4: no such VM");
	EXPECT_EQ(chosen_by({"0"}), "0: no such VM");
	EXPECT_EQ(chosen_by({"18446744073709551615"}), "18446744073709551615: no such VM");
}

TEST(select, by_range)
{
	EXPECT_EQ(chosen_by({"1-1000"}), "1 3 5 7 9 11 ");
	EXPECT_EQ(chosen_by({"4-7"}), "5 7 ");
	EXPECT_EQ(chosen_by({"20-30"}), "20-30: no such VM");
	EXPECT_EQ(chosen_by({"7-4"}), "usage: 7-4: the range runs backwards");
}

TEST(select, by_name)
{
	EXPECT_EQ(chosen_by({"db"}), "7! ");
	EXPECT_EQ(chosen_by({"web-1"}), "1! "); // exact, though also the start of web-10
}

TEST(select, by_unique_prefix)
{
	EXPECT_EQ(chosen_by({"ca"}), "11! ");
	EXPECT_EQ(chosen_by({"data"}), "9! ");
	EXPECT_EQ(chosen_by({"web"}), "web: 3 VMs start like this; for all of them: 'web*'");
	EXPECT_EQ(chosen_by({"x"}), "x: no such VM");
}

TEST(select, by_glob)
{
	EXPECT_EQ(chosen_by({"web-*"}), "1 3 5 ");
	EXPECT_EQ(chosen_by({"d[ab]*"}), "7 9 ");
	EXPECT_EQ(chosen_by({"*"}), "1 3 5 7 9 11 ");
	EXPECT_EQ(chosen_by({"y*"}), "y*: no such VM");
}

TEST(select, each_once_in_the_order_asked_for)
{
	EXPECT_EQ(chosen_by({"db", "1-7", "3"}), "7! 1 3! 5 ");
	EXPECT_EQ(chosen_by({"9", "nothing", "1"}), "9! 1! nothing: no such VM");
}

TEST(select, refuses_nonsense)
{
	for (const char *wrong : {"", "1-", "1x", "1-x", "1-2-3", "99999999999999999999"})
		EXPECT_FALSE(selector::parse(wrong)) << wrong;
}

TEST(select, two_owners_one_name)
{
	auto all = rows();
	const auto wanted = selector::parse("db");

	all.push_back(all[3]);
	EXPECT_FALSE(wanted->match(all));
}

} // namespace
