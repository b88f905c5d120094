// SPDX-License-Identifier: Apache-2.0
// What fits on the terminal.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <unistd.h>

#include "cli.hpp"
#include "text.hpp"

namespace vmctl::cli
{

// As the terminal's user may have changed it since.
struct screen {
	std::size_t rows;
	std::size_t columns; // without the last: what ends there may wrap
};

// Of the terminal that standard output is, or the descriptor `of`.
screen screen_of(const context &world, int of = STDOUT_FILENO);

// What is seen of a line that ends with a newline, which is left out. Every character
// takes a column.
std::string_view cut_to(std::size_t columns, std::string_view line);

void print_lines(const context &world, std::span<const std::string> lines, std::size_t columns);

// Prints a table; on a terminal each line ends at its edge, since columns that wrap are
// none.
void print_table(const context &world, const table &shown);

} // namespace vmctl::cli
