// SPDX-License-Identifier: BSD-2-Clause
//
// The device page says what the header promises.

#include "check.hpp"

#include <algorithm>
#include <mayfly/vm.hpp>

void check_device_page()
{
	const auto &page = mayfly::device_page();
	const auto zero = [](auto byte) { return byte == 0; };

	check_equal(page.magic, MAYFLY_DEVICE_MAGIC, "device page: magic");
	check_equal(page.size, sizeof page, "device page: size");
	check_equal(page.flags, 0, "device page: flags");
	check(page.vm_id != 0, "device page: id is not zero");
	check(page.memory_bytes >= 1 << 20 && page.memory_bytes % 4096 == 0, "device page: memory size");
	check_equal(page.args_gpa, MAYFLY_GPA_ARGS, "device page: place of the arguments");
	check(page.args_len <= 4096 && page.argc <= page.args_len, "device page: arguments fit");
	const auto seed = mayfly::seed();
	check(!std::all_of(seed.begin(), seed.end(), zero), "device page: seed is not zero");
	check(page.clock.mult != 0 && page.clock.shift < 64, "device page: clock scale");
	check_equal(page.upcall_vector, 0, "device page: no upcall");
	check_equal(page.nr_devices, 0, "device page: no devices");
	check(!mayfly::vm_name().empty() && page.name[sizeof page.name - 1] == 0, "device page: name");
	check(std::all_of(page.reserved, page.reserved + 4, zero), "device page: reserved is zero");
}
