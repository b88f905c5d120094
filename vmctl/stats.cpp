// SPDX-License-Identifier: Apache-2.0
// stats: what VMs do, from one sample to the next.
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <tuple>

#include <fmt/format.h>

#include "json.hpp"
#include "sample.hpp"
#include "screen.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

using std::chrono::milliseconds;

constexpr milliseconds default_interval{1000};
// A slice is up to 1 ms, and counts when it is over: below this it would show.
constexpr milliseconds shortest_interval{100};
constexpr milliseconds longest_interval{24 * 3600 * 1000};

// How the samples are shown.
struct look {
	bool json;
	bool by_reason;
	bool live;   // drawn over the one before
	bool cut;    // to a screenful
	bool stream; // one after the other

	look(const context &world, const invocation &in)
		: json(in.has("json")), by_reason(in.has("exits")), live(false), cut(world.out_is_terminal && !json),
		  stream(!in.has("no-stream"))
	{
		live = cut && stream;
	}
};

outcome<milliseconds> parse_interval(const invocation &in)
{
	const auto text = in.value("interval");

	if (!text)
		return default_interval;

	const auto value = parse_seconds(*text);

	if (!value || *value < static_cast<std::uint64_t>(shortest_interval.count()) ||
	    *value > static_cast<std::uint64_t>(longest_interval.count()))
		return bad_usage(fmt::format("--interval {}: not a number of seconds from 0.1 to 86400", *text));
	return milliseconds(*value);
}

// --- one sample as lines ------------------------------------------------------

// All VMs as if they were one, those that are not shown too.
struct totals {
	reading sum{};
	std::size_t vms = 0;
};

void add(totals &to, const reading &one)
{
	vm_stat &sum = to.sum.stat;

	to.vms++;
	sum.info.memory += one.stat.info.memory;
	sum.info.private_bytes += one.stat.info.private_bytes;
	sum.info.exits += one.stat.info.exits;
	sum.info.cpu_ns += one.stat.info.cpu_ns;
	sum.parked += one.stat.parked;
	sum.exits += one.stat.exits;
	if (one.speed) {
		if (!to.sum.speed)
			to.sum.speed.emplace();
		*to.sum.speed += *one.speed;
	}
}

totals add_up(std::span<const reading> vms)
{
	totals made;

	for (const reading &one : vms)
		add(made, one);
	return made;
}

std::string pace_text(const std::optional<pace> &speed, double pace::*part)
{
	return speed ? fmt::format("{:.1f}", (*speed).*part) : "-";
}

std::string id_of(const reading &one)
{
	return std::to_string(one.stat.info.id);
}

std::string name_of(const reading &one)
{
	return printable(one.stat.info.name);
}

std::vector<std::string> usage_cells(std::string id, std::string name, std::string state, const reading &one)
{
	const vm_info &row = one.stat.info;

	return {std::move(id),
		std::move(name),
		std::move(state),
		pace_text(one.speed, &pace::cpu_percent),
		time_text(row.cpu_ns),
		fmt::format("{} / {}", size_text(row.private_bytes), size_text(row.memory)),
		std::to_string(row.exits),
		pace_text(one.speed, &pace::exits),
		std::to_string(one.stat.parked)};
}

table usage_table(std::span<const reading> shown, const totals &all)
{
	table made({"ID", "NAME", "STATE", "CPU %", "CPU TIME", "MEM / LIMIT", "EXITS", "EXITS/s", "PARKS"},
		   {true, false, false, true, true, true, true, true, true});

	for (const reading &one : shown)
		made.add(usage_cells(id_of(one), name_of(one), std::string(to_string(one.stat.info.state)), one));
	if (all.vms > 1) {
		auto cells = usage_cells("", "TOTAL", count_text(all.vms), all.sum);

		// Nobody asked those that are not shown how often they have parked.
		if (shown.size() < all.vms)
			cells.back() = '-';
		made.add(cells);
	}
	return made;
}

std::vector<std::string> reason_cells(std::string id, std::string name, const reading &one)
{
	std::vector<std::string> cells{std::move(id), std::move(name), std::to_string(one.stat.info.exits),
				       pace_text(one.speed, &pace::exits)};

	for (const std::uint64_t each : one.stat.exits)
		cells.push_back(std::to_string(each));
	return cells;
}

std::vector<std::string> per_second_cells(const pace &speed)
{
	std::vector<std::string> cells{"", "PER SECOND", "", fmt::format("{:.1f}", speed.exits)};

	for (const double each : speed.exits_by_reason)
		cells.push_back(fmt::format("{:.1f}", each));
	return cells;
}

table reason_table(std::span<const reading> shown, const totals &all)
{
	std::vector<std::string> titles{"ID", "NAME", "EXITS", "EXITS/s"};

	for (const exit_reason reason : all_exit_reasons)
		std::ranges::transform(to_string(reason), std::back_inserter(titles.emplace_back()),
				       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });

	std::vector<bool> numbers(titles.size(), true);

	numbers[1] = false;

	table made(titles, numbers);

	for (const reading &one : shown)
		made.add(reason_cells(id_of(one), name_of(one), one));
	if (all.vms > 1)
		made.add(reason_cells("", "TOTAL", all.sum));
	if (all.sum.speed)
		made.add(per_second_cells(*all.sum.speed));
	return made;
}

