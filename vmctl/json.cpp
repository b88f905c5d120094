// SPDX-License-Identifier: Apache-2.0
#include "json.hpp"

#include <fmt/compile.h>

#include "text.hpp"

namespace vmctl::cli
{

using json = nlohmann::ordered_json;

namespace
{

std::string dump(const json &element)
{
	// Image names come from users' file names: not always UTF-8.
	return element.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string hex(std::uint64_t number)
{
	return fmt::format(R"("{:#x}")", number);
}

} // namespace

// There may be a million rows: nothing is built that is not printed. A name has no
// letter that JSON escapes, see check_name().
std::string json_text(const vm_info &row)
{
	const bool exited = row.reason == end_reason::exited;
	fmt::memory_buffer text;

	fmt::format_to(
		fmt::appender(text),
		FMT_COMPILE(
			R"({{"id":{},"name":"{}","state":"{}","image":{},"image_id":{},"reason":{},"status":{},"exits":{},)"
			R"("cpu_ns":{},"memory":{},"private_bytes":{},"created":{},"ended":{},"uid":{},"detached":{},)"
			R"("started":{},"cold":{},"awaited":{},"ip":{})"),
		row.id, row.name, to_string(row.state), dump(row.image), row.image_id,
		row.ended() ? dump(to_string(row.reason)) : "null", exited ? std::to_string(row.status) : "null",
		row.exits, row.cpu_ns, row.memory, row.private_bytes, row.created_ns,
		row.ended() ? std::to_string(row.ended_ns) : "null", row.uid, row.detached, row.started, row.cold,
		row.awaited, row.places.empty() ? "null" : '"' + ip4_text(row.places.front().ip4) + '"');

	if (row.ended())
		text.append(R"(,"end":)" + dump(row.end_text()));
	if (row.ended() && !exited)
		text.append(R"(,"rip":)" + hex(row.rip));
	if (row.reason == end_reason::bad_access)
		text.append(R"(,"address":)" + hex(row.address));
	if (row.reason == end_reason::entry_failed || row.reason == end_reason::bad_state)
		text.append(R"(,"detail":)" + hex(row.detail));
	text.push_back('}');
	return fmt::to_string(text);
}

json to_json(const vm_stat &stat)
{
	json object = json::parse(json_text(stat.info));
	json &exits = object["exits_by_reason"];

	for (const exit_reason reason : all_exit_reasons)
		exits[std::string(to_string(reason))] = stat.exits[reason];
	object["guest_pages"] = stat.guest_pages;
	object["table_pages"] = stat.table_pages;
	object["device_pages"] = stat.device_pages;
	object["struct_bytes"] = stat.struct_bytes;
	object["console_bytes"] = stat.console_bytes;
	object["console_lost"] = stat.console_lost;
	object["parked"] = stat.parked;
	object["ready"] = stat.ready;
	object["places"] = json::array();
	for (const vm_place &place : stat.info.places)
		object["places"].push_back({{"network", place.network},
					    {"ip", ip4_text(place.ip4)},
					    {"ip6", place.has_ip6() ? json(ip6_text(place.ip6)) : json(nullptr)}});
	return object;
}

json to_json(const image_info &row)
{
	return {
		{"id", row.id},
		{"name", row.name.empty() ? json(nullptr) : json(row.name)},
		{"label", row.label},
		{"bytes", row.bytes},
		{"users", row.users},
		{"memory_min", row.memory_min},
		{"memory_default", row.memory_default},
		{"created", row.created_ns},
		{"uid", row.uid},
		{"parent", row.parent == 0 ? json(nullptr) : json(row.parent)},
		{"profile", to_string(row.profile)},
		{"cpu_vendor", to_string(row.vendor)},
		{"cpu_level", to_string(row.level)},
		{"same_tsc", row.same_tsc},
		{"snapshot", row.snapshot},
	};
}

json_array::json_array(stream &out) : out_(out)
{
	out_.write("[");
}

void json_array::add(const json &element)
{
	add_text(dump(element));
}

void json_array::add_text(std::string_view element)
{
	out_.write(empty_ ? "\n" : ",\n");
	out_.write(element);
	empty_ = false;
}

json_array::~json_array()
{
	out_.write(empty_ ? "]\n" : "\n]\n");
}

} // namespace vmctl::cli
