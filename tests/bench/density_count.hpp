// SPDX-License-Identifier: Apache-2.0
//
// What the n-th VM costs in instructions, and what all of them cost at rest. Means
// something only under `nested-host --icount`.

#pragma once

#include "crowd.hpp"
#include "measure.hpp"

namespace bench
{

class count final
{
public:
	count(crowd &crowd, report &report, std::uint32_t vms) : crowd_(&crowd), report_(&report), vms_(vms) {}

	void measure()
	{
		check_clock();
		set_cold_age(0);
		crowd_->spawn(1); // Turning the hardware on is not measured.
		report_->note("others_before_percent", "instructions of others with one VM, of all", others(), "%");
		const double first = spawn_batch();
		report_->note("spawn_first", "spawn of the first 1000, until parked, each", first, "instructions");
		const double last = spawn_rest(first);
		report_->note("spawn_last", fmt::format("spawn of those up to VM {}, each", crowd_->size()), last,
			      "instructions");
		report_->limit("spawn_growth", "last spawn by first", last / first, growth_limit, "times");
		judge_others("others_percent", "parked");
		end(batch, "warm");
		if (!go_cold())
			report_->check(false,
				       fmt::format("only {} of {} VMs go cold", crowd_->info().cold, crowd_->size()));
		judge_others("others_cold_percent", "parked and cold");
		end(crowd_->size(), "cold");
	}

private:
	static constexpr std::uint32_t batch = 1000;
	static constexpr std::uint64_t window = 1'000'000'000; // ticks
	static constexpr long cold_after = 1000;               // ms
	static constexpr double growth_limit = 1.2;
	static constexpr double others_limit = 1; // percent

	void judge_others(const char *key, const char *how) const
	{
		report_->limit(key, fmt::format("instructions of others with {} VMs {}, of all", crowd_->size(), how),
			       others(), others_limit, "%");
	}

	// By age, as they do where nobody asks: what looks for old ones stays at work.
	[[nodiscard]] bool go_cold() const
	{
		set_cold_age(cold_after);
		return wait_until([&] { return crowd_->info().cold >= crowd_->size(); });
	}

	static double others() { return 100 * taken_by_others(window) / static_cast<double>(window); }

	template <class Work> static double ticks_of(Work work)
	{
		const std::uint64_t start = ticks();

		work();
		return static_cast<double>(ticks() - start);
	}

	double spawn_batch()
	{
		return ticks_of([&] { crowd_->spawn(batch); }) / batch;
	}

	// What each of the last batch took.
	double spawn_rest(double last)
	{
		for (std::uint32_t next = 10 * batch; crowd_->size() < vms_;) {
			last = spawn_batch();
			if (crowd_->size() < next || crowd_->size() >= vms_)
				continue;
			report_->note(fmt::format("spawn_{}", next).c_str(),
				      fmt::format("spawn of those up to VM {}, each", crowd_->size()), last,
				      "instructions");
			next *= 10;
		}
		return last;
	}

	void end(std::size_t number, const std::string &how)
	{
		const auto vms = static_cast<double>(number);

		report_->note(("kill_" + how).c_str(), "kill, each, " + how,
			      ticks_of([&] { crowd_->kill(number); }) / vms, "instructions");
		report_->note(("remove_" + how).c_str(), "remove, each, " + how,
			      ticks_of([&] { crowd_->remove(number); }) / vms, "instructions");
	}

	crowd *crowd_;
	report *report_;
	std::uint32_t vms_;
};

}
