// SPDX-License-Identifier: Apache-2.0
// start, pause, unpause, stop, kill, rm, wait: a sweep of LIST to find the VMs,
// then one CONTROL for all of them.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <unordered_set>

#include <fmt/format.h>

#include "json.hpp"
#include "publish.hpp"
#include "select.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds default_grace{10'000};

std::string why(operation what, int code)
{
	return refusal(what, code) + (what == operation::remove && code == EBUSY ? ", or use rm -f" : "");
}

// True when `code` is what was wanted anyway, for VMs nobody named one by one.
bool is_moot(operation what, int code)
{
	if (code == ENOENT)
		return true;
	return what != operation::remove && (code == ESRCH || code == EALREADY);
}

// Complaints, a few in full and the rest counted.
class complaints
{
public:
	explicit complaints(const context &world) : world_(&world) {}
	complaints(const complaints &) = delete;
	complaints &operator=(const complaints &) = delete;

	void add(const error &cause)
	{
		if (++count_ <= shown)
			world_->complain(cause);
	}

	void add(const vm_info &row, std::string_view text)
	{
		add(error{EINVAL, fmt::format("{}: {}", row.name, text)});
	}

	// Tells how many were not shown; the status to end with.
	[[nodiscard]] int end() const
	{
		if (count_ > shown)
			world_->complain({EINVAL, fmt::format("… and {} more like these", count_ - shown)});
		return count_ > 0 ? status::some_failed : status::ok;
	}

private:
	static constexpr std::size_t shown = 5;

	const context *world_;
	std::size_t count_ = 0;
};

// The device, the VMs meant, and what went wrong so far.
class job
{
public:
	static outcome<job> begin(const context &world, const invocation &in)
	{
		auto opened = open_device(world);

		if (!opened)
			return std::unexpected(opened.error());

		auto picked = select(*opened, in);

		if (!picked)
			return std::unexpected(picked.error());
		return job(std::move(*opened), std::move(*picked));
	}

	device to;
	selection picked;
	clock::time_point since = clock::now();

	// Does `what` with those of `these` VMs; how many it worked for, or that have gone by themselves.
	outcome<std::size_t> apply(operation what, std::span<const chosen> these, complaints &wrong) const
	{
		std::vector<std::uint64_t> ids;
		std::size_t done = 0;

		for (const chosen &one : these)
			ids.push_back(one.row.id);

		const auto results = to.control(what, ids);

		if (!results)
			return give_up(status::broken, results.error());
		for (std::size_t i = 0; i < these.size(); i++) {
			const int code = (*results)[i];

			if (code == 0 || (what == operation::remove && code == ENOENT && !these[i].by_name))
				done++;
			else if (these[i].by_name || !is_moot(what, code))
				wrong.add(these[i].row, why(what, code));
		}
		return done;
	}

	// One line when there was more than one.
	void tell(const context &world, const char *done, std::size_t count, std::string_view more = "") const
	{
		if (picked.vms.size() < 2)
			return;
		world.err.print(
			"{} {}{} in {}\n", done, count_text(count), more,
			time_text(static_cast<std::uint64_t>(std::chrono::nanoseconds(clock::now() - since).count())));
	}

private:
	job(device opened, selection found) : to(std::move(opened)), picked(std::move(found)) {}
};

std::vector<chosen> those(std::span<const chosen> vms, bool (*wanted)(const vm_info &))
{
	std::vector<chosen> some;

	std::ranges::copy_if(vms, std::back_inserter(some), [&](const chosen &one) { return wanted(one.row); });
	return some;
}

bool is_alive(const vm_info &row)
{
	return !row.ended();
}

// Made to be started later: nobody runs it, so it cannot be asked to stop.
bool is_unstarted(const vm_info &row)
{
	return row.state == vm_state::ready && !row.started && row.detached;
}

int simple(const context &world, const invocation &in, operation what, const char *done)
{
	const job work = CLI_TRY(world, job::begin(world, in));
	complaints wrong(world);

	for (const error &missing : work.picked.missing)
		wrong.add(missing);

	const std::size_t count = CLI_TRY(world, work.apply(what, work.picked.vms, wrong));

	work.tell(world, done, count);
	return wrong.end();
}

// The rows of `ids`, now: a default one where a VM is gone.
outcome<std::vector<vm_info>> rows_of(const device &to, std::span<const std::uint64_t> ids)
{
	std::vector<vm_info> found(ids.size());

	if (ids.empty())
		return found;

	const auto [lowest, highest] = std::ranges::minmax(ids);
	const auto rows = to.list(lowest, highest);

	if (!rows)
		return give_up(status::broken, rows.error());
	for (std::size_t i = 0; i < ids.size(); i++) {
		const auto at = std::ranges::lower_bound(*rows, ids[i], {}, &vm_info::id);

		if (at != rows->end() && at->id == ids[i])
			found[i] = *at;
	}
	return found;
}

// Those that have not ended.
std::unordered_set<std::uint64_t> living(std::span<const vm_info> rows)
{
	std::unordered_set<std::uint64_t> ids;

	for (const vm_info &row : rows)
		if (row.id != 0 && !row.ended())
			ids.insert(row.id);
	return ids;
}

