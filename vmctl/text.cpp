// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

namespace vmctl::cli
{

std::optional<std::uint64_t> parse_number(std::string_view text)
{
	std::uint64_t value = 0;
	const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);

	if (wrong != std::errc() || end != text.data() + text.size())
		return {};
	return value;
}

namespace
{

// Takes the unit off the end of `text`, as a power of two.
unsigned take_unit(std::string_view &text)
{
	constexpr std::string_view units = "KMGT", small_units = "kmgt";
	const std::size_t end = text.find_last_of("0123456789.") + 1;
	const std::string_view unit = text.substr(end), suffix = unit.substr(std::min<std::size_t>(unit.size(), 1));

	if (unit.empty() || (suffix != "" && suffix != "B" && suffix != "b" && suffix != "iB" && suffix != "ib"))
		return 0;

	const std::size_t which = std::min(units.find(unit.front()), small_units.find(unit.front()));

	if (which == std::string_view::npos)
		return 0;
	text.remove_suffix(unit.size());
	return 10 * static_cast<unsigned>(which + 1);
}

} // namespace

std::optional<std::uint64_t> parse_size(std::string_view text)
{
	const unsigned shift = take_unit(text);
	const std::size_t point = std::min(text.find('.'), text.size());
	const auto whole = parse_number(text.substr(0, point));
	std::uint64_t part = 0;

	if (!whole || *whole > UINT64_MAX >> shift)
		return {};
	if (point < text.size()) {
		constexpr std::size_t most_digits = 6;
		const std::string_view digits = text.substr(point + 1);
		const auto value = parse_number(digits);

		// There is no part of a byte.
		if (!value || digits.size() > most_digits || shift == 0)
			return {};
		part = *value << shift;
		for (std::size_t i = 0; i < digits.size(); i++)
			part /= 10;
	}
	if (part > UINT64_MAX - (*whole << shift))
		return {};

	const std::uint64_t bytes = (*whole << shift) + part;

	return point < text.size() ? std::max(bytes / page_size * page_size, page_size) : bytes;
}

outcome<std::optional<std::uint32_t>> parse_between(const invocation &in, const char *option, std::uint32_t least,
						    std::uint32_t most)
{
	const auto text = in.value(option);

	if (!text)
		return std::nullopt;

	const auto number = parse_number(*text);

	if (!number || *number < least || *number > most)
		return bad_usage(fmt::format("--{} {}: not a number from {} to {}", option, *text, least, most));
	return static_cast<std::uint32_t>(*number);
}

