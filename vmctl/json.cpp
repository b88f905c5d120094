// SPDX-License-Identifier: Apache-2.0
#include "json.hpp"

#include <fmt/format.h>

#include "text.hpp"

namespace vmctl::cli
{

using json = nlohmann::ordered_json;

json to_json(const vm_info &row)
{
	json object = {
		{"id", row.id},
		{"name", row.name},
		{"state", to_string(row.state)},
		{"image", row.image},
		{"image_id", row.image_id},
		{"reason", nullptr},
		{"status", nullptr},
		{"exits", row.exits},
		{"cpu_ns", row.cpu_ns},
		{"memory", row.memory},
		{"private_bytes", row.private_bytes},
		{"created", row.created_ns},
		{"ended", nullptr},
		{"uid", row.uid},
		{"detached", row.detached},
		{"started", row.started},
		{"cold", row.cold},
	};

	if (!row.ended())
		return object;
	object["reason"] = to_string(row.reason);
	object["ended"] = row.ended_ns;
	object["end"] = row.end_text();
	if (row.reason == end_reason::exited)
		object["status"] = row.status;
	else
		object["rip"] = fmt::format("{:#x}", row.rip);
	if (row.reason == end_reason::bad_access)
		object["address"] = fmt::format("{:#x}", row.address);
	if (row.reason == end_reason::entry_failed || row.reason == end_reason::bad_state)
		object["detail"] = fmt::format("{:#x}", row.detail);
	return object;
}

json to_json(const vm_stat &stat)
{
	json object = to_json(stat.info);
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
	};
}

json_array::json_array(stream &out) : out_(out)
{
	out_.write("[");
}

void json_array::add(const json &element)
{
	// Image names come from users' file names: not always UTF-8.
	const std::string text = element.dump(-1, ' ', false, json::error_handler_t::replace);

	out_.print("{}\n{}", empty_ ? "" : ",", text);
	empty_ = false;
}

json_array::~json_array()
{
	out_.write(empty_ ? "]\n" : "\n]\n");
}

} // namespace vmctl::cli
