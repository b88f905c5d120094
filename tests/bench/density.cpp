// SPDX-License-Identifier: Apache-2.0
//
// density [--json] PART N IMAGE [COLD_AFTER_MS]: VMs in great numbers, by TAP lines
// that fail when a limit is missed. PART is
//   alive  N VMs at once, which go cold after COLD_AFTER_MS
//   count  instructions of the N-th VM, under --icount
//   churn  N VMs that come and go while a thousand are alive
// Meant for a freshly booted nested host with slab_nomerge; see docs/benchmarks.md.

#include <charconv>
#include <cstdio>
#include <optional>
#include <span>
#include <string_view>

#include "density_alive.hpp"
#include "density_churn.hpp"
#include "density_count.hpp"

using namespace bench;

namespace
{

// With fewer there is no last batch besides the first, or no slope.
std::uint32_t least(std::string_view part)
{
	return part == "alive" ? 1000 : part == "count" ? 2000 : 3000;
}

struct request {
	bool json = false;
	std::string_view part;
	std::uint32_t number = 0;
	const char *image = nullptr;
	std::optional<long> cold_age;
};

template <class Number> bool parse(std::string_view text, Number &number)
{
	const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);

	return error == std::errc() && end == text.data() + text.size();
}

std::optional<request> read_arguments(std::span<char *> arguments)
{
	request wanted;

	if (!arguments.empty() && std::string_view(arguments[0]) == "--json") {
		wanted.json = true;
		arguments = arguments.subspan(1);
	}
	if (arguments.size() < 3 || arguments.size() > 4)
		return std::nullopt;
	wanted.part = arguments[0];
	wanted.image = arguments[2];
	if (!parse(arguments[1], wanted.number) || wanted.number < least(wanted.part))
		return std::nullopt;
	if (arguments.size() == 4 && !parse(arguments[3], wanted.cold_age.emplace()))
		return std::nullopt;
	return wanted;
}

bool run(const request &wanted, report &report)
{
	vmctl::posix_system system;
	vmctl::device device = must(vmctl::device::open(system));
	const auto elf = must(system.read_file(wanted.image, 1 << 20));
	const auto load = [&](vmctl::device &into) { return must(into.load_image(elf, "hello")); };

	if (must(device.info()).debug)
		report::remark("this module has its debug checks: its numbers mean nothing");
	crowd vms(device, load(device), wanted.part == "count" ? waiting::awake : waiting::asleep);
	if (wanted.part == "alive")
		alive(vms, report, wanted.number, wanted.cold_age).measure();
	else if (wanted.part == "count")
		count(vms, report, wanted.number).measure();
	else if (wanted.part == "churn")
		churn(vms, report, load, wanted.number).measure();
	else
		return false;
	return true;
}

}

int main(int argc, char **argv)
{
	const auto wanted = read_arguments({argv + 1, argv + argc});

	if (wanted) {
		report report(wanted->json);

		if (run(*wanted, report))
			return report.end();
	}
	std::fprintf(stderr, "usage: density [--json] alive|count|churn N IMAGE [COLD_AFTER_MS];\n"
			     "at least 1000 alive, 2000 to count, 3000 that come and go\n");
	return 2;
}
