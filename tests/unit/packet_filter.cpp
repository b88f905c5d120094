// SPDX-License-Identifier: Apache-2.0
//
// Which rules of other firewalls let packets of networks pass, as nft and iptables print them.

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "packet_filter.hpp"

namespace
{

using namespace vmctl::cli;

const vmctl::network_info web{.name = "web", .addresses = {{.host = 0x0a090001, .prefix = 16}}};
const vmctl::network_info db{.name = "db", .addresses = {{.host = 0x0a0a0001, .prefix = 16}}};

// A table of nft's whose chain FORWARD has these rules, each a list of statements.
std::vector<shut_chain> nft(std::initializer_list<const char *> rules, const char *policy = "drop",
			    const char *family = "ip", const char *more = "")
{
	std::string text = fmt::format(
		R"({{"nftables": [{{"metainfo": {{}}}}, {{"table": {{"family": "{0}", "name": "filter"}}}},
		{{"chain": {{"family": "{0}", "table": "filter", "name": "FORWARD", "type": "filter", "hook": "forward",
		"prio": 0, "policy": "{1}"}}}})",
		family, policy);

	for (const char *rule : rules)
		text += fmt::format(
			R"(, {{"rule": {{"family": "{}", "table": "filter", "chain": "FORWARD", "handle": 1, "expr": [{}]}}}})",
			family, rule);
	const auto read = shut_chains_of_nft(text + more + "]}");

	EXPECT_TRUE(read);
	return read.value_or(std::vector<shut_chain>());
}

// A rule of the chain OTHER.
std::string of_other(const char *rule)
{
	return fmt::format(
		R"(, {{"rule": {{"family": "ip", "table": "filter", "chain": "OTHER", "handle": 1, "expr": [{}]}}}})",
		rule);
}

std::string match(const char *left, const char *right, const char *op = "==")
{
	return fmt::format(R"({{"match": {{"op": "{}", "left": {}, "right": {}}}}})", op, left, right);
}

const std::string from_web = match(R"({"meta": {"key": "iifname"}})", R"("web")");
const std::string to_web = match(R"({"meta": {"key": "oifname"}})", R"("web")");
const std::string begun = match(R"({"ct": {"key": "state"}})", R"({"set": ["established", "related"]})");
const std::string accept = R"({"counter": {"packets": 0, "bytes": 0}}, {"accept": null})";

passage ports(const std::vector<shut_chain> &chains, const vmctl::network_info &network = web)
{
	return chains.size() == 1 ? judge(chains[0], network, true, false) : passage::unclear;
}

passage nat(const std::vector<shut_chain> &chains, const vmctl::network_info &network = web)
{
	return chains.size() == 1 ? judge(chains[0], network, false, true) : passage::unclear;
}

TEST(PacketFilter, OnlyWhatDropsForwardedPacketsIsShut)
{
	EXPECT_EQ(ports(nft({})), passage::shut);
	EXPECT_EQ(ports(nft({}, "drop", "inet")), passage::shut);
	EXPECT_TRUE(nft({}, "accept").empty());
	EXPECT_TRUE(nft({}, "drop", "ip6").empty());
	EXPECT_TRUE(nft({}, "drop", "bridge").empty());
	// As firewalld ends its own.
	EXPECT_EQ(ports(nft({R"({"reject": {"type": "icmpx", "expr": "admin-prohibited"}})"}, "accept")),
		  passage::shut);
	EXPECT_EQ(ports(nft({R"({"counter": {}}, {"drop": null})"}, "accept")), passage::shut);
	EXPECT_TRUE(nft({(from_web + R"(, {"drop": null})").c_str()}, "accept").empty());
	EXPECT_EQ(ports(nft({accept.c_str()})), passage::open);
	EXPECT_FALSE(shut_chains_of_nft("nonsense"));
	EXPECT_FALSE(shut_chains_of_nft(R"({"nftables": [{"chain": {"hook": "forward"}}]})"));
}

TEST(PacketFilter, BothWaysMustBeOpen)
{
	const std::string in = to_web + ", " + accept, out = from_web + ", " + accept, replies = begun + ", " + accept;
	const std::string dnat = match(R"({"ct": {"key": "status"}})", R"("dnat")", "in") + ", " + accept;

	EXPECT_EQ(ports(nft({in.c_str(), out.c_str()})), passage::open);
	EXPECT_EQ(nat(nft({in.c_str(), out.c_str()})), passage::open);
	EXPECT_EQ(ports(nft({in.c_str()})), passage::shut);
	EXPECT_EQ(ports(nft({out.c_str()})), passage::shut);
	EXPECT_EQ(nat(nft({in.c_str()})), passage::shut);
	EXPECT_EQ(nat(nft({out.c_str()})), passage::shut);
	EXPECT_EQ(ports(nft({in.c_str(), replies.c_str()})), passage::open);
	EXPECT_EQ(nat(nft({in.c_str(), replies.c_str()})), passage::shut);
	EXPECT_EQ(nat(nft({out.c_str(), replies.c_str()})), passage::open);
	EXPECT_EQ(ports(nft({dnat.c_str(), replies.c_str()})), passage::open);
	EXPECT_EQ(nat(nft({dnat.c_str(), replies.c_str()})), passage::shut);
	EXPECT_EQ(ports(nft({in.c_str(), out.c_str()}), db), passage::shut);
}

