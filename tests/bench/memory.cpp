// SPDX-License-Identifier: Apache-2.0
//
// memory [--json] IMAGE: what a thousand parked VMs take, whether all of it comes
// back, and whether it still does after ten rounds. Prints TAP, one line a check;
// exits with 1 when a limit is missed. Meant for a freshly booted nested host
// with slab_nomerge; see docs/benchmarks.md.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <vmctl/vmctl.hpp>

namespace
{

using namespace std::chrono_literals;

constexpr std::uint32_t vms = 1000, quarter = 250;
constexpr unsigned cycles = 10;
constexpr double vm_limit = 64;	   // KiB of a VM
constexpr double slope_limit = 64; // KiB a cycle
constexpr auto patience = 60s;
constexpr const char *slab = "/sys/kernel/slab/mayfly_vm/";

[[noreturn]] void die(const std::string &what)
{
	std::printf("Bail out! %s\n", what.c_str());
	std::exit(1);
}

template <class T>
T must(vmctl::result<T> result)
{
	if (!result)
		die(result.error().what);
	return *std::move(result);
}

void write(const std::string &path, std::string_view text)
{
	std::ofstream file(path);

	file << text << std::flush;
	if (!file)
		die(path + ": cannot write");
}

std::optional<long> read_number(const std::string &path)
{
	long number = 0;

	if (std::ifstream(path) >> number)
		return number;
	return std::nullopt;
}

// Free pages that wait on the CPUs' own lists, in KiB: tens of MiB come and go
// there, and no line of /proc/meminfo counts them as free.
double free_on_cpus()
{
	std::ifstream file("/proc/zoneinfo");
	std::string word;
	double pages = 0, value = 0;

	while (file >> word)
		if (word == "count:" && file >> value)
			pages += value;
	return pages * 4;
}

// A line of /proc/meminfo and the CPUs' free pages, in KiB. The page cache and
// what free slabs hold are dropped first, and what each CPU has counted is summed
// up.
double memory(std::string_view wanted)
{
	std::string name;
	double value = 0;

	write("/proc/sys/vm/drop_caches", "3");
	read_number("/proc/sys/vm/stat_refresh");
	std::ifstream file("/proc/meminfo");
	while (file >> name >> value) {
		if (name == wanted)
			return value + free_on_cpus();
		std::getline(file, name);
	}
	die("/proc/meminfo has no " + std::string(wanted));
}

template <class Condition>
bool wait_until(Condition condition)
{
	const auto end = std::chrono::steady_clock::now() + patience;

	while (!condition()) {
		if (std::chrono::steady_clock::now() > end)
			return false;
		std::this_thread::sleep_for(10ms);
	}
	return true;
}

// Objects of the slab cache of VMs. Shrinking first, as SLUB counts all objects of
// a CPU's own slab as used.
long slab_objects()
{
	write(std::string(slab) + "shrink", "1");
	return read_number(std::string(slab) + "objects").value_or(-1);
}

class report final {
public:
	explicit report(unsigned checks) { std::printf("1..%u\n", checks); }

	void check(bool good, const std::string &text)
	{
		failed_ += !good;
		std::printf("%s %u %s%s\n", good ? "ok" : "not ok", ++number_, good ? "" : "FAIL: ",
			    text.c_str());
		std::fflush(stdout);
	}

	[[nodiscard]] bool passed() const { return !failed_; }

private:
	unsigned number_ = 0, failed_ = 0;
};

std::string in_kib(const char *what, double value, double limit)
{
	std::array<char, 200> text{};

	std::snprintf(text.data(), text.size(), "%s: %.1f KiB (limit %.0f)", what, value, limit);
	return text.data();
}

struct results {
	double per_vm = 0, slope_per_vm = 0, told = 0, cycle_slope = 0;
};

class bench final {
public:
	bench(vmctl::device &device, vmctl::image image) : device_(&device), image_(std::move(image)) {}

	// Makes VMs and waits until every one has parked.
	void spawn(std::uint32_t count)
	{
		const auto wanted = info().parked + count;
		auto made = device_->spawn(*image_, {.count = count});

		if (made.failure)
			die(made.failure->what);
		ids_.insert(ids_.end(), made.ids.begin(), made.ids.end());
		if (!wait_until([&] { return info().parked >= wanted; }))
			die("VMs do not park");
	}

	void remove_all()
	{
		all(vmctl::operation::kill);
		all(vmctl::operation::remove);
		ids_.clear();
		if (!wait_until([] { return slab_objects() <= 0; }))
			std::printf("# %ld VM structures stay\n", slab_objects());
	}

