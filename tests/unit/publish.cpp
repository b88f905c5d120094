// SPDX-License-Identifier: Apache-2.0
//
// What --publish takes, and which ports of this host are the same.

#include <gtest/gtest.h>

#include "firewall.hpp"

namespace
{

using vmctl::cli::outside_text;
using vmctl::cli::parse_port_pair;

TEST(Publish, TakesPortsAnAddressAndAProtocol)
{
	const auto one = parse_port_pair("8080:80");

	ASSERT_TRUE(one);
	EXPECT_EQ(outside_text(*one), "0.0.0.0:8080/tcp");
	EXPECT_EQ(one->inside, 80);

	const auto other = parse_port_pair("127.0.0.1:5353:53/udp");

	ASSERT_TRUE(other);
	EXPECT_EQ(outside_text(*other), "127.0.0.1:5353/udp");
	EXPECT_EQ(other->inside, 53);
	EXPECT_EQ(outside_text(*parse_port_pair("65535:1/tcp")), "0.0.0.0:65535/tcp");
}

TEST(Publish, RefusesWhatIsNone)
{
	for (const char *text :
	     {"", ":", "80", "80:", ":80", "80:80:80", "0:80", "80:0", "65536:80", "80:65536", "80:80/", "80:80/sctp",
	      "80:80/tcp/udp", "-1:80", "1.2.3:80:80", "::1:80:80", "a:80", "80 :80"})
		EXPECT_FALSE(parse_port_pair(text)) << text;
}

TEST(Publish, APortOfAnAddressIsThatOfAll)
{
	const auto collide = [](const char *one, const char *other) {
		return parse_port_pair(one)->collides(*parse_port_pair(other));
	};

	EXPECT_TRUE(collide("80:80", "80:81"));
	EXPECT_TRUE(collide("80:80", "10.0.0.1:80:80"));
	EXPECT_TRUE(collide("10.0.0.1:80:80", "80:80"));
	EXPECT_FALSE(collide("10.0.0.1:80:80", "10.0.0.2:80:80"));
	EXPECT_FALSE(collide("80:80", "80:80/udp"));
	EXPECT_FALSE(collide("80:80", "81:80"));
}

}