std::optional<std::uint64_t> parse_seconds(std::string_view text)
{
	const std::size_t point = std::min(text.find('.'), text.size());
	const auto whole = parse_number(text.substr(0, point));
	std::uint64_t part = 0;

	if (!whole || *whole > 1'000'000'000)
		return {};
	if (point < text.size()) {
		const std::string_view digits = text.substr(point + 1);
		const auto value = parse_number(digits);

		if (!value || digits.size() > 3)
			return {};
		part = *value;
		for (std::size_t i = digits.size(); i < 3; i++)
			part *= 10;
	}
	return *whole * 1000 + part;
}

namespace
{

// `value` in tenths of `unit`, rounded.
std::uint64_t tenths_of(std::uint64_t value, std::uint64_t unit)
{
	return value / unit * 10 + (value % unit * 10 + unit / 2) / unit;
}

// "12.3 KiB" for 123. Tables have millions of these: no floating point, no format.
std::string tenths_text(std::uint64_t tenths, std::string_view unit)
{
	std::array<char, 32> text;
	char *end = std::to_chars(text.begin(), text.end(), tenths / 10).ptr;

	*end++ = '.';
	*end++ = static_cast<char>('0' + tenths % 10);
	*end++ = ' ';
	return {text.begin(), std::ranges::copy(unit, end).out};
}

} // namespace

std::string size_text(std::uint64_t bytes)
{
	constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB"};

	if (bytes < 1024)
		return std::to_string(bytes) + " B";

	std::size_t unit = 0;
	std::uint64_t tenths = tenths_of(bytes, 1024);

	// Before it would print as 1024.0.
	while (tenths >= 10240 && unit + 1 < units.size())
		tenths = tenths_of(bytes, 1024ull << 10 * ++unit);
	return tenths_text(tenths, units[unit]);
}

std::string time_text(std::uint64_t nanoseconds)
{
	if (nanoseconds < 1000)
		return std::to_string(nanoseconds) + " ns";
	if (nanoseconds < 999'950)
		return tenths_text(tenths_of(nanoseconds, 1000), "us");
	if (nanoseconds < 999'950'000)
		return tenths_text(tenths_of(nanoseconds, 1'000'000), "ms");
	return tenths_text(tenths_of(nanoseconds, 1'000'000'000), "s");
}

std::string age_text(std::uint64_t nanoseconds)
{
	const std::uint64_t seconds = nanoseconds / 1'000'000'000;

	if (seconds < 100)
		return std::to_string(seconds) + 's';
	if (seconds < 100 * 60)
		return std::to_string(seconds / 60) + 'm';
	if (seconds < 48 * 3600)
		return std::to_string(seconds / 3600) + 'h';
	return std::to_string(seconds / 86400) + 'd';
}

std::uint64_t now_ns()
{
	return static_cast<std::uint64_t>(
		std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
}

std::string age_of(std::uint64_t created_ns, std::uint64_t now)
{
	return age_text(now - std::min(created_ns, now));
}

namespace
{

bool is_plain(char letter)
{
	return letter >= ' ' && letter <= '~';
}

} // namespace

std::string printable(std::string_view text)
{
	constexpr std::string_view ellipsis = "…"; // the only other character of our messages
	std::string clean;

	if (std::ranges::all_of(text, is_plain))
		return std::string(text);
	for (std::size_t at = 0; at < text.size(); at++) {
		if (is_plain(text[at])) {
			clean += text[at];
		} else if (text.substr(at).starts_with(ellipsis)) {
			clean += ellipsis;
			at += ellipsis.size() - 1;
		} else {
			clean += '?';
		}
	}
	return clean;
}

std::string count_text(std::uint64_t vms)
{
	return fmt::format("{} VM{}", vms, vms == 1 ? "" : "s");
}

int exit_status(const vm_info &row)
{
	switch (row.reason) {
	case end_reason::exited:
		return row.status & 255;
	case end_reason::killed:
		return status::was_killed;
	default:
		return status::broken;
	}
}

table::table(const std::vector<std::string> &titles, std::vector<bool> numbers)
	: numbers_(std::move(numbers)), widths_(titles.size())
{
	add(titles);
}

void table::add(const std::vector<std::string> &cells)
{
	for (const std::string &cell : cells)
		add_cell(cell);
}

void table::add_cell(std::string_view cell)
{
	std::size_t &width = widths_[sizes_.size() % widths_.size()];

	width = std::max(width, cell.size());
	cells_ += cell;
	sizes_.push_back(static_cast<std::uint32_t>(cell.size()));
}

template <class Take> void table::each_line(Take take) const
{
	std::string line(std::reduce(widths_.begin(), widths_.end(), 2 * widths_.size()), ' ');
	const char *cell = cells_.data();

	for (auto size = sizes_.begin(); size != sizes_.end();) {
		std::size_t start = 0, end = 0;

		std::ranges::fill(line, ' ');
		for (std::size_t i = 0; i < widths_.size(); i++, cell += *size++) {
			const std::size_t at = start + (numbers_[i] ? widths_[i] - *size : 0);

			std::memcpy(&line[at], cell, *size);
			end = at + *size;
			start += widths_[i] + 2;
		}
		line[end] = '\n';
		take(std::string_view(line).substr(0, end + 1));
	}
}

std::vector<std::string> table::lines() const
{
	std::vector<std::string> made;

	each_line([&](std::string_view line) { made.emplace_back(line); });
	return made;
}

void table::print(stream &out) const
{
	each_line([&](std::string_view line) { out.write(line); });
}

} // namespace vmctl::cli