	void close_image() { image_.reset(); }
	void use(vmctl::image image) { image_ = std::move(image); }

	// KiB that the VMs hold, as their rows tell.
	[[nodiscard]] double told() const
	{
		double sum = 0;

		for (const auto &row : must(device_->list(ids_.front(), ids_.back())))
			sum += static_cast<double>(row.raw().private_bytes);
		return sum / 1024;
	}

	[[nodiscard]] mayfly_info info() const { return must(device_->info()); }

private:
	void all(vmctl::operation what)
	{
		for (int error : must(device_->control(what, ids_)))
			if (error)
				die("a VM refused: " + vmctl::errno_text(error));
	}

	vmctl::device *device_;
	std::optional<vmctl::image> image_;
	std::vector<std::uint64_t> ids_;
};

void measure_vms(bench &bench, report &report, results &results)
{
	bench.spawn(1); // What is made once, for the first VM, is not counted.
	const double before = memory("MemAvailable:");
	bench.spawn(quarter);
	const double at_quarter = memory("MemAvailable:");
	bench.spawn(vms - quarter);
	const double at_end = memory("MemAvailable:");

	results.per_vm = (before - at_end) / vms;
	results.slope_per_vm = (at_quarter - at_end) / (vms - quarter);
	results.told = bench.told() / (vms + 1);
	std::printf("# between VM %u and %u: %.1f KiB per VM; private_bytes tells %.1f\n", quarter,
		    vms, results.slope_per_vm, results.told);
	report.check(results.per_vm <= vm_limit,
		     in_kib("memory per VM by MemAvailable, 1000 hello VMs parked", results.per_vm,
			    vm_limit));
}

void check_empty(bench &bench, report &report, const std::string &when)
{
	bench.close_image();
	// Pools go by a work item, structures after a grace period of RCU.
	wait_until([&] { return !bench.info().pools && slab_objects() <= 0; });

	const auto info = bench.info();
	report.check(!info.vms && !info.images && !info.pools && !info.pages,
		     "counters " + when + ": " + std::to_string(info.vms) + " VMs, " +
			     std::to_string(info.images) + " images, " + std::to_string(info.pools) +
			     " pools, " + std::to_string(info.pages) + " pages");
	const long objects = slab_objects();
	const long shared = read_number(std::string(slab) + "aliases").value_or(-1);
	report.check(!objects && !shared,
		     "slab objects " + when + ": " + std::to_string(objects) +
			     (shared ? ", but other caches are merged with it: boot with slab_nomerge" : ""));
}

// Least squares, by the number of the cycle.
double slope(const std::vector<double> &values)
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

void measure_cycles(bench &bench, report &report, results &results)
{
	std::vector<double> free;

	for (unsigned cycle = 1; cycle <= cycles; cycle++) {
		bench.spawn(vms);
		bench.remove_all();
		std::this_thread::sleep_for(100ms); // Others' RCU callbacks and work items.
		const double now = memory("MemFree:");
		std::printf("# cycle %u: MemFree %.0f KiB\n", cycle, now);
		if (cycle > 1)
			free.push_back(now);
	}
	results.cycle_slope = -slope(free);
	report.check(results.cycle_slope <= slope_limit,
		     in_kib("MemFree lost per cycle, cycles 2 to 10", results.cycle_slope, slope_limit));
}

}

int main(int argc, char **argv)
{
	const bool json = argc == 3 && std::string_view(argv[1]) == "--json";

	if (argc != 2 && !json) {
		std::fprintf(stderr, "usage: memory [--json] IMAGE\n");
		return 2;
	}
	vmctl::posix_system system;
	vmctl::device device = must(vmctl::device::open(system));
	const auto elf = must(system.read_file(argv[argc - 1], 1 << 20));
	const auto load = [&] { return must(device.load_image(elf, "hello")); };
	report report(6);
	results results;
	bench bench(device, load());

	measure_vms(bench, report, results);
	bench.remove_all();
	check_empty(bench, report, "after the first thousand");
	bench.use(load());
	measure_cycles(bench, report, results);
	check_empty(bench, report, "after ten cycles");

	if (json)
		std::printf("{\"per_vm_kib\": %.2f, \"slope_per_vm_kib\": %.2f, \"private_bytes_kib\": %.2f, "
			    "\"cycle_slope_kib\": %.2f, \"passed\": %s}\n",
			    results.per_vm, results.slope_per_vm, results.told, results.cycle_slope,
			    report.passed() ? "true" : "false");
	return report.passed() ? 0 : 1;
}
