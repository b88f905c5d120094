// SPDX-License-Identifier: Apache-2.0
// Networks' names and addresses, as the library reads them.
#include <cerrno>

#include <gtest/gtest.h>
#include <vmctl/network.hpp>

namespace
{

using namespace vmctl;

TEST(network, addresses)
{
	EXPECT_EQ(ip4_text(0x0a090001), "10.9.0.1");
	EXPECT_EQ(ip4_text(UINT32_MAX), "255.255.255.255");
	EXPECT_EQ(parse_ip4("10.9.3.17"), 0x0a090311u);
	for (const char *bad : {"", "10", "10.9.3", "10.9.3.256", " 10.9.3.1", "10.9.3.1 ", "010.9.3.1x", "::1", "web"})
		EXPECT_EQ(parse_ip4(bad).error().code, EINVAL) << bad;
}

TEST(network, subnets)
{
	const auto whole = subnet::parse("10.9.0.0/16");

	ASSERT_TRUE(whole);
	EXPECT_EQ(whole->host, 0x0a090001u) << "the first address";
	EXPECT_EQ(whole->base(), 0x0a090000u);
	EXPECT_EQ(whole->mask(), 0xffff0000u);

	const auto other = subnet::parse("10.9.0.7/24");

	ASSERT_TRUE(other);
	EXPECT_EQ(other->host, 0x0a090007u) << "the one that was said";
	EXPECT_TRUE(subnet::parse("192.168.1.0/30"));
	EXPECT_TRUE(subnet::parse("10.0.0.0/8"));
}

TEST(network, what_is_in_a_subnet)
{
	const subnet wide{.host = 0x0a090001, .prefix = 16}, narrow{.host = 0x0a090381, .prefix = 25};
	const subnet all{.host = 0x01020304, .prefix = 0}, other{.host = 0x0a0a0001, .prefix = 16};

	EXPECT_TRUE(wide.has(0x0a090000) && wide.has(0x0a09ffff));
	EXPECT_FALSE(wide.has(0x0a08ffff) || wide.has(0x0a0a0000));
	EXPECT_TRUE(narrow.has(0x0a0903ff));
	EXPECT_FALSE(narrow.has(0x0a09037f));
	EXPECT_TRUE(wide.overlaps(narrow) && narrow.overlaps(wide) && wide.overlaps(wide));
	EXPECT_FALSE(wide.overlaps(other) || other.overlaps(wide) || narrow.overlaps(other));
	EXPECT_TRUE(all.overlaps(narrow) && narrow.overlaps(all));
}

TEST(network, what_is_no_subnet)
{
	for (const char *bad :
	     {"", "/", "10.9.0.0", "10.9.0.0/", "10.9.0.0/x", "10.9.0.0/16x", "10.9.0.0/-1", "10.9.0.0/31",
	      "10.9.0.0/32", "10.9.0.0/33", "10.0.0.0/7", "10.0.0.0/0", "10.9.0.0/16/24", "10.9.0.255/24", "0.1.2.3/16",
	      "127.0.0.0/16", "224.0.0.0/16", "255.0.0.0/16", "fd00::/64"})
		EXPECT_EQ(subnet::parse(bad).error().code, EINVAL) << bad;
}

constexpr std::uint32_t host = 0x0a090001;

TEST(network, subnets_of_ip6)
{
	const auto made = subnet6::parse("fd00:9::/64", host);

	ASSERT_TRUE(made);
	EXPECT_EQ(made->prefix, 64u);
	EXPECT_EQ(ip6_text(made->host), "fd00:9::a09:1") << "it ends with the IPv4 address";
	EXPECT_EQ(*subnet6::parse("fd00:9::17/64", host), *made) << "whatever it ended with";
	EXPECT_EQ(ip6_text(subnet6::parse("2001:db8:1:2:3:4::/96", host)->host), "2001:db8:1:2:3:4:a09:1");
}

TEST(network, what_is_no_subnet_of_ip6)
{
	for (const char *bad : {"", "/", "/64", "fd00::", "fd00::/", "fd00::/x", "fd00::/97", "fd00::/128", "fd00::/15",
				"fd00::/0", "fe80::/64", "febf::/64", "ff02::/64", "::/64", "::1/96",
				"::ffff:10.9.0.1/96", "10.9.0.0/16", "fd00::/64/64", "fd00::%eth0/64"})
		EXPECT_EQ(subnet6::parse(bad, host).error().code, EINVAL) << bad;
}

TEST(network, policies)
{
	EXPECT_EQ(to_string(network_policy::direct), "direct");
	EXPECT_EQ(to_string(network_policy::host), "host");
	EXPECT_EQ(to_string(network_policy::isolated), "isolated");
	EXPECT_EQ(to_string(static_cast<network_policy>(9)), "?");
}

TEST(network, names)
{
	for (const char *good : {"a", "web", "mf0", "a.b_c-9", "fifteen-letters"})
		EXPECT_TRUE(check_network_name(good)) << good;
	for (const char *bad : {"", "0mf", "-a", ".", "..", "a b", "a/b", "a%d", "a\n", "sixteen-letters-"})
		EXPECT_EQ(check_network_name(bad).error().code, EINVAL) << bad;
}

} // namespace
