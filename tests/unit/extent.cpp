// SPDX-License-Identifier: Apache-2.0
//
// Which pages an image has, for trees that random VMs have made: compared with a look at
// each page.

#include "chains.hpp"

extern "C" {
#include "mem/extent.h"
}

namespace
{

using chains::page;

class Extents : public chains::Chain
{
protected:
	static constexpr u64 end = 4ull << 30;

	/// By the address of each page that is listed, its flags.
	using listing = std::map<u64, std::uint32_t>;

	[[nodiscard]] static listing listed(const stage2 &image, const stage2 *base)
	{
		mayfly_extent extent{};
		listing all;

		for (u64 gpa = 0; gpa < end; gpa = extent.gpa + extent.length) {
			const bool there = extent_look(&image, base, gpa, &extent);

			EXPECT_EQ(extent.gpa, gpa);
			EXPECT_GT(extent.length, 0u);
			for (u64 at = 0; there && at < extent.length; at += page)
				all[gpa + at] = extent.flags;
		}
		return all;
	}
	[[nodiscard]] static std::set<u64> expected(const stage2 &image, const stage2 *base)
	{
		std::set<u64> all;

		// Where Chain::live() writes, and the large pages there.
		for (u64 gib = 0; gib < 4; gib++)
			for (u64 gpa = gib << 30; gpa < (gib << 30) + 5 * chains::large; gpa += page) {
				const u64 leaf = stage2_look(&image, gpa).leaf;
				const u64 other = base ? stage2_look(base, gpa).leaf : 0;

				if (leaf && ((leaf ^ other) & STAGE2_ADDRESS || !other))
					all.insert(gpa);
			}
		return all;
	}
	[[nodiscard]] static bool are_listed(const stage2 &image, const stage2 *base)
	{
		return std::ranges::equal(listed(image, base), expected(image, base), {}, &listing::value_type::first);
	}
};

TEST_P(Extents, AreThePagesThatOnlyOneHas)
{
	for (unsigned seed = 1; seed <= 10 && !HasFailure(); seed++) {
		std::minstd_rand random(seed);

		chain.clear();
		begin_era(nullptr);
		for (int i = 0; i < 5; i++) {
			live(random, static_cast<int>(random() % 60));
			take_snapshot();
		}
		for (std::size_t child = 0; child < chain.size(); child++) {
			const stage2 &image = chain[child].s2;

			EXPECT_TRUE(are_listed(image, nullptr)) << "seed " << seed << ", " << child;
			for (std::size_t base = 0; base <= child; base++)
				EXPECT_TRUE(are_listed(image, &chain[base].s2))
					<< "seed " << seed << ", " << child << " beyond " << base;
		}
	}
}

TEST_P(Extents, TellWhatMayBeDone)
{
	const struct {
		u64 gpa;
		bool write, execute;
		std::uint32_t flags;
	} pages[] = {
		{1 << 20, false, false, 0},
		{2 << 20, true, false, MAYFLY_SEGMENT_WRITE},
		{3 << 20, false, true, MAYFLY_SEGMENT_EXECUTE},
		{4 << 20, true, true, MAYFLY_SEGMENT_WRITE | MAYFLY_SEGMENT_EXECUTE},
	};

	for (const auto &one : pages)
		stage2_set(&vm, own_entry(one.gpa, STAGE2_SMALL),
			   stage2_leaf(&format(), one.gpa, one.write, one.execute) | format().owned);
	take_snapshot();

	const listing all = listed(chain[0].s2, nullptr);

	EXPECT_EQ(all.size(), std::size(pages));
	for (const auto &one : pages)
		EXPECT_EQ(all.at(one.gpa), one.flags);
}

TEST_P(Extents, BeginInTheMiddleOfALargePage)
{
	mayfly_extent extent{};

	write_large(chains::large);
	take_snapshot();
	EXPECT_TRUE(extent_look(&chain[0].s2, nullptr, chains::large + 5 * page, &extent));
	EXPECT_EQ(extent.length, chains::large - 5 * page);
}

INSTANTIATE_TEST_SUITE_P(Formats, Extents, ::testing::ValuesIn(table_formats::all), chains::name_of);

}
