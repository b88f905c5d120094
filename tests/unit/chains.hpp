// SPDX-License-Identifier: Apache-2.0
//
// Chains of images whose trees random VMs have made.

#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "table_formats.hpp"

namespace chains
{

inline constexpr u64 page = 4096, large = 512 * page;
inline constexpr u64 stub = 0x1000, stub_end = 0x4000;

/// Tables by their address, other pages by one that no table has.
using set_of_pages = std::set<u64>;

struct snapshot {
	stage2 s2;
	set_of_pages own; ///< its tables, small pages, and large ones as 512 pieces
	set_of_pages blocks;
};

class Chain : public ::testing::TestWithParam<table_formats::shape>
{
protected:
	Chain() { begin_era(nullptr); }

	[[nodiscard]] const stage2_format &format() const { return *GetParam().format; }

	static u64 *take_table(void *context)
	{
		auto &self = *static_cast<Chain *>(context);
		auto &one = self.tables.emplace_back(static_cast<u64 *>(std::aligned_alloc(page, page)), &std::free);

		std::fill_n(one.get(), STAGE2_ENTRIES, 0);
		self.own.insert(reinterpret_cast<u64>(one.get()));
		return one.get();
	}
	u64 *own_entry(u64 gpa, int leaf) { return stage2_own(&vm, gpa, leaf, take_table, this); }

	/// The VM goes on from an image, with a root of its own.
	void begin_era(const u64 *root)
	{
		own.clear();
		blocks.clear();
		vm = {.format = &format(), .root = take_table(this), .owned = format().owned, .changes = 0, .model = 0};
		if (root)
			std::copy_n(root, STAGE2_ENTRIES, vm.root);
		own_entry(stub, STAGE2_SMALL);
	}
	void take_snapshot()
	{
		stage2_freeze(&vm, stub, stub_end);
		chain.push_back({.s2 = vm, .own = own, .blocks = blocks});
		chain.back().s2.owned = 0;
		begin_era(chain.back().s2.root);
	}
	void write_small(u64 gpa)
	{
		const stage2_found found = stage2_look(&vm, gpa);

		if (found.owned)
			return;
		stage2_set(&vm, own_entry(gpa, STAGE2_SMALL),
			   stage2_leaf(&format(), next, true, true) | format().owned);
		own.insert(next);
		next += page;
	}
	void write_large(u64 gpa)
	{
		gpa &= ~(large - 1);
		if (gpa < large || stage2_look(&vm, gpa).entry)
			return;
		next = (next + large - 1) & ~(large - 1);
		stage2_set(&vm, own_entry(gpa, STAGE2_LARGE),
			   stage2_leaf(&format(), next, true, false) | format().large | format().owned);
		for (u64 i = 0; i < 512; i++)
			own.insert(next + i * page);
		blocks.insert(next);
		next += large;
	}
	/// As for code, or to discard a part.
	void split(u64 gpa)
	{
		const stage2_found found = stage2_look(&vm, gpa);

		if (!found.large || !found.owned)
			return;
		blocks.erase(*found.entry & STAGE2_ADDRESS);
		stage2_split(&vm, found.entry, take_table(this));
	}
	void live(std::minstd_rand &random, int steps)
	{
		for (int i = 0; i < steps; i++) {
			// Close together and far apart.
			const u64 gpa = (random() % 4 << 30) + (random() % 4) * large + random() % 6 * page + stub_end;

			switch (random() % 8) {
			case 0:
				write_large(gpa);
				break;
			case 1:
				split(gpa);
				break;
			default:
				write_small(gpa);
			}
		}
	}
	void reach(const u64 *table, int level, set_of_pages &found) const
	{
		found.insert(reinterpret_cast<u64>(table));
		for (int i = 0; i < STAGE2_ENTRIES; i++) {
			const u64 entry = table[i], at = entry & STAGE2_ADDRESS;

			if (!(entry & format().present))
				continue;
			if (level == STAGE2_SMALL)
				found.insert(at);
			else if (entry & format().large)
				for (u64 piece = 0; piece < 512; piece++)
					found.insert(at + piece * page);
			else
				reach(stage2_table(entry), level - 1, found);
		}
	}

	stage2 vm{};
	std::vector<snapshot> chain;

private:
	std::vector<std::unique_ptr<u64, decltype(&std::free)>> tables;
	set_of_pages own, blocks;
	u64 next = 8ull << 48;
};

inline std::string name_of(const ::testing::TestParamInfo<table_formats::shape> &test)
{
	return test.param.name;
}

}
