// SPDX-License-Identifier: Apache-2.0
// info and doctor: the module and what it stands on.
#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "json.hpp"
#include "packets.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

std::string_view word(host_check::verdict outcome)
{
	switch (outcome) {
	case host_check::verdict::good:
		return "ok";
	case host_check::verdict::bad:
		return "bad";
	case host_check::verdict::unknown:
		return "unknown";
	}
	return "unknown";
}

std::string held_text(std::uint64_t bytes, std::uint64_t limit)
{
	return limit == 0 ? fmt::format("{}, no limit", size_text(bytes))
			  : fmt::format("{} of {} at most", size_text(bytes), size_text(limit));
}

bool is_healthy(std::span<const host_check::finding> findings)
{
	return std::ranges::none_of(findings, [](const host_check::finding &found) {
		return found.outcome == host_check::verdict::bad;
	});
}

void print_json(const context &world, std::span<const host_check::finding> findings)
{
	json_array array(world.out);

	for (const auto &found : findings)
		array.add({{"check", found.subject},
			   {"result", word(found.outcome)},
			   {"text", found.text},
			   {"fix", found.fix.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(found.fix)}});
}

void print_findings(const context &world, std::span<const host_check::finding> findings)
{
	table lines({"CHECK", "RESULT", "FOUND"}, {false, false, false});

	for (const auto &found : findings) {
		lines.add({found.subject, std::string(word(found.outcome)), found.text});
		if (!found.fix.empty())
			lines.add({"", "", "to mend it: " + found.fix});
	}
	lines.print(world.out);
}

} // namespace

int verb_info(const context &world, const invocation &in)
{
	const device from = CLI_TRY(world, open_device(world));
	const auto info = from.info();

	if (!info)
		return world.end(failure{status::broken, info.error()});
	if (in.has("json")) {
		json_array(world.out).add({
			{"api_version", info->api_version},
			{"backend", to_string(info->backend)},
			{"cpu_vendor", to_string(info->vendor)},
			{"cpu_level", to_string(info->level)},
			{"vms", info->vms},
			{"images", info->images},
			{"pools", info->pools},
			{"pages", info->pages},
			{"max_vms", info->max_vms},
			{"bytes", info->bytes},
			{"max_bytes", info->max_bytes},
			{"user_vms", info->user_vms},
			{"max_vms_user", info->max_vms_user},
			{"user_bytes", info->user_bytes},
			{"max_bytes_user", info->max_bytes_user},
			{"memory_default", info->memory_default},
			{"memory_max", info->memory_max},
			{"vm_overhead", info->vm_overhead},
			{"spawned", info->spawned},
			{"parked", info->parked},
			{"cold", info->cold},
			{"warmed", info->warmed},
			{"debug", info->debug},
			{"clock_stable", info->clock_stable},
			{"tsc_khz", info->tsc_khz},
			{"tsc_scaling", info->tsc_scaling},
			{"cpu_max", info->cpu_max},
		});
		return status::ok;
	}
	world.out.print("Mayfly         version {} of the interface, {}{}\n", info->api_version,
			to_string(info->backend), info->debug ? ", with debug checks" : "");
	world.out.print("VMs            {} of {} at most, {} asleep and cold\n", info->vms, info->max_vms, info->cold);
	world.out.print("  yours        {} of {} at most\n", info->user_vms, info->max_vms_user);
	world.out.print("memory held    {}\n", held_text(info->bytes, info->max_bytes));
	world.out.print("  by yours     {}\n", held_text(info->user_bytes, info->max_bytes_user));
	world.out.print("images         {}; new ones are for {} CPUs, up to {}\n", info->images,
			to_string(info->vendor), to_string(info->level));
	world.out.print("worker pools   {}\n", info->pools);
	world.out.print("pages held     {} ({})\n", info->pages, size_text(info->pages * page_size));
	world.out.print("memory per VM  {} by default, {} at most\n", size_text(info->memory_default),
			size_text(info->memory_max));
	world.out.print("overhead       {} per VM besides its pages\n", size_text(info->vm_overhead));
	world.out.print("so far         {} VMs spawned, parked {} times\n", info->spawned, info->parked);
	world.out.print("guest clock    {}\n",
			info->clock_stable ? "stable" : "unstable: the host's TSC cannot be trusted");
	world.out.print("guest TSC      {} kHz{}\n", info->tsc_khz,
			info->tsc_scaling ? "; a restored VM may keep another" : "");
	world.out.print("cpu.max        {}\n",
			info->cpu_max ? "holds for every VM" : "holds for attached VMs only, on this kernel");
	return status::ok;
}

int verb_doctor(const context &world, const invocation &in)
{
	auto findings = host_check(world.calls).report();
	const bool can_run = is_healthy(findings);
	const auto packets = check_packets(world.calls);
	const bool loses_packets = !is_healthy(packets);

	findings.insert(findings.end(), packets.begin(), packets.end());
	if (in.has("json")) {
		print_json(world, findings);
	} else {
		print_findings(world, findings);
		world.out.print("{}\n",
				!can_run ? "Mayfly cannot run here: mend the first bad line."
				: loses_packets
					? "Mayfly can run here, but packets of VMs get lost: mend the bad lines."
					: "Mayfly can run here.");
	}
	return can_run && !loses_packets ? status::ok : status::some_failed;
}

} // namespace vmctl::cli
