// SPDX-License-Identifier: Apache-2.0
#include "text.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace vmctl::cli {

std::optional<std::uint64_t> parse_number(std::string_view text)
{
	std::uint64_t value = 0;
	const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);

	if (wrong != std::errc() || end != text.data() + text.size())
		return {};
	return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text)
{
	constexpr std::string_view units = "KMGT";
	unsigned shift = 0;

	if (!text.empty() && units.find(text.back()) != std::string_view::npos) {
		shift = 10 * static_cast<unsigned>(units.find(text.back()) + 1);
		text.remove_suffix(1);
	}

	const auto number = parse_number(text);

	if (!number || *number > UINT64_MAX >> shift)
		return {};
	return *number << shift;
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

std::string size_text(std::uint64_t bytes)
{
	constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB"};

	if (bytes < 1024)
		return fmt::format("{} B", bytes);

	double value = static_cast<double>(bytes) / 1024;
	std::size_t unit = 0;

	// 1023.95 would print as 1024.0.
	while (value >= 1023.95 && unit + 1 < units.size()) {
		value /= 1024;
		unit++;
	}
	return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string time_text(std::uint64_t nanoseconds)
{
	const auto value = static_cast<double>(nanoseconds);

	if (nanoseconds < 1000)
		return fmt::format("{} ns", nanoseconds);
	if (value < 999'950)
		return fmt::format("{:.1f} us", value / 1e3);
	if (value < 999'950'000)
		return fmt::format("{:.1f} ms", value / 1e6);
	return fmt::format("{:.1f} s", value / 1e9);
}

std::string age_text(std::uint64_t nanoseconds)
{
	const std::uint64_t seconds = nanoseconds / 1'000'000'000;

	if (seconds < 100)
		return fmt::format("{}s", seconds);
	if (seconds < 100 * 60)
		return fmt::format("{}m", seconds / 60);
	if (seconds < 48 * 3600)
		return fmt::format("{}h", seconds / 3600);
	return fmt::format("{}d", seconds / 86400);
}

std::string printable(std::string_view text)
{
	std::string clean(text);

	std::ranges::replace_if(clean, [](unsigned char byte) { return byte < 0x20 || byte >= 0x7f; }, '?');
	return clean;
}

std::string count_text(std::uint64_t vms)
{
	return fmt::format("{} VM{}", vms, vms == 1 ? "" : "s");
}

int exit_status(const vm_info &row)
{
	switch (row.reason()) {
	case end_reason::exited:
		return row.status() & 255;
	case end_reason::killed:
		return status::was_killed;
	default:
		return status::broken;
	}
}

table::table(std::vector<std::string> titles, std::vector<bool> numbers) : numbers_(std::move(numbers))
{
	add(std::move(titles));
}

void table::add(std::vector<std::string> cells)
{
	rows_.push_back(std::move(cells));
}

std::vector<std::string> table::lines() const
{
	std::vector<std::size_t> widths(numbers_.size());
	std::vector<std::string> made;

	for (const auto &row : rows_)
		for (std::size_t i = 0; i < row.size(); i++)
			widths[i] = std::max(widths[i], row[i].size());
	for (const auto &row : rows_) {
		std::string line;

		for (std::size_t i = 0; i < row.size(); i++) {
			const bool last = i + 1 == row.size();

			line += fmt::format(fmt::runtime(numbers_[i] ? "{:>{}}" : "{:<{}}"), row[i],
					    last && !numbers_[i] ? 0 : widths[i]);
			line += last ? "\n" : "  ";
		}
		made.push_back(std::move(line));
	}
	return made;
}

void table::print(std::FILE *out) const
{
	for (const std::string &line : lines())
		std::fputs(line.c_str(), out);
}

} // namespace vmctl::cli
