// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

/// A moment in UTC, in the proleptic Gregorian calendar.
struct date {
	std::uint64_t year;
	unsigned month; // 1 to 12
	unsigned day;   // 1 to 31
	unsigned hour, minute, second;
};

/// The date @p seconds after 1970-01-01T00:00:00Z, leap seconds not counted.
constexpr date date_of(std::uint64_t seconds)
{
	constexpr std::uint64_t days_of_400_years = 146'097;
	constexpr std::uint64_t days_from_year_0 = 719'468; // 0000-03-01 to 1970-01-01

	// Years begin in March here: the leap day is their last, so that the
	// lengths of the months before it follow one line, (153 m + 2) / 5.
	const auto days = seconds / 86'400 + days_from_year_0;
	const auto era = days / days_of_400_years;
	const auto day_of_era = days % days_of_400_years;
	const auto year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
	const auto day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	const auto month = (5 * day_of_year + 2) / 153; // 0 is March
	const auto second_of_day = static_cast<unsigned>(seconds % 86'400);

	return {
		.year = year_of_era + era * 400 + (month < 10 ? 0 : 1),
		.month = static_cast<unsigned>(month < 10 ? month + 3 : month - 9),
		.day = static_cast<unsigned>(day_of_year - (153 * month + 2) / 5 + 1),
		.hour = second_of_day / 3'600,
		.minute = second_of_day / 60 % 60,
		.second = second_of_day % 60,
	};
}
