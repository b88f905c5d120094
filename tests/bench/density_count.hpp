// SPDX-License-Identifier: Apache-2.0
//
// What the n-th VM costs in instructions, and what all of them cost at rest. Means
// something only under `nested-host --icount`.

#pragma once

#include "crowd.hpp"
#include "measure.hpp"

namespace bench
{

class count final {
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
		report_->limit("others_percent",
			       fmt::format("instructions of others with {} VMs parked, of all", crowd_->size()),
			       others(), others_limit, "%");
		end_all();
	}

private:
	static constexpr std::uint32_t batch = 1000;
	static constexpr std::uint64_t window = 1'000'000'000; // ticks
	static constexpr double growth_limit = 1.2;
	static constexpr double others_limit = 1; // percent

	static double others() { return 100 * taken_by_others(window) / static_cast<double>(window); }

	template <class Work>
	static double ticks_of(Work work)
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

	void end_all()
	{
		const auto vms = static_cast<double>(crowd_->size());

		report_->note("kill", "kill, each", ticks_of([&] { crowd_->kill(crowd_->size()); }) / vms,
			      "instructions");
		report_->note("remove", "remove, each", ticks_of([&] { crowd_->remove(crowd_->size()); }) / vms,
			      "instructions");
	}

	crowd *crowd_;
	report *report_;
	std::uint32_t vms_;
};

}
