// SPDX-License-Identifier: Apache-2.0
//
// What the machine under the VMs says of itself: memory, slabs, threads, CPU time.

#pragma once

#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <unistd.h>

#include "report.hpp"

namespace bench
{

using namespace std::chrono_literals;

inline void write_file(const std::string &path, std::string_view text)
{
	std::ofstream file(path);

	file << text << std::flush;
	if (!file)
		bail_out(path + ": cannot write");
}

inline std::optional<long> read_number(const std::string &path)
{
	long number = 0;

	if (std::ifstream(path) >> number)
		return number;
	return std::nullopt;
}

/// When to give up on what ought to happen soon.
inline std::chrono::steady_clock::time_point give_up_at()
{
	return std::chrono::steady_clock::now() + 60s;
}

/// Asks every \p pause until \p condition holds; false when that takes too long.
template <class Condition> bool wait_until(Condition condition, std::chrono::milliseconds pause = 10ms)
{
	const auto end = give_up_at();

	while (!condition()) {
		if (std::chrono::steady_clock::now() > end)
			return false;
		std::this_thread::sleep_for(pause);
	}
	return true;
}

/// The same, letting others have the CPU in between but never idle.
template <class Condition> bool wait_awake(Condition condition)
{
	const auto end = give_up_at();

	while (!condition()) {
		if (std::chrono::steady_clock::now() > end)
			return false;
		std::this_thread::yield();
	}
	return true;
}

// --- memory -----------------------------------------------------------------

/// Free pages that wait on the CPUs' own lists, in KiB: tens of MiB come and go
/// there, and no line of /proc/meminfo counts them as free.
inline double free_on_cpus()
{
	std::ifstream file("/proc/zoneinfo");
	std::string word;
	double pages = 0, value = 0;

	while (file >> word)
		if (word == "count:" && file >> value)
			pages += value;
	return pages * 4;
}

/// A line of /proc/meminfo, in KiB.
inline double meminfo(std::string_view wanted)
{
	std::ifstream file("/proc/meminfo");
	std::string name;
	double value = 0;

	while (file >> name >> value) {
		if (name == wanted)
			return value;
		std::getline(file, name);
	}
	bail_out("/proc/meminfo has no " + std::string(wanted));
}

/// A line of /proc/meminfo that counts free pages, and the CPUs' free pages, in
/// KiB. The page cache is dropped first, and what each CPU has counted is summed
/// up. Slabs are not dropped: that would make VMs cold.
inline double memory(std::string_view wanted)
{
	write_file("/proc/sys/vm/drop_caches", "1");
	read_number("/proc/sys/vm/stat_refresh");
	return meminfo(wanted) + free_on_cpus();
}

// --- slab -------------------------------------------------------------------

/// What SLUB tells of its cache \p name.
inline std::string slab_file(const std::string &name, const char *file)
{
	return "/sys/kernel/slab/" + name + "/" + file;
}

/// Objects of a slab cache. Shrinking first, as SLUB counts all objects of a CPU's
/// own slab as used.
inline long slab_objects(const std::string &name = "mayfly_vm")
{
	write_file(slab_file(name, "shrink"), "1");
	return read_number(slab_file(name, "objects")).value_or(-1);
}

/// Whether the cache of VMs holds nothing else, which takes slab_nomerge.
inline bool slab_is_ours()
{
	return read_number(slab_file("mayfly_vm", "aliases")) == 0;
}

// --- the module's settings --------------------------------------------------

/// After how many ms parked VMs go cold; 0 is never by age. Not in every module.
inline constexpr const char *cold_age = "/sys/module/mayfly/parameters/cold_after_ms";

inline bool can_go_cold()
{
	return read_number(cold_age).has_value();
}

/// Sets it; what it was.
inline long set_cold_age(long ms)
{
	const auto before = read_number(cold_age);

	if (before)
		write_file(cold_age, std::to_string(ms));
	return before.value_or(0);
}

// --- CPU time ---------------------------------------------------------------

/// Seconds that the CPUs have been idle, together. How long they were busy the
/// kernel only estimates.
inline double idle_seconds()
{
	std::ifstream file("/proc/stat");
	std::string cpu;
	double user = 0, nice = 0, system = 0, idle = 0, waiting = 0;

	if (!(file >> cpu >> user >> nice >> system >> idle >> waiting))
		bail_out("/proc/stat cannot be read");
	return (idle + waiting) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// Sleeps for \p window; what the CPUs were busy meanwhile, in percent of one.
inline double busy_percent(std::chrono::seconds window)
{
	const auto start = std::chrono::steady_clock::now();
	const double idle = idle_seconds();

	std::this_thread::sleep_for(window);
	const double rested = idle_seconds() - idle;
	const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
	const auto cpus = static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));

	return std::max(0.0, 100 * (cpus * passed.count() - rested) / passed.count());
}

// --- arithmetic -------------------------------------------------------------

/// Least squares, by the number of the reading.
inline double slope(const std::vector<double> &values)
{
	const double n = static_cast<double>(values.size());
	const double middle = (n - 1) / 2;
	const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
	double above = 0, below = 0, x = -middle;

	for (double value : values) {
		above += x * (value - mean);
		below += x * x;
		x++;
	}
	return above / below;
}

}
