// SPDX-License-Identifier: Apache-2.0
//
// What doctor says of a host that swallows packets of networks.

#include <algorithm>

#include <gtest/gtest.h>

#include "fake_module.hpp"
#include "network_manager.hpp"
#include "packets.hpp"
#include "routes.hpp"

namespace
{

using namespace vmctl::cli;
using finding = vmctl::host_check::finding;
using verdict = vmctl::host_check::verdict;

class packets : public testing::Test
{
protected:
	fake_module fake;
	packet_paths paths{.networks = {{.name = "web", .index = 7, .addresses = {{0x0a090001, 16}}, .up = true}},
			   .ours = firewall{},
			   .shut = std::vector<shut_chain>()};

	packets()
	{
		fake.files["/proc/sys/net/ipv4/ip_forward"] = "0\n";
		routes("");
	}

	// Lines as `DEVICE BASE METRIC MASK`.
	void routes(const std::string &lines)
	{
		std::string &text = fake.files["/proc/net/route"];
		std::istringstream words(lines);
		std::string device, base, metric, mask;

		text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT \n";
		while (words >> device >> base >> metric >> mask)
			text += device + "\t" + base + "\t00000000\t0001\t0\t0\t" + metric + "\t" + mask +
				"\t0\t0\t0\n";
	}

	void publish(std::uint32_t address = 0)
	{
		paths.ours->published.push_back(
			{.ports = {.address = address, .outside = 80, .inside = 80}, .ip4 = 0x0a090002, .vm = 1});
	}

	void shut_all() { paths.shut->push_back({.family = "ip", .table = "filter", .name = "FORWARD"}); }

	finding found(const std::string &subject)
	{
		const auto all = judge_packets(fake, paths);
		const auto at = std::ranges::find(all, subject, &finding::subject);

		return at != all.end() ? *at : finding{};
	}