TEST(PacketFilter, NetworksAreNamedInManyWays)
{
	const auto opens = [](const std::string &from, const std::string &to, const vmctl::network_info &network) {
		const std::string in = to + ", " + accept, out = from + ", " + accept;

		return nat(nft({in.c_str(), out.c_str()}), network) == passage::open;
	};
	const auto device = [](const char *key, const char *right, const char *op = "==") {
		return match(fmt::format(R"({{"meta": {{"key": "{}"}}}})", key).c_str(), right, op);
	};
	const auto address = [](const char *field, const char *right) {
		return match(fmt::format(R"({{"payload": {{"protocol": "ip", "field": "{}"}}}})", field).c_str(),
			     right);
	};

	EXPECT_TRUE(opens(device("iif", R"("web")"), device("oif", R"("web")"), web));
	EXPECT_TRUE(opens(device("iifname", R"("we*")"), device("oifname", R"({"set": ["db", "web"]})"), web));
	EXPECT_FALSE(opens(device("iifname", R"("d*")"), device("oifname", R"({"set": ["db", "we"]})"), web));
	EXPECT_TRUE(opens(device("iifkind", R"("mayfly")"), device("oifkind", R"("mayfly")"), db));
	EXPECT_TRUE(opens(device("iifname", R"("eth0")", "!="), device("oifname", R"("eth0")", "!="), web));
	EXPECT_FALSE(opens(device("iifname", R"("web")", "!="), device("oifname", R"("web")", "!="), web));
	for (const char *right :
	     {R"({"prefix": {"addr": "10.9.0.0", "len": 16}})", R"("10.9.3.17")",
	      R"({"prefix": {"addr": "10.0.0.0", "len": 8}})", R"({"set": ["10.1.1.1", "10.9.0.7"]})",
	      R"({"set": [{"range": ["10.9.0.0", "10.9.255.255"]}]})"})
		EXPECT_TRUE(opens(address("saddr", right), address("daddr", right), web)) << right;
	for (const char *right : {R"({"prefix": {"addr": "10.10.0.0", "len": 16}})", R"("10.8.0.1")", "80"})
		EXPECT_FALSE(opens(address("saddr", right), address("daddr", right), web)) << right;
}

TEST(PacketFilter, WhatIsForOthersOpensNothing)
{
	const std::string other = match(R"({"meta": {"key": "oifname"}})", R"("docker0")");
	const std::string not_other = match(R"({"meta": {"key": "oifname"}})", R"("docker0")", "!=");
	const std::string from_other = match(R"({"meta": {"key": "iifname"}})", R"("docker0")");
	const std::string foreign = R"({"xt": {"type": "match", "name": "conntrack"}})";
	const std::string marked = match(R"({"meta": {"key": "mark"}})", "16384");

	// docker's.
	const std::string one = other + ", " + foreign + ", " + accept,
			  two = from_other + ", " + not_other + ", " + accept, three = marked + ", " + accept;
	// Between VMs alone.
	const std::string inside = from_web + ", " + to_web + ", " + accept;

	EXPECT_EQ(ports(nft({one.c_str(), two.c_str(), three.c_str(), inside.c_str()})), passage::shut);

	// What iptables lets nft see of replies.
	const std::string in = to_web + ", " + accept, replies = foreign + ", " + accept;

	EXPECT_EQ(ports(nft({in.c_str(), replies.c_str()})), passage::open);
}

TEST(PacketFilter, ChainsAreFollowed)
{
	const std::string chain = R"(, {"chain": {"family": "ip", "table": "filter", "name": "OTHER", "handle": 2}})";
	const std::string open = chain + of_other((from_web + ", " + accept).c_str()) +
				 of_other((to_web + ", " + accept).c_str());
	const char *const jump = R"({"jump": {"target": "OTHER"}})";

	EXPECT_EQ(ports(nft({jump}, "drop", "ip", open.c_str())), passage::open);
	EXPECT_EQ(ports(nft({R"({"goto": {"target": "OTHER"}})"}, "drop", "ip", open.c_str())), passage::open);
	EXPECT_EQ(ports(nft({}, "drop", "ip", open.c_str())), passage::shut);

	// What happens to packets of ours there may be anything.
	const std::string ours = from_web + ", " + jump;

	EXPECT_EQ(ports(nft({ours.c_str()}, "drop", "ip", chain.c_str())), passage::unclear);
	EXPECT_EQ(ports(nft({ours.c_str()}, "drop", "ip", chain.c_str()), db), passage::shut);

	const std::string set = match(R"({"meta": {"key": "oifname"}})", R"("@ours")") + ", " + accept;

	EXPECT_EQ(ports(nft({set.c_str()})), passage::unclear);
}

