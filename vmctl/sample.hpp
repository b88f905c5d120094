// SPDX-License-Identifier: Apache-2.0
// Counters of many VMs at one time, and what they say beside an earlier time's.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "select.hpp"

namespace vmctl::cli
{

using sample_clock = std::chrono::steady_clock;

// What a VM did in a second, on average between two readings.
struct pace {
	double cpu_percent = 0; // of one CPU
	double exits = 0;
	by_exit_reason<double> exits_by_reason{};

	pace &operator+=(const pace &more);
};

// One VM's counters.
struct reading {
	sample_clock::time_point taken;
	vm_stat stat{};              // only `info`, unless STAT was asked
	std::optional<pace> speed{}; // once compared with an earlier one
};

// Those of all VMs that are looked at.
struct sample {
	sample_clock::time_point taken;
	std::vector<reading> vms;

	// Sets the speed of each. A VM that `before` does not have was made since, and
	// its counters started from zero.
	void compare(const sample &before);
};

// Asks STAT about each (OPEN, STAT and close: three calls). Those that have gone
// meanwhile are taken out.
outcome<void> ask_counters(const device &from, std::vector<reading> &vms);

// The VMs that a command line means, as they come and go.
class audience
{
public:
	// Without words: all, the ended ones only if `ended_too`. With words, those they
	// mean: a glob or a range always whatever fits it, all else the VM it means now.
	static outcome<audience> gather(const device &from, std::span<const std::string> words, bool ended_too);

	// Words that mean nothing, and will not be looked for again.
	[[nodiscard]] const std::vector<error> &missing() const { return missing_; }
	// True when that is all of them.
	[[nodiscard]] bool is_nobody() const { return words_.empty() && !missing_.empty(); }

	// What LIST tells: one call for up to 1,024 VMs, then one for every 65,536.
	[[nodiscard]] outcome<sample> look(const device &from) const;

	// True when no later sample can say more than `last`: all have ended, and no
	// other can join them.
	[[nodiscard]] bool is_over(const sample &last) const;

private:
	std::vector<std::string> words_;
	std::vector<error> missing_;
	bool ended_too_ = false;
	bool can_grow_ = false;
};

} // namespace vmctl::cli
