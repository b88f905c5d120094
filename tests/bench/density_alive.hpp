// SPDX-License-Identifier: Apache-2.0
//
// Many VMs alive at once: what they hold, and how long it takes to make, see, wake
// and end them. Times are wall times, that of CPUs at rest too: what an idle kernel
// takes grows with whatever else runs below the emulator. What VMs at rest add to it
// is counted in density_count.hpp.

#pragma once

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "crowd.hpp"
#include "measure.hpp"

namespace bench
{

class alive final
{
public:
	/// With \p wanted_cold_age VMs go cold at this age (ms) once they have been
	/// weighed, else as the module is set.
	alive(crowd &crowd, report &report, std::uint32_t vms, std::optional<long> wanted_cold_age)
		: crowd_(&crowd), report_(&report), vms_(vms), wanted_cold_age_(wanted_cold_age)
	{
	}

	void measure()
	{
		const long module_cold_age = set_cold_age(0);

		run("vmctl version"); // In memory from now on.
		crowd_->spawn(1);     // What is made once, for the first VM, is not counted.
		report_->note("busy_before_percent", "CPU time with one VM, of one CPU", busy(), "%");
		weigh();
		set_cold_age(wanted_cold_age_.value_or(module_cold_age));
		spawn_until(vms_);
		judge_rest();
		look();
		wake_some();
		end_all();
	}

private:
	static constexpr std::uint32_t batch = 1000;
	static constexpr std::uint32_t weighed_at = 10'000;
	static constexpr std::uint32_t timed_up_to = 100'000;
	static constexpr std::size_t woken = 1000;
	static constexpr double cold_limit = 12; // KiB
	static constexpr double ps_limit = 1;    // s
	static constexpr double end_limit = 60;  // s

	[[nodiscard]] bool is_svm() const { return crowd_->info().backend == vmctl::cpu_backend::svm; }
	[[nodiscard]] double warm_limit() const { return is_svm() ? 36 : 32; }

	// Seconds that some work takes.
	template <class Work> static double seconds(Work work)
	{
		const auto start = std::chrono::steady_clock::now();

		work();
		return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
	}