TEST(PacketFilter, MapsToVerdicts)
{
	const char *const replies =
		R"({"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", {"accept": null}]]}}})";
	const char *const devices =
		R"({"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["web", {"jump": {"target": "X"}}]]}}})";
	const char *const pairs =
		R"({"vmap": {"key": {"concat": [{"meta": {"key": "iifname"}}, {"meta": {"key": "oifname"}}]},
		"data": {"set": [[{"concat": ["web", "eth0"]}, {"accept": null}]]}}})";
	const std::string in = to_web + ", " + accept;

	EXPECT_EQ(ports(nft({in.c_str(), replies})), passage::open);
	EXPECT_EQ(ports(nft({devices})), passage::unclear);
	EXPECT_EQ(ports(nft({pairs})), passage::unclear);
	EXPECT_EQ(ports(nft({devices}), db), passage::shut);
}

TEST(PacketFilter, LegacyIptables)
{
	const auto listed = [](const std::string &more) {
		return shut_chains_of_iptables("-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER-USER\n"
					       "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n" +
					       more);
	};

	EXPECT_TRUE(shut_chains_of_iptables("").empty());
	EXPECT_TRUE(shut_chains_of_iptables("-P INPUT DROP\n-P FORWARD ACCEPT\n").empty());
	EXPECT_EQ(ports(shut_chains_of_iptables("-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-x\n")),
		  passage::shut);
	EXPECT_EQ(ports(listed("")), passage::shut);
	EXPECT_EQ(ports(listed("-A DOCKER-USER -i web -j ACCEPT\n-A DOCKER-USER -o web -j ACCEPT\n")), passage::open);
	EXPECT_EQ(ports(listed("-A DOCKER-USER -i we+ -j ACCEPT\n-A FORWARD -d 10.9.0.0/16 ! -i web -p tcp -m tcp "
			       "--dport 80 -m comment --comment \"to -j web\" -j ACCEPT")),
		  passage::open);
	EXPECT_EQ(ports(listed("-A FORWARD -o web -j ACCEPT\n-A FORWARD -m conntrack --ctstate "
			       "RELATED,ESTABLISHED -j ACCEPT\n")),
		  passage::open);
	EXPECT_EQ(ports(listed("-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
			       "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n-A INPUT -i web -j ACCEPT\n"
			       "-A INPUT -o web -j ACCEPT\n")),
		  passage::shut);
	EXPECT_EQ(ports(listed("-A FORWARD -i web -j ELSEWHERE\n")), passage::unclear);
}

TEST(PacketFilter, TheCommandThatOpensIsTheOneOfWhoeverShutIt)
{
	EXPECT_EQ(opening_of({.family = "inet", .table = "my", .name = "forward"}, "web"),
		  "sudo nft insert rule inet my forward iifname web accept; "
		  "sudo nft insert rule inet my forward oifname web accept");
	EXPECT_EQ(
		opening_of({.family = "ip", .table = "filter", .name = "FORWARD", .parts = {"FORWARD", "DOCKER-USER"}},
			   "web"),
		"sudo iptables -I DOCKER-USER -i web -j ACCEPT; sudo iptables -I DOCKER-USER -o web -j ACCEPT");
	EXPECT_EQ(opening_of({.family = "ip", .table = "filter", .name = "FORWARD", .is_legacy = true}, "web"),
		  "sudo iptables-legacy -I FORWARD -i web -j ACCEPT; sudo iptables-legacy -I FORWARD -o web -j ACCEPT");
	EXPECT_EQ(opening_of({.family = "ip", .table = "filter", .name = "FORWARD", .parts = {"ufw-user-forward"}},
			     "web"),
		  "sudo ufw route allow in on web; sudo ufw route allow out on web");
	EXPECT_EQ(opening_of({.family = "inet", .table = "firewalld", .name = "filter_FORWARD"}, "web"),
		  "sudo firewall-cmd --zone=trusted --add-interface=web");
	// Its zones may let anything through.
	EXPECT_EQ(judge({.family = "inet", .table = "firewalld", .name = "filter_FORWARD"}, web, true, false),
		  passage::unclear);
}

}
