// SPDX-License-Identifier: Apache-2.0
//
// What an image's child does not need, for trees that random VMs have made: compared
// with all that can be reached.

#include "chains.hpp"

extern "C" {
#include "mem/fold.h"
}

namespace
{

using chains::page;
using chains::set_of_pages;
using chains::snapshot;

class Fold : public chains::Chain
{
protected:
	/// Folds the image at \p at into the next one, and compares.
	void fold(std::size_t at)
	{
		struct told {
			snapshot &image;
			set_of_pages gone;
			bool twice = false;
		} told{.image = chain[at], .gone = {}};
		const fold_sink sink = {
			.gone =
				[](void *context, u64 pa) {
					auto &t = *static_cast<struct told *>(context);
					const u64 pieces = t.image.blocks.contains(pa) ? 512 : 1;

					for (u64 i = 0; i < pieces; i++)
						t.twice |= !t.gone.insert(pa + i * page).second;
				},
			.split =
				[](void *context, u64 pa) {
					auto &t = *static_cast<struct told *>(context);

					t.twice |= t.image.blocks.erase(pa) != 1;
				},
			.context = &told,
		};
		snapshot &image = chain[at], &child = chain[at + 1];
		set_of_pages needed, expected;

		reach(child.s2.root, format().levels, needed);
		std::ranges::set_difference(image.own, needed, std::inserter(expected, expected.end()));
		fold_compare(&child.s2, &image.s2, at ? &chain[at - 1].s2 : nullptr, &sink);
		EXPECT_FALSE(told.twice) << "freed or split twice";
		EXPECT_EQ(told.gone, expected);

		// What is left is the child's.
		std::ranges::set_difference(image.own, told.gone, std::inserter(child.own, child.own.end()));
		child.blocks.insert(image.blocks.begin(), image.blocks.end());
		std::erase_if(child.blocks, [&](u64 block) { return told.gone.contains(block); });
		chain.erase(chain.begin() + static_cast<std::ptrdiff_t>(at));
	}
};

TEST_P(Fold, OfAnImageThatItsChildReplacesNothingIsLeft)
{
	write_small(1 << 20);
	take_snapshot();
	write_small(1 << 20);
	take_snapshot();
	fold(0);

	set_of_pages needed;

	reach(chain[0].s2.root, format().levels, needed);
	EXPECT_EQ(chain[0].own, needed);
}

TEST_P(Fold, OfAChildThatHasWrittenNothingAllIsNeeded)
{
	write_small(1ull << 30);
	write_large(2ull << 30);
	take_snapshot();

	const std::size_t pages = chain[0].own.size();

	take_snapshot();
	fold(0);
	// But for the root, and the tables on the way to the stub.
	EXPECT_EQ(chain[0].own.size(), pages);
}

TEST_P(Fold, WhatIsReachedStaysWhateverVmsDo)
{
	for (unsigned seed = 1; seed <= 40 && !HasFailure(); seed++) {
		std::minstd_rand random(seed);

		chain.clear();
		begin_era(nullptr);
		for (int i = 0; i < 7; i++) {
			live(random, static_cast<int>(random() % 60));
			take_snapshot();
		}
		while (chain.size() > 1)
			fold(random() % (chain.size() - 1));

		set_of_pages needed;

		reach(chain[0].s2.root, format().levels, needed);
		EXPECT_EQ(chain[0].own, needed) << "seed " << seed;
	}
}

INSTANTIATE_TEST_SUITE_P(Formats, Fold, ::testing::ValuesIn(table_formats::all), chains::name_of);

}
