// SPDX-License-Identifier: Apache-2.0
#include "sample.hpp"

#include <algorithm>
#include <cerrno>
#include <unordered_map>

namespace vmctl::cli
{

namespace
{

// Never negative: where one side is from LIST, its exits by reason are zero.
double per_second(std::uint64_t before, std::uint64_t now, double seconds)
{
	return now > before && seconds > 0 ? static_cast<double>(now - before) / seconds : 0;
}

pace pace_between(const reading &before, const reading &now)
{
	const double seconds = std::chrono::duration<double>(now.taken - before.taken).count();
	pace speed;

	speed.cpu_percent = 100 * per_second(before.stat.info.cpu_ns, now.stat.info.cpu_ns, 1e9 * seconds);
	speed.exits = per_second(before.stat.info.exits, now.stat.info.exits, seconds);
	for (const exit_reason reason : all_exit_reasons)
		speed.exits_by_reason[reason] = per_second(before.stat.exits[reason], now.stat.exits[reason], seconds);
	return speed;
}

} // namespace

pace &pace::operator+=(const pace &more)
{
	cpu_percent += more.cpu_percent;
	exits += more.exits;
	exits_by_reason += more.exits_by_reason;
	return *this;
}

void sample::compare(const sample &before)
{
	std::unordered_map<std::uint64_t, const reading *> earlier;
	const reading unborn{.taken = before.taken};

	for (const reading &one : before.vms)
		earlier.emplace(one.stat.info.id, &one);
	for (reading &one : vms) {
		const auto found = earlier.find(one.stat.info.id);

		one.speed = pace_between(found == earlier.end() ? unborn : *found->second, one);
	}
}

outcome<void> ask_counters(const device &from, std::vector<reading> &vms)
{
	std::vector<reading> there;

	there.reserve(vms.size());
	for (reading &one : vms) {
		const auto opened = from.open_vm(one.stat.info.id);

		if (!opened && opened.error().code == ENOENT)
			continue;

		const auto stat = opened ? opened->stat() : std::unexpected(opened.error());

		if (!stat)
			return give_up(status::broken, stat.error());
		one.stat = *stat;
		one.taken = sample_clock::now();
		there.push_back(one);
	}
	vms = std::move(there);
	return {};
}

outcome<audience> audience::gather(const device &from, std::span<const std::string> words, bool ended_too)
{
	audience made;

	made.ended_too_ = ended_too;
	made.can_grow_ = words.empty();
	if (words.empty())
		return made;

	const auto rows = from.list();

	if (!rows)
		return give_up(status::broken, rows.error());
	for (const std::string &word : words) {
		const auto wanted = selector::parse(word);

		if (!wanted)
			return std::unexpected(wanted.error());

		const auto found = wanted->match(*rows);

		if (!found) {
			made.missing_.push_back(found.error().cause);
			continue;
		}
		// By its id: the name may soon be another's, or no longer the only one that
		// starts like this.
		made.words_.push_back(wanted->is_set() ? word : std::to_string((*rows)[found->front()].id));
		made.can_grow_ |= wanted->is_set();
	}
	return made;
}

outcome<sample> audience::look(const device &from) const
{
	auto shown = select_shown(from, words_, ended_too_);
	sample made{.taken = sample_clock::now(), .vms = {}};

	if (!shown)
		return std::unexpected(shown.error());
	made.vms.reserve(shown->rows.size());
	for (vm_info &row : shown->rows)
		made.vms.emplace_back(reading{.taken = made.taken}).stat.info = std::move(row);
	return made;
}

bool audience::is_over(const sample &last) const
{
	return !can_grow_ && std::ranges::all_of(last.vms, [](const reading &one) { return one.stat.info.ended(); });
}

} // namespace vmctl::cli
