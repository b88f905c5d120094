// SPDX-License-Identifier: Apache-2.0
// ps and inspect: what VMs there are.
#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include <fmt/format.h>

#include "json.hpp"
#include "screen.hpp"
#include "select.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr std::array all_states{vm_state::running, vm_state::ready, vm_state::parked, vm_state::paused,
				vm_state::ended};

// "1000 VMs: 2 running, 998 parked, 35.2 MiB private"
std::string summary(std::span<const vm_info> rows)
{
	std::map<vm_state, std::size_t> counts;
	std::string parts;
	std::uint64_t private_bytes = 0;

	for (const vm_info &row : rows) {
		counts[row.state]++;
		private_bytes += row.private_bytes;
	}
	for (const vm_state state : all_states)
		if (counts.contains(state))
			parts += fmt::format("{} {}, ", counts[state], to_string(state));
	return fmt::format("{}: {}{} private", count_text(rows.size()), parts, size_text(private_bytes));
}

std::string addresses_of(const vm_info &row)
{
	std::string text;

	for (const vm_place &place : row.places)
		text += (text.empty() ? "" : ",") + ip4_text(place.ip4);
	return text.empty() ? "-" : text;
}

void print_rows(const context &world, std::span<const vm_info> rows, bool whole)
{
	// On a terminal: a screenful less title, summary, rest and the next prompt.
	const screen seen = screen_of(world);
	const std::size_t fits = std::max<std::size_t>(seen.rows, 8) - 4;
	const bool cut = world.out_is_terminal && !whole && rows.size() > fits;
	const auto shown = rows.first(cut ? fits : rows.size());
	const bool addresses = std::ranges::any_of(shown, [](const vm_info &row) { return !row.places.empty(); });
	const bool reasons = std::ranges::any_of(shown, &vm_info::ended);
	std::vector<std::string> titles{"ID", "NAME", "STATE", "IMAGE", "MEMORY", "PRIVATE", "EXITS", "CPU", "AGE"};
	std::vector<bool> numbers{true, false, false, false, true, true, true, true, true};

	if (addresses) {
		titles.emplace_back("IP");
		numbers.push_back(false);
	}
	if (reasons) {
		titles.emplace_back("REASON");
		numbers.push_back(false);
	}

	table lines(titles, numbers);
	const std::uint64_t now = now_ns();

	for (const vm_info &row : shown) {
		lines.add_cell(std::to_string(row.id));
		lines.add_cell(printable(row.name));
		lines.add_cell(to_string(row.state));
		lines.add_cell(printable(row.image));
		lines.add_cell(size_text(row.memory));
		lines.add_cell(size_text(row.private_bytes));
		lines.add_cell(std::to_string(row.exits));
		lines.add_cell(time_text(row.cpu_ns));
		lines.add_cell(age_of(row.created_ns, now));
		if (addresses)
			lines.add_cell(addresses_of(row));
		if (reasons)
			lines.add_cell(row.end_text());
	}
	if (rows.size() > 1) {
		world.err.print("{}\n", summary(rows));
		world.err.flush();
	}
	if (whole)
		lines.print(world.out);
	else
		print_table(world, lines);
	if (cut)
		print_lines(world,
			    std::array{
				    fmt::format("… {} more (--all-rows or --json shows them)\n", rows.size() - fits)},
			    seen.columns);
}

} // namespace

int verb_ps(const context &world, const invocation &in)
{
	const device from = CLI_TRY(world, open_device(world));
	const listed found = CLI_TRY(world, select_shown(from, in.operands, in.has("all")));

	for (const error &missing : found.missing)
		world.complain(missing);
	if (in.has("json")) {
		json_array array(world.out);

		for (const vm_info &row : found.rows)
			array.add_text(json_text(row));
	} else if (in.has("quiet")) {
		for (const vm_info &row : found.rows)
			world.out.print("{}\n", row.id);
	} else {
		print_rows(world, found.rows, in.has("all-rows"));
	}
	return found.missing.empty() ? status::ok : status::some_failed;
}

int verb_ip(const context &world, const invocation &in)
{
	const device from = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(from, in.operands));

	const bool ip6 = in.has("ipv6");
	bool any = false;

	for (const vm_place &place : one.row.places) {
		if (ip6 && !place.has_ip6())
			continue;
		world.out.print("{}\n", ip6 ? ip6_text(place.ip6) : ip4_text(place.ip4));
		any = true;
	}
	if (!any)
		return world.end({status::some_failed,
				  {EADDRNOTAVAIL, fmt::format("{}: has no {}address on a network",
							      printable(one.row.name), ip6 ? "IPv6 " : "")}});
	return status::ok;
}

int verb_inspect(const context &world, const invocation &in)
{
	const device from = CLI_TRY(world, open_device(world));
	const selection picked = CLI_TRY(world, select(from, in));
	bool failed = !picked.missing.empty();

	for (const error &missing : picked.missing)
		world.complain(missing);

	json_array array(world.out);

	for (const chosen &one : picked.vms) {
		const auto opened = from.open_vm(one.row.id);
		const auto stat = opened ? opened->stat() : std::unexpected(opened.error());

		if (stat) {
			array.add(to_json(*stat));
		} else if (one.by_name || stat.error().code != ENOENT) {
			world.complain(stat.error());
			failed = true;
		}
	}
	return failed ? status::some_failed : status::ok;
}

} // namespace vmctl::cli
