// SPDX-License-Identifier: BSD-2-Clause
//
// test-guest TRIAL: one thing that a guest's program may do, for the tests of vmctl.
// They know what it prints, and how it ends.

#include "trials.hpp"

#include <mayfly/console.hpp>
#include <string_view>

namespace
{

constexpr int usage_error = 200;

constexpr struct {
	std::string_view name;
	void (*run)();
} trials[] = {
	{"divide-by-zero", divide_by_zero},
	{"libraries", use_libraries},
	{"null-read", read_null},
	{"overflow-below-image", overflow_below_image},
	{"overflow-in-frame", overflow_in_frame},
	{"overflow-into-tables", overflow_into_tables},
	{"ready", be_ready},
	{"stack", use_stack},
	{"statics", destroy_statics},
	{"thread-storage", use_thread_storage},
};

}

int main(int argc, char **argv)
{
	for (const auto &trial : trials) {
		if (argc == 2 && trial.name == argv[1]) {
			trial.run();
			return 0;
		}
	}
	mayfly::print("test-guest: which trial?\n");
	return usage_error;
}