	std::size_t bad()
	{
		return static_cast<std::size_t>(std::ranges::count(judge_packets(fake, paths), verdict::bad,
								   &finding::outcome));
	}
};

TEST_F(packets, a_network_that_asks_for_nothing_loses_nothing)
{
	EXPECT_EQ(bad(), 0u);
	EXPECT_EQ(found("ip_forward").text, "off: VMs are reached from this host alone");
	EXPECT_EQ(found("rp_filter").outcome, verdict::good);
	// Nobody forwards anything there.
	shut_all();
	EXPECT_EQ(found("firewall").text, "");
	EXPECT_EQ(found("conntrack").text, "");
	EXPECT_EQ(bad(), 0u);
}

TEST_F(packets, forwarding_that_is_off)
{
	publish(0x7f000001);
	EXPECT_EQ(bad(), 0u);
	publish();
	EXPECT_EQ(found("ip_forward").outcome, verdict::bad);
	EXPECT_EQ(found("ip_forward").text, "off: published ports and --nat want it on, for web");
	EXPECT_EQ(found("ip_forward").fix, "sudo sysctl -w net.ipv4.ip_forward=1");
	fake.files["/proc/sys/net/ipv4/ip_forward"] = "1\n";
	EXPECT_EQ(bad(), 0u);
	paths.ours = firewall{.published = {}, .translated = {"web"}};
	EXPECT_EQ(bad(), 0u);
	fake.files["/proc/sys/net/ipv4/ip_forward"] = "0\n";
	EXPECT_EQ(bad(), 1u);
	// Of a network that is gone, or somebody else's.
	paths.ours->translated = {"other"};
	EXPECT_EQ(bad(), 0u);
	paths.ours = vmctl::fail(EPERM, "only root sees it");
	EXPECT_EQ(found("ip_forward").outcome, verdict::unknown);
	EXPECT_EQ(found("ip_forward").text, "off: published ports and --nat want it on; only root sees it");
	EXPECT_EQ(bad(), 0u);
}

TEST_F(packets, firewalls)
{
	fake.files["/proc/sys/net/ipv4/ip_forward"] = "1\n";
	EXPECT_EQ(found("firewall").text, "none drops packets of VMs");
	shut_all();
	// It does, but nobody has asked for them.
	EXPECT_EQ(found("firewall").outcome, verdict::good);
	EXPECT_EQ(
		found("firewall").text,
		"chain FORWARD of table ip filter drops packets to and from web: their VMs are reached from this host alone");
	publish();
	EXPECT_EQ(found("firewall").outcome, verdict::bad);
	EXPECT_EQ(found("firewall").text, "chain FORWARD of table ip filter drops packets to and from web");
	EXPECT_TRUE(found("firewall").fix.starts_with("sudo iptables -I FORWARD -i web -j ACCEPT; "));
	// Also where that is not all.
	fake.files["/proc/sys/net/ipv4/ip_forward"] = "0\n";
	EXPECT_EQ(bad(), 2u);
	paths.shut->front().rules = {{.from = {{{"web"}}}, .to = {}}, {.from = {}, .to = {{{"web"}}}}};
	EXPECT_EQ(found("firewall").text, "none drops packets of VMs");
	paths.shut->front().rules.front().is_followed = false;
	EXPECT_EQ(found("firewall").outcome, verdict::unknown);
	EXPECT_TRUE(found("firewall").text.ends_with("web, if no rule is for them"));
	fake.files["/proc/sys/net/ipv4/ip_forward"] = "1\n";
	paths.shut = vmctl::fail(EPERM, "only root sees it");
	EXPECT_EQ(found("firewall").outcome, verdict::unknown);
	EXPECT_EQ(found("firewall").text, "cannot tell whether one drops packets of VMs: only root sees it");
	EXPECT_EQ(bad(), 0u);
}

TEST_F(packets, rp_filter_on_an_uplink_that_answers_do_not_take)
{
	const std::string of_eth1 = "/proc/sys/net/ipv4/conf/eth1/rp_filter",
			  of_all = "/proc/sys/net/ipv4/conf/all/rp_filter";

	fake.files["/proc/sys/net/ipv4/ip_forward"] = "1\n";
	routes("eth1 00000000 200 00000000 eth0 00000000 100 00000000 eth0 00000000 300 00000000 eth2 0000000A 0 000000FF");
	fake.files["/proc/sys/net/ipv4/conf/eth0/rp_filter"] = fake.files[of_eth1] = "1\n";
	EXPECT_EQ(bad(), 0u);
	publish(0x0a090001);
	EXPECT_EQ(bad(), 0u);
	publish();
	EXPECT_EQ(bad(), 1u);
	EXPECT_EQ(found("rp_filter").text, "strict on eth1, while answers leave by eth0: it drops what comes for "
					   "published ports by eth1 from afar");
	EXPECT_EQ(found("rp_filter").fix, "sudo sysctl -w net/ipv4/conf/eth1/rp_filter=2");
	// The higher one counts, and the highest is loose.
	fake.files[of_eth1] = "0\n";
	EXPECT_EQ(bad(), 0u);
	fake.files[of_all] = "1\n";
	EXPECT_EQ(bad(), 1u);
	fake.files[of_all] = "2\n";
	EXPECT_EQ(bad(), 0u);
	fake.files[of_all] = "1\n";
	paths.ours = vmctl::fail(EPERM, "only root sees it");
	EXPECT_EQ(found("rp_filter").outcome, verdict::unknown);
	// Two halves come before the default.
	paths.ours = firewall{};
	publish();
	routes("eth0 00000000 0 00000000 tun0 00000000 50 00000080 tun0 00000080 50 00000080");
	EXPECT_EQ(found("rp_filter").text, "strict on eth0, while answers leave by tun0: it drops what comes for "
					   "published ports by eth0 from afar");
}

TEST_F(packets, addresses_of_vms_that_lead_elsewhere)
{
	routes("web 0000090A 0 0000FFFF eth0 00000A0A 0 0000FFFF eth0 0000000A 0 000000FF");
	EXPECT_EQ(bad(), 0u);
	routes("web 0000090A 0 0000FFFF tun0 0003090A 50 00FFFFFF");
	EXPECT_EQ(bad(), 1u);
	EXPECT_EQ(found("routes").text, "10.9.3.0/24 of web leads to tun0");
}

TEST_F(packets, connections_that_are_too_many)
{
	std::string &count = fake.files["/proc/sys/net/netfilter/nf_conntrack_count"];

	fake.files["/proc/sys/net/netfilter/nf_conntrack_max"] = "1000\n";
	count = "949\n";
	EXPECT_EQ(found("conntrack").text, "949 of 1000 connections");
	EXPECT_EQ(bad(), 0u);
	count = "950\n";
	EXPECT_EQ(bad(), 1u);
	EXPECT_EQ(found("conntrack").fix, "sudo sysctl -w net.netfilter.nf_conntrack_max=2000");
	fake.files["/proc/sys/net/netfilter/nf_conntrack_max"] = "0\n"; // no limit
	EXPECT_EQ(bad(), 0u);
}

TEST_F(packets, a_device_that_somebody_has_changed)
{
	paths.networks[0].up = false;
	EXPECT_EQ(found("network").text, "web is down");
	paths.networks[0].addresses.reset();
	EXPECT_EQ(found("network").text, "web has no address");
	EXPECT_EQ(bad(), 1u);
}

TEST_F(packets, network_manager)
{
	const std::string text = "GENERAL.DEVICE:web2\nGENERAL.STATE:30 (getrennt)\n\nGENERAL.DEVICE:web\n"
				 "GENERAL.STATE:10 (nicht verwaltet)\n\nGENERAL.DEVICE:db\n"
				 "GENERAL.STATE:100 (verbunden)\n";
	std::vector<vmctl::network_info> some{{.name = "web"}, {.name = "unheard-of"}};
	const auto good = judge_network_manager(text, some);

	ASSERT_EQ(good.size(), 1u);
	EXPECT_EQ(good[0].outcome, verdict::good);
	some.push_back({.name = "web2"});
	some.push_back({.name = "db"});

	const auto bad = judge_network_manager(text, some);

	ASSERT_EQ(bad.size(), 2u);
	EXPECT_EQ(bad[0].outcome, verdict::bad);
	EXPECT_EQ(bad[0].text, "it manages web2, and may take its address away");
	EXPECT_TRUE(bad[1].fix.starts_with("sudo nmcli device set db managed no; "));
	EXPECT_TRUE(check_network_manager(fake, some).empty());
}

TEST(Routes, AreReadAsTheKernelWritesThem)
{
	const auto all = parse_routes(
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		"near\t00000000\t0209A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0  \n"
		"web\t0000090A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0  \n"
		"*\t0000FEA9\t00000000\t0200\t0\t0\t0\t0000FFFF\t0\t0\t0  \n"
		"half a line\n");

	ASSERT_EQ(all.size(), 2u);
	EXPECT_EQ(all[0].device, "near");
	EXPECT_EQ(all[0].metric, 100u);
	EXPECT_EQ(all[0].mask, 0u);
	EXPECT_EQ(all[1].base, 0x0a090000u);
	EXPECT_EQ(all[1].mask, 0xffff0000u);
	EXPECT_TRUE(parse_routes("").empty());
}

}