	// Runs a command that must work. Lines it has printed.
	static std::size_t run(const std::string &command)
	{
		std::array<char, 65536> buffer;
		std::FILE *pipe = popen((command + " 2>/dev/null").c_str(), "re");
		std::size_t got, lines = 0;

		if (!pipe)
			die("popen");
		while ((got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0)
			lines += static_cast<std::size_t>(std::count(buffer.begin(), buffer.begin() + got, '\n'));
		if (pclose(pipe) != 0)
			bail_out(command + ": failed");
		return lines;
	}

	// The least of three: what VMs took all the time would be in each.
	static double busy()
	{
		double least = busy_percent(5s);

		for (unsigned i = 1; i < 3; i++)
			least = std::min(least, busy_percent(5s));
		return least;
	}

	// The median of three.
	static double time_of(const std::string &command)
	{
		std::vector<double> times;

		for (unsigned i = 0; i < 3; i++)
			times.push_back(seconds([&] { run(command); }));
		return median(times);
	}

	// Tells of the batches that end with the 1,000th VM, the 10,000th and so on, and
	// of the last.
	void spawn_until(std::uint32_t wanted)
	{
		std::uint32_t milestone = batch;

		while (crowd_->size() < wanted) {
			const auto size = static_cast<std::uint32_t>(crowd_->size());
			const auto count = std::min(batch - size % batch, wanted - size);
			const double taken = seconds([&] { crowd_->spawn(count); });

			while (milestone < crowd_->size())
				milestone *= 10;
			if (crowd_->size() == milestone || crowd_->size() == vms_)
				report_->note(fmt::format("spawn_{}_us", crowd_->size()).c_str(),
					      fmt::format("spawn of {} up to VM {}, until parked, each", count,
							  crowd_->size()),
					      taken / count * 1e6, "us");
		}
	}

	// The slope between a tenth of the VMs and all, or at 10,000: those of the tenth
	// are cold at every reading if this module makes any so.
	void weigh()
	{
		const std::uint32_t high = std::min(vms_, weighed_at), low = high / 10;
		const double difference = high - low;

		spawn_until(low);
		const bool cold_at_low = can_go_cold() && crowd_->make_cold();
		const double at_low = memory("MemAvailable:");
		const double told_at_low = crowd_->told();
		spawn_until(high);
		const double warm = memory("MemAvailable:");

		report_->note("warm_told_kib", "private_bytes of warm VMs, mean",
			      (crowd_->told() - told_at_low) / difference, "KiB");
		report_->limit("warm_kib",
			       fmt::format("memory per warm VM by MemAvailable, from VM {} to {}", low, high),
			       (at_low - warm) / difference, warm_limit(), "KiB");
		if (!cold_at_low || !crowd_->make_cold()) {
			report_->check(false, can_go_cold() ? fmt::format("only {} of {} VMs go cold",
									  crowd_->info().cold, crowd_->size())
							    : "this module's VMs never go cold");
			return;
		}
		const double cold = memory("MemAvailable:");
		report_->note("cold_told_kib", "private_bytes of cold VMs, mean",
			      crowd_->told() / static_cast<double>(crowd_->size()), "KiB");
		report_->limit("cold_kib",
			       fmt::format("memory per cold VM by MemAvailable, from VM {} to {}", low, high),
			       (at_low - cold) / difference, cold_limit, "KiB");
	}

	// At rest they are once they have gone cold, which takes CPU time too.
	void judge_rest() const
	{
		if (read_number(cold_age).value_or(0) > 0) {
			report_->note("busy_cooling_percent", "CPU time while they go cold, of one CPU",
				      busy_percent(5s), "%");
			const bool cold = wait_until([&] { return crowd_->info().cold >= vms_; });
			report_->check(cold, fmt::format("{} VMs have gone cold by age", crowd_->info().cold));
		}
		report_->check(all_parked(), fmt::format("{} VMs alive, all parked", vms_));
		report_->note("busy_percent", fmt::format("CPU time with {} VMs parked, of one CPU", vms_), busy(),
			      "%");
	}

	[[nodiscard]] bool all_parked() const
	{
		const auto rows = must(crowd_->device().list());

		return rows.size() == vms_ &&
		       std::ranges::all_of(rows, [](const auto &row) { return row.state == vmctl::vm_state::parked; });
	}

	// A time; its limit is for crowds up to a certain size, and not for VT-x: in
	// Bochs a second is what the clock of a CPU of 50 MHz says.
	void judge_time(const char *key, const std::string &what, double time, double limit) const
	{
		if (vms_ <= timed_up_to && is_svm())
			report_->limit(key, what, time, limit, "s");
		else
			report_->note(key, what, time, "s");
	}

	void look() const
	{
		const auto lines = run("vmctl ps");

		report_->check(lines == vms_ + 1, fmt::format("vmctl ps shows {} lines", lines));
		judge_time("ps_s", "vmctl ps, median of three", time_of("vmctl ps"), ps_limit);
		report_->note("ps_json_s", "vmctl ps --json", time_of("vmctl ps --json"), "s");
		report_->note("inspect_s", "vmctl inspect of one",
			      time_of(fmt::format("vmctl inspect {}", crowd_->ids()[crowd_->size() / 2])), "s");
	}

	[[nodiscard]] vmctl::vm_stat stat_of(std::uint64_t id) const
	{
		return must(must(crowd_->device().open_vm(id)).stat());
	}

	// An event on a port of no meaning: hello looks which it was and waits again.
	void wake_some() const
	{
		auto chosen = crowd_->ids();
		std::vector<vmctl::vm_stat> before;
		std::size_t answered = 0;

		std::ranges::shuffle(chosen, std::mt19937(std::random_device{}()));
		chosen.resize(std::min(woken, chosen.size()));
		for (auto id : chosen)
			before.push_back(stat_of(id));
		const auto warmed = crowd_->info().warmed;
		const double taken = seconds([&] {
			must(crowd_->device().control(vmctl::operation::notify, chosen, 1));
			for (std::size_t i = 0; i < chosen.size(); i++)
				answered += wait_until([&] { return has_answered(before[i]); });
		});
		report_->check(answered == chosen.size(),
			       fmt::format("{} of {} VMs picked at random have answered an event", answered,
					   chosen.size()));
		report_->note("answers_s", "until the last answer was seen", taken, "s");
		report_->note("warmed", "of these VMs were cold", static_cast<double>(crowd_->info().warmed - warmed),
			      "VMs");
	}

	// It has run guest code since, which has called wait again.
	[[nodiscard]] bool has_answered(const vmctl::vm_stat &before) const
	{
		const auto now = stat_of(before.info.id);

		return now.parked > before.parked && now.info.state == vmctl::vm_state::parked &&
		       now.exits[vmctl::exit_reason::hypercall] > before.exits[vmctl::exit_reason::hypercall];
	}

	void end_all()
	{
		const double kill = seconds([&] { run("vmctl kill --all"); });
		const double remove = seconds([&] { run("vmctl rm --all"); });

		crowd_->forget();
		report_->note("kill_s", "vmctl kill --all", kill, "s");
		report_->note("remove_s", "vmctl rm --all", remove, "s");
		judge_time("end_s", fmt::format("kill and remove {} VMs", vms_), kill + remove, end_limit);
		crowd_->wait_for_structures();
		check_empty(*crowd_, *report_, "after the end");
	}

	crowd *crowd_;
	report *report_;
	std::uint32_t vms_;
	std::optional<long> wanted_cold_age_;
};

}
