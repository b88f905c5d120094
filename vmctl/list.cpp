// SPDX-License-Identifier: Apache-2.0
// ps and inspect: what VMs there are.
#include <algorithm>
#include <array>

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
	std::string parts;
	std::uint64_t private_bytes = 0;

	for (const vm_state state : all_states) {
		const auto count = std::ranges::count(rows, state, &vm_info::state);

		if (count > 0)
			parts += fmt::format("{} {}, ", count, to_string(state));
	}
	for (const vm_info &row : rows)
		private_bytes += row.private_bytes;
	return fmt::format("{}: {}{} private", count_text(rows.size()), parts, size_text(private_bytes));
}

void print_rows(const context &world, std::span<const vm_info> rows, bool whole)
{
	// On a terminal: a screenful less title, summary, rest and the next prompt.
	const std::size_t fits = std::max<std::size_t>(screen_of(world).rows, 8) - 4;
	const bool cut = world.out_is_terminal && !whole && rows.size() > fits;
	const auto shown = rows.first(cut ? fits : rows.size());
	const bool reasons = std::ranges::any_of(shown, &vm_info::ended);
	std::vector<std::string> titles{"ID", "NAME", "STATE", "IMAGE", "MEMORY", "PRIVATE", "EXITS", "CPU", "AGE"};
	std::vector<bool> numbers{true, false, false, false, true, true, true, true, true};

	if (reasons) {
		titles.emplace_back("REASON");
		numbers.push_back(false);
	}

	table lines(titles, numbers);

	for (const vm_info &row : shown) {
		std::vector<std::string> cells{
			std::to_string(row.id),    printable(row.name),   std::string(to_string(row.state)),
			printable(row.image),      size_text(row.memory), size_text(row.private_bytes),
			std::to_string(row.exits), time_text(row.cpu_ns), age_of(row.created_ns),
		};

		if (reasons)
			cells.push_back(row.end_text());
		lines.add(std::move(cells));
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
		world.out.print("… {} more (--all-rows or --json shows them)\n", rows.size() - fits);
}

} // namespace

int verb_ps(const context &world, const invocation &in)
{
	const device from = CLI_TRY(world, open_device(world));
	selection picked = CLI_TRY(world, select_shown(from, in.operands, in.has("all")));
	std::vector<vm_info> rows;

	for (const error &missing : picked.missing)
		world.complain(missing);
	rows.reserve(picked.vms.size());
	for (chosen &one : picked.vms)
		rows.push_back(std::move(one.row));
	if (in.has("json")) {
		json_array array(world.out);

		for (const vm_info &row : rows)
			array.add(to_json(row));
	} else if (in.has("quiet")) {
		for (const vm_info &row : rows)
			world.out.print("{}\n", row.id);
	} else {
		print_rows(world, rows, in.has("all-rows"));
	}
	return picked.missing.empty() ? status::ok : status::some_failed;
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
