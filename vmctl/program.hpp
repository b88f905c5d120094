// SPDX-License-Identifier: Apache-2.0
// Other programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>
#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

// Starts `command`, a program that PATH leads to and its arguments, with these descriptors as
// its standard input, output and error. Keys that are for us do not end it, and it takes SIGPIPE
// as if we did not ignore it.
[[nodiscard]] result<pid_t> start_program(std::vector<std::string> command, int in, int out, int err);

// What came of a program.
struct program_end {
	int status = 0; // as waitpid() tells it
	std::string out, err;
};

// Runs `command` to its end, with `input` as its standard input.
[[nodiscard]] result<program_end> run_program(system &calls, std::vector<std::string> command, std::string_view input);

} // namespace vmctl::cli
