// SPDX-License-Identifier: Apache-2.0
//
// memory [--json] IMAGE: what a thousand parked VMs take, whether all of it comes
// back, and whether it still does after ten rounds. Prints TAP, one line a check;
// exits with 1 when a limit is missed. Meant for a freshly booted nested host
// with slab_nomerge; see docs/benchmarks.md.

#include <cstdio>
#include <string_view>

#include "crowd.hpp"

using namespace bench;

namespace
{

constexpr std::uint32_t vms = 1000, quarter = 250;
constexpr unsigned cycles = 10;
constexpr double vm_limit = 64;    // KiB of a VM
constexpr double slope_limit = 64; // KiB a cycle

void measure_vms(crowd &crowd, report &report)
{
	crowd.spawn(1); // What is made once, for the first VM, is not counted.
	const double before = memory("MemAvailable:");
	crowd.spawn(quarter);
	const double at_quarter = memory("MemAvailable:");
	crowd.spawn(vms - quarter);
	const double at_end = memory("MemAvailable:");

	report.note("slope_per_vm_kib", fmt::format("per VM between VM {} and {}", quarter, vms),
		    (at_quarter - at_end) / (vms - quarter), "KiB");
	report.note("private_bytes_kib", "private_bytes of the rows, mean", crowd.told() / (vms + 1), "KiB");
	report.limit("per_vm_kib", "memory per VM by MemAvailable, 1000 hello VMs parked", (before - at_end) / vms,
		     vm_limit, "KiB");
}

void measure_cycles(crowd &crowd, report &report)
{
	std::vector<double> free;

	for (unsigned cycle = 1; cycle <= cycles; cycle++) {
		crowd.spawn(vms);
		crowd.remove_all();
		std::this_thread::sleep_for(100ms); // Others' RCU callbacks and work items.
		const double now = memory("MemFree:");
		report::remark(fmt::format("cycle {}: MemFree {:.0f} KiB", cycle, now));
		if (cycle > 1)
			free.push_back(now);
	}
	report.limit("cycle_slope_kib", "MemFree lost per cycle, cycles 2 to 10", -slope(free), slope_limit, "KiB");
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
	report report(json);
	crowd crowd(device, load());

	set_cold_age(0); // What a VM holds that may run at any time.
	measure_vms(crowd, report);
	crowd.remove_all();
	check_empty(crowd, report, "after the first thousand");
	crowd.use(load());
	measure_cycles(crowd, report);
	check_empty(crowd, report, "after ten cycles");
	return report.end();
}
