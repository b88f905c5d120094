// SPDX-License-Identifier: Apache-2.0
//
// saves [--json] IMAGE: what vmctl save and restore cost, in instructions of the process
// from its start to its end, the kernel's for it included, to a thousand. Prints TAP. Means
// something only under `nested-host --icount`; see docs/benchmarks.md.

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <mayfly.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "crowd.hpp"
#include "measure.hpp"
#include "report.hpp"

using namespace bench;

namespace
{

constexpr unsigned readings = 9;
constexpr std::uint64_t large = 64 << 20;

double ticks_of(const rusage &used)
{
	const auto microseconds = [](const timeval &time) {
		return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
	};

	return 1000 * (microseconds(used.ru_utime) + microseconds(used.ru_stime));
}

/// Runs vmctl and waits for it: ticks of its own.
double vmctl_takes(const std::vector<std::string> &words)
{
	std::vector<char *> argv{const_cast<char *>("vmctl")};
	posix_spawn_file_actions_t actions;
	rusage used{};
	int status = 0;
	pid_t child;

	for (const std::string &word : words)
		argv.push_back(const_cast<char *>(word.c_str()));
	argv.push_back(nullptr);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&child, "build/vmctl", &actions, nullptr, argv.data(), environ) != 0 ||
	    wait4(child, &status, 0, &used) != child || status != 0)
		bail_out(fmt::format("vmctl {} has failed", words.front()));
	posix_spawn_file_actions_destroy(&actions);
	return ticks_of(used);
}

/// The median of several, after one that reads files; \p undo follows each.
template <class Undo> double median_of(const std::vector<std::string> &words, Undo undo)
{
	std::vector<double> all;

	for (unsigned i = 0; i <= readings; i++) {
		const double took = vmctl_takes(words);

		if (i > 0)
			all.push_back(took);
		undo();
	}
	return median(all);
}

double median_of(const std::vector<std::string> &words)
{
	return median_of(words, [] {});
}

/// A VM that waits.
vmctl::vm make_sleeper(const vmctl::device &device, const vmctl::image &image, const char *name)
{
	auto vm = must(device.spawn_attached(image, {.name = name, .start = true}));

	while (must(vm.info()).state != vmctl::vm_state::parked)
		sched_yield();
	return vm;
}

struct pair_of_costs {
	double save, restore;
};

pair_of_costs measure(const std::string &file)
{
	const double save = median_of({"save", "web", file});
	const double restore = median_of({"restore", "-q", "--name", "copy", file}, [] {
		vmctl_takes({"rm", "-f", "copy"});
	});

	return {save, restore};
}

/// How long a VM stands still while it moves through a pipe, which vmctl tells: an
/// instruction is a nanosecond.
double standstill_of(const char *from, const char *to)
{
	const std::string command = fmt::format("build/vmctl migrate --via 'build/vmctl restore --incoming -' "
						"--name {} {} 2>&1 >/dev/null",
						to, from);
	std::array<char, 256> said{}, unit{};
	double took = 0;
	std::FILE *const output = popen(command.c_str(), "r");

	if (!output || !std::fgets(said.data(), said.size(), output) || pclose(output) != 0)
		bail_out(fmt::format("{} has failed: {}", command, said.data()));

	const char *const words = std::strstr(said.data(), "stood still for ");

	if (!words || std::sscanf(words, "stood still for %lf %255s", &took, unit.data()) != 2 ||
	    unit.data() != std::string_view("ms"))
		bail_out(fmt::format("vmctl migrate said {}", said.data()));
	return 1e6 * took;
}

double standstill(const char *guest)
{
	std::vector<double> all;

	vmctl_takes({"spawn", "-q", "--name", "here", guest});
	for (unsigned i = 0; i < readings; i++)
		all.push_back(i % 2 == 0 ? standstill_of("here", "there") : standstill_of("there", "here"));
	vmctl_takes({"rm", "-f", "*here"});
	return median(all);
}

}

int main(int argc, char **argv)
{
	const bool json = argc > 2 && std::string_view(argv[1]) == "--json";

	if (argc != 2 && !json) {
		std::fprintf(stderr, "usage: saves [--json] IMAGE\n");
		return 2;
	}
	check_clock();

	vmctl::posix_system system;
	vmctl::device device = must(vmctl::device::open(system));
	const auto elf = must(system.read_file(argv[argc - 1], 1 << 20));
	const vmctl::image image = must(device.load_image(elf, "hello"));
	const vmctl::vm web = make_sleeper(device, image, "web");
	const std::string file = "/tmp/web.mayfly";
	report report(json);

	report.note("process", "vmctl version, for comparison", median_of({"version"}), "instructions");

	const pair_of_costs alone = measure(file);

	report.note("spawn", "vmctl spawn of the same, for comparison",
		    median_of({"spawn", "-q", "--name", "copy", argv[argc - 1]},
			      [] {
				      vmctl_takes({"rm", "-f", "copy"});
			      }),
		    "instructions");
	report.limit("save", "save of hello", alone.save, 3e6, "instructions");
	report.limit("restore", "restore of hello", alone.restore, 3e6, "instructions");
	report.note("file", "its file", static_cast<double>(std::filesystem::file_size(file)), "B");

	report.limit("migrate", "migrate of hello, while it stands still", standstill(argv[argc - 1]),
		     1.2 * (alone.save + alone.restore), "instructions");

	// Several have vmctl hold memory in reserve.
	const double two = median_of({"restore", "-q", "-n", "2", "--name", "copy", file}, [] {
		vmctl_takes({"rm", "-f", "copy-*"});
	});
	const double thousand = median_of({"restore", "-q", "-n", "1000", "--name", "copy", file}, [] {
		vmctl_takes({"rm", "-f", "copy-*"});
	});

	report.note("restore_each", "each of 1,000 restored at once", (thousand - two) / 998, "instructions");

	for (const std::uint32_t others : {1000u, 10000u}) {
		crowd crowd(device, must(device.load_image(elf, "hello")));

		crowd.spawn(others);

		const pair_of_costs beside = measure(file);

		report.limit(fmt::format("save_beside_{}", others).c_str(),
			     fmt::format("save beside {} VMs, by that", others), beside.save / alone.save, 1.1, "");
		report.limit(fmt::format("restore_beside_{}", others).c_str(),
			     fmt::format("restore beside {} VMs, by that", others), beside.restore / alone.restore, 1.1,
			     "");
		crowd.remove_all();
	}

	must(web.pause());

	std::vector<std::byte> noise(1 << 20);
	std::uint64_t state = 1;

	for (std::byte &one : noise)
		one = std::byte((state = state * 6364136223846793005 + 1442695040888963407) >> 56);

	const vmctl::vm big =
		must(device.spawn_attached(image, {.memory = large + (16 << 20), .name = "big", .start = false}));

	for (std::uint64_t at = 0; at < large; at += noise.size())
		must(big.write_memory((16 << 20) + at, noise));
	report.note("save_64m", "save of 64 MiB that cannot be compressed, per byte",
		    vmctl_takes({"save", "big", file}) / static_cast<double>(large), "instructions");
	report.note("restore_64m", "restore of that, per byte",
		    vmctl_takes({"restore", "-q", "--name", "copy", file}) / static_cast<double>(large),
		    "instructions");
	vmctl_takes({"rm", "-f", "copy"});
	std::filesystem::remove(file);
	return report.end();
}
