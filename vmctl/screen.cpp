// SPDX-License-Identifier: Apache-2.0
#include "screen.hpp"

#include <cstdint>

#include <sys/ioctl.h>

namespace vmctl::cli
{

screen screen_of(const context &world, int of)
{
	constexpr std::size_t usual_rows = 24;
	winsize size{};

	if (world.calls.ioctl(of, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col < 2)
		return {usual_rows, SIZE_MAX};
	return {size.ws_row, size.ws_col - std::size_t{1}};
}

std::string_view cut_to(std::size_t columns, std::string_view line)
{
	std::size_t end = 0;

	// Of more bytes than one there is '…'.
	for (; end < line.size() - 1; end++)
		if ((line[end] & 0xc0) != 0x80 && columns-- == 0)
			break;
	return line.substr(0, end);
}

void print_lines(const context &world, std::span<const std::string> lines, std::size_t columns)
{
	for (const std::string &line : lines)
		world.out.print("{}\n", cut_to(columns, line));
}

void print_table(const context &world, const table &shown)
{
	if (!world.out_is_terminal) {
		shown.print(world.out);
		return;
	}
	print_lines(world, shown.lines(), screen_of(world).columns);
}

} // namespace vmctl::cli