// The latest rows of `ids`. Comes back when all have ended or gone, or when
// `patience` is over, if there is one. The device tells of each end since it was
// opened, so that a list is needed only before the first and after the last.
outcome<std::vector<vm_info>> wait_for_ends(const device &to, std::span<const std::uint64_t> ids,
					    std::optional<milliseconds> patience)
{
	const auto start = clock::now();
	std::unordered_set<std::uint64_t> left;

	if (auto rows = rows_of(to, ids); !rows)
		return rows;
	else if (left = living(*rows); left.empty())
		return rows;
	while (!left.empty()) {
		const auto passed = std::chrono::duration_cast<milliseconds>(clock::now() - start);

		if (patience && passed >= *patience)
			break;

		const auto ended = to.ends(patience ? std::optional(*patience - passed) : std::nullopt);

		if (ended)
			for (const vm_end &one : *ended)
				left.erase(one.id);
		else if (ended.error().code == EPIPE)
			return wait_for_ends(to, ids, patience ? std::optional(*patience - passed) : std::nullopt);
		else if (ended.error().code != EINTR)
			return give_up(status::broken, ended.error());
	}
	return rows_of(to, ids);
}

outcome<milliseconds> parse_grace(const invocation &in)
{
	const auto text = in.value("time");

	if (!text)
		return default_grace;

	const auto grace = parse_seconds(*text);

	if (!grace)
		return bad_usage(fmt::format("-t {}: not a number of seconds", *text));
	return milliseconds(*grace);
}

} // namespace

int verb_start(const context &world, const invocation &in)
{
	return simple(world, in, operation::start, "started");
}

int verb_pause(const context &world, const invocation &in)
{
	return simple(world, in, operation::pause, "paused");
}

int verb_unpause(const context &world, const invocation &in)
{
	return simple(world, in, operation::resume, "resumed");
}

int verb_kill(const context &world, const invocation &in)
{
	return simple(world, in, operation::kill, "killed");
}

int verb_rm(const context &world, const invocation &in)
{
	const job work = CLI_TRY(world, job::begin(world, in));
	complaints wrong(world);

	for (const error &missing : work.picked.missing)
		wrong.add(missing);

	auto all = work.picked.vms;

	if (in.has("force")) {
		// What ends or goes meanwhile is no failure of a removal.
		for (chosen &one : all)
			one.by_name &= !is_alive(one.row);
		CLI_TRY(world, work.apply(operation::kill, those(all, is_alive), wrong));
	}

	const std::size_t count = CLI_TRY(world, work.apply(operation::remove, all, wrong));

	work.tell(world, "removed", count);
	sweep_firewall(world);
	return wrong.end();
}

int verb_stop(const context &world, const invocation &in)
{
	const milliseconds grace = in.has("force") ? milliseconds(0) : CLI_TRY(world, parse_grace(in));
	const job work = CLI_TRY(world, job::begin(world, in));
	complaints wrong(world);
	auto alive = those(work.picked.vms, is_alive);

	for (const error &missing : work.picked.missing)
		wrong.add(missing);
	// One that ends before it is asked has stopped.
	for (chosen &one : alive)
		one.by_name = false;

	const auto to_ask = those(alive, [](const vm_info &row) { return !is_unstarted(row); });
	auto to_kill = those(alive, is_unstarted);
	auto paused = those(to_ask, [](const vm_info &row) { return row.state == vm_state::paused; });

	CLI_TRY(world, work.apply(operation::notify, to_ask, wrong));
	// A paused guest cannot hear.
	CLI_TRY(world, work.apply(operation::resume, paused, wrong));

	std::vector<std::uint64_t> ids;

	for (const chosen &one : to_ask)
		ids.push_back(one.row.id);

	const auto latest = CLI_TRY(world, wait_for_ends(work.to, ids, grace));

	for (const vm_info &row : latest)
		if (row.id != 0 && !row.ended())
			to_kill.push_back({row, false});

	const std::size_t killed = CLI_TRY(world, work.apply(operation::kill, to_kill, wrong));

	work.tell(world, "stopped", alive.size(), killed > 0 ? fmt::format(" ({} had to be killed)", killed) : "");
	return wrong.end();
}

int verb_wait(const context &world, const invocation &in)
{
	const job work = CLI_TRY(world, job::begin(world, in));
	std::vector<std::uint64_t> ids;
	int last = work.picked.missing.empty() ? status::ok : status::broken;

	for (const error &missing : work.picked.missing)
		world.complain(missing);
	for (const chosen &one : work.picked.vms)
		ids.push_back(one.row.id);

	const auto latest = CLI_TRY(world, wait_for_ends(work.to, ids, std::nullopt));
	std::optional<json_array> array;

	if (in.has("json"))
		array.emplace(world.out);
	for (std::size_t i = 0; i < latest.size(); i++) {
		const vm_info &row = latest[i];
		const std::string &name = work.picked.vms[i].row.name;

		if (row.id == 0) {
			world.complain({ENOENT, name + ": was removed before its status could be read"});
			last = status::broken;
			continue;
		}
		last = exit_status(row);
		if (array)
			array->add_text(json_text(row));
		else
			world.out.print("{}\n", last);
		if (row.reason != end_reason::exited && row.reason != end_reason::killed)
			world.complain({EIO, fmt::format("{}: {}", name, row.end_text())});
	}
	return work.picked.missing.empty() ? last : status::broken;
}

} // namespace vmctl::cli
