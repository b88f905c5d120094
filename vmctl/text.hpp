// SPDX-License-Identifier: Apache-2.0
// From text to numbers and back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"

namespace vmctl::cli
{

// Digits only; nothing for anything else and for what does not fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

// The number that `option` of `in` says, if it says one.
outcome<std::optional<std::uint32_t>> parse_between(const invocation &in, const char *option, std::uint32_t least,
						    std::uint32_t most);

// A number of bytes, or of a unit, which may have a point in it: "4096", "4M", "1.5G".
// K M G T are powers of 1024, in either case, also as "MiB" or "MB". With a point it is
// what that is in whole pages, one at least: 1.2G is no number of them.
std::optional<std::uint64_t> parse_size(std::string_view text);

// Seconds: digits with at most one point among them, as "0.5"; in ms.
std::optional<std::uint64_t> parse_seconds(std::string_view text);

// "512 B", "36.0 KiB", "16.0 MiB".
std::string size_text(std::uint64_t bytes);

// "350 ns", "12.3 ms", "4.0 s".
std::string time_text(std::uint64_t nanoseconds);

// How long ago in one unit: "12s", "5m", "2h", "3d".
std::string age_text(std::uint64_t nanoseconds);
// The same for what was made then: nanoseconds of Unix time, as now_ns() tells.
std::uint64_t now_ns();
std::string age_of(std::uint64_t created_ns, std::uint64_t now);

// `text` with everything a terminal could take for a command replaced by '?'.
std::string printable(std::string_view text);

// "1 VM", "1000 VMs".
std::string count_text(std::uint64_t vms);

// The exit status that an ended VM's end stands for.
int exit_status(const vm_info &row);

// Columns as wide as their widest cell; numbers[i] aligns column i right.
class table
{
public:
	table(const std::vector<std::string> &titles, std::vector<bool> numbers);
	// As many cells as there are titles, at once or one after the other.
	void add(const std::vector<std::string> &cells);
	void add_cell(std::string_view cell);
	// Lines that end with a newline each.
	[[nodiscard]] std::vector<std::string> lines() const;
	void print(stream &out) const;

private:
	template <class Take> void each_line(Take take) const;

	std::vector<bool> numbers_;
	std::vector<std::size_t> widths_;
	// All cells, one after the other, and how long each is: there may be millions.
	std::string cells_;
	std::vector<std::uint32_t> sizes_;
};

} // namespace vmctl::cli
