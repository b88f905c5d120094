// SPDX-License-Identifier: Apache-2.0
#include "screen.hpp"

#include <algorithm>
#include <cstdint>

#include <sys/ioctl.h>
#include <unistd.h>

namespace vmctl::cli
{

screen screen_of(const context &world)
{
	winsize size{};

	if (world.calls.ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col < 2)
		return {static_cast<std::size_t>(std::max(world.rows, 1)), SIZE_MAX};
	return {size.ws_row, size.ws_col - std::size_t{1}};
}

std::string_view cut_to(std::size_t columns, std::string_view line)
{
	return line.substr(0, std::min(line.size() - 1, columns));
}

void print_table(const context &world, const table &shown)
{
	if (!world.out_is_terminal) {
		shown.print(world.out);
		return;
	}
	for (const std::string &line : shown.lines())
		world.out.print("{}\n", cut_to(screen_of(world).columns, line));
}

} // namespace vmctl::cli