// --- what of it is shown ------------------------------------------------------

// The `count` busiest, in this order; by ids where they are equally busy.
std::vector<reading> busiest(std::vector<reading> vms, std::size_t count, double pace::*first, double pace::*second)
{
	const auto rank = [&](const reading &one) {
		const pace speed = one.speed.value_or(pace());

		return std::tuple(-(speed.*first), -(speed.*second), one.stat.info.id);
	};

	std::ranges::partial_sort(vms, vms.begin() + static_cast<std::ptrdiff_t>(count), {}, rank);
	vms.resize(count);
	return vms;
}

// A screenful less titles, totals, the line that tells of the rest, and the
// cursor's.
std::size_t rows_that_fit(const context &world, const look &how)
{
	const std::size_t others = how.by_reason ? 5 : 4;
	const std::size_t rows = screen_of(world).rows;

	return rows > others ? rows - others : 1;
}

outcome<std::vector<std::string>> lines_of(const context &world, const device &from, const look &how, const sample &now)
{
	const std::size_t fits = how.cut ? rows_that_fit(world, how) : SIZE_MAX;
	const bool cut = now.vms.size() > fits;
	auto shown = !cut            ? now.vms
		     : how.by_reason ? busiest(now.vms, fits, &pace::exits, &pace::cpu_percent)
				     : busiest(now.vms, fits, &pace::cpu_percent, &pace::exits);

	if (!how.by_reason)
		if (auto asked = ask_counters(from, shown); !asked)
			return std::unexpected(asked.error());

	const totals all = add_up(cut ? now.vms : shown);
	auto lines = (how.by_reason ? reason_table(shown, all) : usage_table(shown, all)).lines();

	if (cut)
		lines.push_back(fmt::format("… {} more, less busy (--json shows them)\n", now.vms.size() - fits));
	return lines;
}

// --- output -------------------------------------------------------------------

void print_json(const context &world, const sample &now)
{
	json_array array(world.out);

	for (const reading &one : now.vms) {
		const pace speed = one.speed.value_or(pace());
		auto object = to_json(one.stat);

		object["cpu_percent"] = speed.cpu_percent;
		object["exits_per_second"] = speed.exits;
		array.add(object);
	}
}

// Over the frame before, without blanking it, so that nothing flickers. What is
// too long for a line ends at its edge.
void draw(const context &world, std::span<const std::string> lines, bool first)
{
	const std::size_t columns = screen_of(world).columns;

	world.out.write(first ? "\033[2J\033[H" : "\033[H");
	for (const std::string &line : lines)
		world.out.print("{}\033[K\n", cut_to(columns, line));
	world.out.write("\033[J");
}

outcome<void> show(const context &world, const device &from, const look &how, const sample &now, bool first)
{
	if (how.json) {
		print_json(world, now);
	} else {
		const auto lines = lines_of(world, from, how, now);

		if (!lines)
			return std::unexpected(lines.error());
		if (how.live) {
			draw(world, *lines, first);
		} else {
			if (!first)
				world.out.write("\n");
			print_lines(world, *lines, how.cut ? screen_of(world).columns : SIZE_MAX);
		}
	}
	return {};
}

outcome<sample> take(const device &from, const audience &of, const look &how)
{
	auto taken = of.look(from);

	// Totals by reason need every VM's; else those that are shown are asked.
	if (taken && (how.json || how.by_reason))
		if (auto asked = ask_counters(from, taken->vms); !asked)
			return std::unexpected(asked.error());
	return taken;
}

void wait_until(const context &world, sample_clock::time_point when)
{
	for (;;) {
		const auto left = std::chrono::ceil<milliseconds>(when - sample_clock::now()).count();

		// A signal that does not end us, as when we were stopped, is no reason to
		// look early.
		if (left <= 0 || world.calls.poll({}, static_cast<int>(left)) != -EINTR)
			return;
	}
}

} // namespace

int verb_stats(const context &world, const invocation &in)
{
	const look how(world, in);
	const milliseconds interval = CLI_TRY(world, parse_interval(in));
	const device from = CLI_TRY(world, open_device(world));
	const audience who = CLI_TRY(world, audience::gather(from, in.operands, in.has("all")));

	for (const error &missing : who.missing())
		world.complain(missing);
	if (who.is_nobody())
		return status::some_failed;

	sample before = CLI_TRY(world, take(from, who, how));

	// Elsewhere nothing is shown that has no speed yet.
	if (how.live)
		CLI_TRY(world, show(world, from, how, before, true));
	if (!world.out.flush())
		return status::broken;
	for (bool first = !how.live;; first = false) {
		wait_until(world, before.taken + interval);

		sample now = CLI_TRY(world, take(from, who, how));

		now.compare(before);
		CLI_TRY(world, show(world, from, how, now, first));
		// A stream that nobody can read must end.
		if (!world.out.flush() || !how.stream || who.is_over(now))
			return who.missing().empty() ? status::ok : status::some_failed;
		before = std::move(now);
	}
}

} // namespace vmctl::cli
