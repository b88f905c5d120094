// SPDX-License-Identifier: Apache-2.0
#include "json.hpp"

#include <fmt/format.h>

#include "text.hpp"

namespace vmctl::cli
{

using json = nlohmann::ordered_json;

json to_json(const vm_info &row)
{
	const mayfly_vm_info &raw = row.raw();
	const end_reason reason = row.reason();
	json object = {
		{"id", raw.id},
		{"name", row.name()},
		{"state", to_string(row.state())},
		{"image", row.image()},
		{"reason", nullptr},
		{"status", nullptr},
		{"exits", raw.exits},
		{"cpu_ns", raw.cpu_ns},
		{"memory", raw.memory},
		{"private_bytes", raw.private_bytes},
		{"created", raw.created_ns},
		{"ended", nullptr},
		{"uid", raw.uid},
		{"detached", (raw.flags & MAYFLY_VM_DETACHED) != 0},
		{"started", (raw.flags & MAYFLY_VM_STARTED) != 0},
		{"cold", (raw.flags & MAYFLY_VM_COLD) != 0},
	};

	if (!row.ended())
		return object;
	object["reason"] = to_string(reason);
	object["ended"] = raw.ended_ns;
	object["end"] = row.end_text();
	if (reason == end_reason::exited)
		object["status"] = raw.status;
	else
		object["rip"] = fmt::format("{:#x}", raw.rip);
	if (reason == end_reason::bad_access)
		object["address"] = fmt::format("{:#x}", raw.address);
	if (reason == end_reason::entry_failed || reason == end_reason::bad_state)
		object["detail"] = fmt::format("{:#x}", raw.detail);
	return object;
}

json to_json(const mayfly_vm_stat &stat)
{
	json object = to_json(vm_info(stat.info));
	json &exits = object["exits_by_reason"];

	for (std::size_t i = 0; i < exit_reasons.size(); i++)
		exits[exit_reasons[i]] = stat.exits[i];
	object["guest_pages"] = stat.guest_pages;
	object["table_pages"] = stat.table_pages;
	object["device_pages"] = stat.device_pages;
	object["struct_bytes"] = stat.struct_bytes;
	object["console_bytes"] = stat.console_bytes;
	object["console_lost"] = stat.console_lost;
	object["parked"] = stat.parked;
	return object;
}

json_array::json_array(std::FILE *out) : out_(out)
{
	std::fputc('[', out_);
}

void json_array::add(const json &element)
{
	// Image names come from users' file names: not always UTF-8.
	const std::string text = element.dump(-1, ' ', false, json::error_handler_t::replace);

	fmt::print(out_, "{}\n{}", empty_ ? "" : ",", text);
	empty_ = false;
}

json_array::~json_array()
{
	std::fputs(empty_ ? "]\n" : "\n]\n", out_);
}

} // namespace vmctl::cli
