// SPDX-License-Identifier: Apache-2.0
//
// ps N [OPTION…]: what `vmctl ps OPTION…` prints and takes where there are N VMs, of
// which every hundredth has ended. The module is a pretended one, so this runs on any
// machine, and the kernel's part is not in it.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <vector>

#include "../../vmctl/cli.hpp"
#include "../unit/fake_module.hpp"
#include "measure.hpp"

namespace
{

void fill(fake_module &module, std::uint64_t vms)
{
	module.vms.reserve(vms);
	for (std::uint64_t i = 1; i <= vms; i++) {
		mayfly_vm_info &row = module.add("vm" + std::to_string(i));

		row.private_bytes = 6000 + i % 30000;
		row.cpu_ns = i * 1009 % 5'000'000;
		row.created_ns = 1'700'000'000'000'000'000 + i;
		if (i % 100 == 0)
			fake_module::end(row, MAYFLY_END_TRIPLE_FAULT);
	}
}

} // namespace

int main(int argc, char **argv)
{
	const std::string_view number = argc > 1 ? argv[1] : "";
	std::uint64_t vms = 0;

	if (std::from_chars(number.begin(), number.end(), vms).ec != std::errc()) {
		std::fprintf(stderr, "usage: ps N [OPTION…]\n");
		return 2;
	}

	fake_module module;
	vmctl::cli::stream out(stdout), err(stderr);
	vmctl::cli::context world{.calls = module, .out = out, .err = err};
	std::vector<const char *> words(argv + 1, argv + argc);

	words[0] = "ps";
	fill(module, vms);

	const std::uint64_t start = bench::own_ticks();
	const int status = vmctl::cli::dispatch(world, words);

	std::fprintf(stderr, "ps: %.3f s of CPU time\n", static_cast<double>(bench::own_ticks() - start) / 1e9);
	return status;
}
