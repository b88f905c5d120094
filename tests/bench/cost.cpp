// SPDX-License-Identifier: Apache-2.0
//
// cost [--json]: instructions per operation, Mayfly beside KVM. Means something
// only under `nested-host --icount`, with kvm_amd or kvm_intel loaded; see docs/benchmarks.md.

#include <array>
#include <cstddef>
#include <string_view>

#include "cost_kvm.hpp"
#include "cost_mayfly.hpp"

using namespace bench;

namespace
{

struct row {
	const char *key;
	double costs::*value;
	const char *goal;
	const char *meaning;
};

constexpr std::array rows{
	row{"create_cold", &costs::create_cold, "<= 16000", "create, start, first guest exit"},
	row{"create_own", &costs::create_own, "", "of that, in the calling thread (KVM: without waiting)"},
	row{"exit", &costs::exit, "<= 280", "unknown hypercall; KVM: out to an ioeventfd"},
	row{"exit_cpuid", &costs::exit_cpuid, "", "cpuid; on SVM KVM runs its emulator here (no NRIP save)"},
	row{"destroy", &costs::destroy, "<= 7000", "kill and remove; KVM: close, ns of waiting included"},
	row{"destroy_own", &costs::destroy_own, "", "of that, in the calling thread"},
	row{"destroy_deferred", &costs::destroy_deferred, "", "afterwards: RCU, workers"},
};

void print_part(const char *name, double value, const char *goal, const char *meaning)
{
	std::fprintf(stderr, "%-18s %12.0f %12s  %10s  %s\n", name, value, "", goal, meaning);
}

void print_table(const costs &ours, const costs &theirs, const parts &parts)
{
	std::fprintf(stderr, "%-18s %12s %12s  %10s\n", "instructions", "Mayfly", "KVM", "goal");
	for (const row &row : rows)
		std::fprintf(stderr, "%-18s %12.0f %12.0f  %10s  %s\n", row.key, ours.*row.value, theirs.*row.value,
			     row.goal, row.meaning);
	print_part("  spawn", parts.spawn, "", "SPAWN of 1000 without START, per VM");
	print_part("  run", parts.run, "", "START of those until all have parked, per VM");
	print_part("  first batch", parts.cold_first, "", "create_cold in memory never used before");
	print_part("  park and wake", parts.wake, "<= 1500", "NOTIFY of 1000 until all have parked again");
	print_part("  wake from cold", parts.wake_cold, "<= 20000", "the same after all have gone cold");
	print_part("  kill", parts.kill, "", "of destroy");
	print_part("  remove", parts.remove, "", "of destroy");
	print_part("  list", parts.list, "", "LIST of 1000, per VM");
}

void print_json(const costs &costs)
{
	const char *separator = "{";

	for (const row &row : rows) {
		std::printf("%s\"%s\": %.1f", separator, row.key, costs.*row.value);
		separator = ", ";
	}
	std::printf("}");
}

}

int main(int argc, char **argv)
{
	const bool json = argc == 2 && std::string_view(argv[1]) == "--json";

	if (argc > 1 && !json) {
		std::fprintf(stderr, "usage: cost [--json]\n");
		return 2;
	}
	check_clock();
	// One after the other: only one of them can have the CPU.
	const costs theirs = kvm().measure();
	parts parts;
	const costs ours = mayfly().measure(parts);

	print_table(ours, theirs, parts);
	if (json) {
		std::printf("{\"mayfly\": ");
		print_json(ours);
		std::printf(", \"kvm\": ");
		print_json(theirs);
		std::printf("}\n");
	}
	return 0;
}
