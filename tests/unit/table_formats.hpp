// SPDX-License-Identifier: Apache-2.0
//
// The formats of second-level tables: APM 2 15.25.3 and SDM 3C 29.3.2.
#pragma once

extern "C" {
#include "mem/stage2.h"
}

namespace table_formats
{

constexpr stage2_format npt_of(int levels)
{
	return {.present = 1,
		.table = 0x27,
		.leaf = 0x65,
		.write = 2,
		.execute = 0,
		.no_execute = 1ull << 63,
		.large = 1 << 7,
		.owned = 1 << 9,
		.cow = 1 << 10,
		.levels = levels,
		.large_pages = true,
		.large_code = true};
}

inline constexpr stage2_format npt = npt_of(4), npt5 = npt_of(5);
inline constexpr stage2_format ept{.present = 7,
				   .table = 0x107,
				   .leaf = 0x371,
				   .write = 2,
				   .execute = 4,
				   .no_execute = 0,
				   .large = 1 << 7,
				   .owned = 1ull << 58,
				   .cow = 1ull << 59,
				   .levels = 4,
				   .large_pages = true,
				   .large_code = false};

struct shape {
	const char *name;
	const stage2_format *format;
};

inline constexpr shape all[] = {{"npt", &npt}, {"npt5", &npt5}, {"ept", &ept}};

} // namespace table_formats
