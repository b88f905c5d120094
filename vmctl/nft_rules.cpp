// SPDX-License-Identifier: Apache-2.0
#include "filter_rules.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace vmctl::cli
{

using nlohmann::json;

namespace
{

bool contains(const std::vector<std::string> &all, std::string_view one)
{
	return std::ranges::find(all, one) != all.end();
}

// Every name, address and prefix in a value.
void collect(const json &value, std::vector<std::string> &to)
{
	if (value.is_string())
		to.push_back(value.get<std::string>());
	else if (value.is_object() && value.contains("addr") && value.contains("len"))
		to.push_back(fmt::format("{}/{}", value["addr"].get<std::string>(), value["len"].get<unsigned>()));
	else if (value.is_structured())
		for (const json &part : value)
			collect(part, to);
}

std::vector<std::string> collected(const json &value)
{
	std::vector<std::string> all;

	collect(value, all);
	return all;
}

// What a match or a map looks at: "iifname", "saddr", "ct state".
std::string key_of(const json &left)
{
	if (left.contains("meta"))
		return left["meta"].value("key", "");
	if (left.contains("payload"))
		return left["payload"].value("field", "");
	if (left.contains("ct"))
		return "ct " + left["ct"].value("key", "");
	return {};
}

void add_condition(passing_rule &to, const std::string &key, packet_end end)
{
	constexpr std::array sources{"iifname", "iif", "iifkind", "saddr"};
	constexpr std::array destinations{"oifname", "oif", "oifkind", "daddr"};

	// All networks are of our kind.
	if (key.ends_with("kind"))
		std::ranges::replace(end.names, "mayfly", "*");
	if (std::ranges::find(sources, key) != sources.end())
		to.from.push_back(std::move(end));
	else if (std::ranges::find(destinations, key) != destinations.end())
		to.to.push_back(std::move(end));
	else if (key == "ct state" && !end.is_negated && contains(end.names, "established"))
		to.replies = true;
	else if (key == "ct status" && !end.is_negated && contains(end.names, "dnat"))
		to.translated = true;
	else if (key.empty()) {
		// Several at once, or what is not known here.
		to.from.push_back(end);
		to.to.push_back(std::move(end));
		to.is_followed = false;
	} else
		to.has_more = true;
}

void add_target(rule &to, const json &target)
{
	to.then = verdict::other;
	to.targets.push_back(target.value("target", ""));
}

// A map from what is matched to what then happens.
void add_map(rule &to, const json &map)
{
	const std::string key = key_of(map.at("key"));
	const std::vector<std::string> names = collected(map.at("data"));

	add_condition(to.asks, key, {.names = names});
	to.then = key == "ct state" ? verdict::pass : verdict::other;
	to.targets.insert(to.targets.end(), names.begin(), names.end());
}

// A match that nft cannot translate, as it is of iptables.
void add_foreign(rule &to, const json &match)
{
	const std::string name = match.is_object() ? match.value("name", "") : "";

	(name == "conntrack" || name == "state" ? to.asks.replies : to.asks.has_more) = true;
}

void add_statement(rule &to, const std::string &name, const json &value)
{
	if (name == "match")
		add_condition(to.asks, key_of(value.at("left")),
			      {.names = collected(value.at("right")), .is_negated = value.value("op", "") == "!="});
	else if (name == "accept")
		to.then = verdict::pass;
	else if (name == "drop" || name == "reject")
		to.then = verdict::drop;
	else if (name == "jump" || name == "goto")
		add_target(to, value);
	else if (name == "vmap")
		add_map(to, value);
	else if (name == "xt")
		add_foreign(to, value);
	else if (name == "return" || name == "queue")
		to.then = verdict::other;
	else if (name != "counter" && name != "log")
		to.asks.has_more = true;
}

std::string table_of(const json &object)
{
	return fmt::format("{} {}", object.at("family").get<std::string>(), object.at("table").get<std::string>());
}

// Does it see what is forwarded of IPv4?
bool is_forward(const json &chain)
{
	return chain.value("hook", "") == "forward" && (chain.at("family") == "ip" || chain.at("family") == "inet");
}

rule read_rule(const json &object)
{
	rule made;

	for (const json &statement : object.value("expr", json::array()))
		for (const auto &[name, value] : statement.items())
			add_statement(made, name, value);
	return made;
}

} // namespace

result<std::vector<shut_chain>> shut_chains_of_nft(std::string_view text)
{
	std::map<std::string, chains> tables;
	std::vector<shut_chain> shut;

	try {
		const json objects = json::parse(text).at("nftables");

		for (const json &object : objects)
			if (object.contains("rule"))
				tables[table_of(object["rule"])][object["rule"].at("chain")].push_back(
					read_rule(object["rule"]));
			else if (object.contains("chain"))
				tables[table_of(object["chain"])][object["chain"].at("name")];
		for (const json &object : objects)
			if (object.contains("chain") && is_forward(object["chain"]))
				add_if_shut(shut, tables[table_of(object["chain"])],
					    object["chain"].value("policy", "") == "drop",
					    {.family = object["chain"].at("family"),
					     .table = object["chain"].at("table"),
					     .name = object["chain"].at("name")});
	} catch (const json::exception &) {
		return fail(EBADMSG, "nft prints rules that are not understood");
	}
	return shut;
}

} // namespace vmctl::cli
