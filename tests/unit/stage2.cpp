// SPDX-License-Identifier: Apache-2.0
//
// The second-level table walker of the module, in the formats of both vendors.

#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "table_formats.hpp"

namespace
{

using table_formats::ept;
using table_formats::npt;
using table_formats::npt5;
using table_formats::shape;

/// Pages for tables, and a way to run out of them.
class pages
{
public:
	u64 *take()
	{
		if (!left_)
			return nullptr;
		left_--;
		all_.emplace_back(static_cast<u64 *>(std::aligned_alloc(4096, 4096)), &std::free);
		std::fill_n(all_.back().get(), STAGE2_ENTRIES, 0);
		return all_.back().get();
	}
	static u64 *alloc(void *context) { return static_cast<pages *>(context)->take(); }
	void limit(std::size_t left) { left_ = left; }
	[[nodiscard]] std::size_t used() const { return all_.size(); }

private:
	std::vector<std::unique_ptr<u64, decltype(&std::free)>> all_;
	std::size_t left_ = 1000;
};

class Stage2 : public ::testing::TestWithParam<shape>
{
protected:
	stage2 make(u64 owned)
	{
		return {.format = GetParam().format, .root = memory.take(), .owned = owned, .changes = 0, .model = 0};
	}
	stage2 image() { return make(0); }
	stage2 vm_of(const stage2 &image)
	{
		stage2 vm = make(GetParam().format->owned);

		std::copy_n(image.root, STAGE2_ENTRIES, vm.root);
		return vm;
	}
	u64 *own(stage2 &s2, u64 gpa) { return stage2_own(&s2, gpa, STAGE2_SMALL, pages::alloc, &memory); }
	/// As yet without rights to write.
	[[nodiscard]] u64 large_leaf(u64 pa) const
	{
		const stage2_format &f = *GetParam().format;

		return (stage2_leaf(&f, pa, false, true) & ~(f.large_code ? 0 : f.execute)) | f.large;
	}
	[[nodiscard]] int levels() const { return GetParam().format->levels; }

	pages memory;
};

TEST_P(Stage2, AnEmptyTreeHasNothing)
{
	const stage2 s2 = image();

	for (const u64 gpa : {0ull, 0x1000ull, 1ull << 30, 1ull << 39, (1ull << 48) - 1})
		EXPECT_EQ(stage2_look(&s2, gpa).entry, nullptr);
}

TEST_P(Stage2, WhatIsSetIsFoundAndNothingElse)
{
	stage2 s2 = image();
	const u64 addresses[] = {0, 0x1000, 0x1ff000, 0x200000, 0x3fffffff, 1ull << 30, (64ull << 30) - 4096};
	u64 pa = 0x100000;

	for (const u64 gpa : addresses) {
		u64 *const entry = own(s2, gpa);

		ASSERT_NE(entry, nullptr);
		stage2_set(&s2, entry, stage2_leaf(s2.format, pa, true, true));
		pa += 0x1000;
	}
	pa = 0x100000;
	for (const u64 gpa : addresses) {
		const auto found = stage2_look(&s2, gpa | 0xfff);

		ASSERT_NE(found.entry, nullptr);
		EXPECT_EQ(found.leaf & STAGE2_ADDRESS, pa);
		pa += 0x1000;
	}
	EXPECT_NE(stage2_look(&s2, 0x2000).entry, nullptr);
	EXPECT_EQ(stage2_look(&s2, 0x2000).leaf, 0u);
	EXPECT_EQ(s2.changes, 0u) << "nothing was there before";
}

TEST_P(Stage2, NeighboursShareTables)
{
	stage2 s2 = image();

	own(s2, 0x100000);
	EXPECT_EQ(memory.used(), static_cast<std::size_t>(levels()));
	own(s2, 0x101000);
	EXPECT_EQ(memory.used(), static_cast<std::size_t>(levels()));
	own(s2, 0x200000);
	EXPECT_EQ(memory.used(), static_cast<std::size_t>(levels()) + 1);
}

TEST_P(Stage2, AVmSeesTheImageWithoutOwningIt)
{
	stage2 base = image();

	stage2_set(&base, own(base, 0x100000), stage2_leaf(base.format, 0x5000, false, true) | base.format->cow);

	const std::size_t before = memory.used();
	const stage2 vm = vm_of(base);

	EXPECT_EQ(stage2_look(&vm, 0x100000).entry, stage2_look(&base, 0x100000).entry);
	EXPECT_FALSE(stage2_look(&vm, 0x100000).owned);
	EXPECT_EQ(memory.used(), before + 1) << "a VM is a root";
}

TEST_P(Stage2, OwningCopiesThePathAndLeavesTheImageAlone)
{
	stage2 base = image();
	const u64 shared = stage2_leaf(base.format, 0x5000, false, true) | base.format->cow;

	stage2_set(&base, own(base, 0x100000), shared);
	stage2_set(&base, own(base, 0x101000), shared + 0x1000);

	stage2 vm = vm_of(base);
	const std::size_t before = memory.used();
	u64 *const entry = own(vm, 0x100000);

	EXPECT_EQ(memory.used(), before + static_cast<std::size_t>(levels()) - 1);
	EXPECT_EQ(*entry, shared);
	EXPECT_EQ(vm.changes, static_cast<u64>(levels()) - 1) << "every replaced table wants a flush";
	stage2_set(&vm, entry, stage2_leaf(vm.format, 0x9000, true, true) | vm.format->owned);
	EXPECT_EQ(vm.changes, static_cast<u64>(levels()));
	EXPECT_EQ(stage2_look(&base, 0x100000).leaf, shared);
	EXPECT_TRUE(stage2_look(&vm, 0x100000).owned);
	EXPECT_FALSE(stage2_look(&vm, 0x101000).owned);
	EXPECT_EQ(stage2_look(&vm, 0x101000).leaf, shared + 0x1000) << "the neighbour is still the image's";
	own(vm, 0x101000);
	EXPECT_EQ(memory.used(), before + static_cast<std::size_t>(levels()) - 1) << "owned once is enough";
}

TEST_P(Stage2, TwoVmsShareNothingTheyWrote)
{
	stage2 base = image();

	own(base, 0x100000);
	stage2 a = vm_of(base), b = vm_of(base);

	stage2_set(&a, own(a, 0x100000), stage2_leaf(a.format, 0x7000, true, true) | a.format->owned);
	EXPECT_EQ(stage2_look(&b, 0x100000).leaf, 0u);
	EXPECT_EQ(stage2_look(&base, 0x100000).leaf, 0u);
}

TEST_P(Stage2, WithoutMemoryWhatWasDoneStaysOfUse)
{
	stage2 s2 = image();

	for (std::size_t budget = 0; budget < static_cast<std::size_t>(levels()) - 1; budget++) {
		const std::size_t before = memory.used();

		memory.limit(budget ? 1 : 0);
		EXPECT_EQ(own(s2, 0x100000), nullptr);
		EXPECT_EQ(memory.used(), before + (budget ? 1 : 0));
	}
	memory.limit(1);
	EXPECT_NE(own(s2, 0x100000), nullptr);
}

TEST_P(Stage2, LeavesSayWhatTheyAllow)
{
	const stage2_format &f = *GetParam().format;

	for (const bool write : {false, true})
		for (const bool execute : {false, true}) {
			const u64 leaf = stage2_leaf(&f, 0x123000, write, execute);

			EXPECT_EQ(leaf & STAGE2_ADDRESS, 0x123000u);
			EXPECT_EQ(leaf & f.leaf, f.leaf);
			EXPECT_EQ(!!(leaf & f.write), write);
			EXPECT_EQ(leaf & f.execute, execute ? f.execute : 0);
			EXPECT_EQ(leaf & f.no_execute, execute ? 0 : f.no_execute);
			EXPECT_EQ(leaf & (f.owned | f.cow), 0u);
		}
}

TEST_P(Stage2, LargeLeavesAreFoundAndSplit)
{
	const stage2_format &f = *GetParam().format;
	stage2 vm = make(f.owned);
	const u64 gpa = 0x600000;
	u64 *const large = stage2_own(&vm, gpa, STAGE2_LARGE, pages::alloc, &memory);

	ASSERT_NE(large, nullptr);
	EXPECT_EQ(stage2_look(&vm, gpa).entry, nullptr) << "nothing below yet";
	stage2_set(&vm, large, large_leaf(0x40000000) | f.write | f.owned);
	for (const u64 at : {0u, 0x1000u, 0x1ff000u}) {
		const auto found = stage2_look(&vm, gpa + at);

		EXPECT_EQ(found.entry, large);
		EXPECT_TRUE(found.large);
		EXPECT_TRUE(found.owned);
		EXPECT_EQ(found.leaf, stage2_leaf(&f, 0x40000000 + at, true, true) | f.owned);
	}
	EXPECT_EQ(stage2_own(&vm, gpa + 0x1000, STAGE2_LARGE, pages::alloc, &memory), large);
	EXPECT_EQ(stage2_find_table(&vm, gpa), nullptr);

	const u64 before = vm.changes;

	stage2_split(&vm, large, memory.take());
	EXPECT_GT(vm.changes, before);
	for (u64 at = 0; at < 0x200000; at += 0x1000) {
		const auto found = stage2_look(&vm, gpa + at);

		ASSERT_NE(found.entry, nullptr);
		EXPECT_FALSE(found.large);
		EXPECT_EQ(*found.entry, stage2_leaf(&f, 0x40000000 + at, true, true) | f.owned);
		EXPECT_EQ(found.leaf, *found.entry);
	}
	EXPECT_EQ(own(vm, gpa), stage2_look(&vm, gpa).entry);
	EXPECT_EQ(stage2_find_table(&vm, gpa), large);
	EXPECT_NE(*large & f.cow, 0u) << "shall not become large again";
}

TEST_P(Stage2, ALargeLeafOfTheImageBecomesSmallOnesWhenItIsOwned)
{
	const stage2_format &f = *GetParam().format;
	const u64 gpa = 0x600000;
	stage2 base = image();

	stage2_set(&base, stage2_own(&base, gpa, STAGE2_LARGE, pages::alloc, &memory), large_leaf(0x40000000) | f.cow);

	stage2 vm = vm_of(base);

	EXPECT_TRUE(stage2_look(&vm, gpa + 0x7000).large);
	EXPECT_FALSE(stage2_look(&vm, gpa + 0x7000).owned);
	EXPECT_EQ(stage2_look(&vm, gpa + 0x7000).leaf, stage2_leaf(&f, 0x40007000, false, true) | f.cow);
	EXPECT_EQ(stage2_find_table(&vm, gpa), nullptr);

	u64 *const entry = own(vm, gpa + 0x7000);

	ASSERT_NE(entry, nullptr);
	EXPECT_EQ(entry, stage2_look(&vm, gpa + 0x7000).entry);
	for (u64 at = 0; at < 0x200000; at += 0x1000) {
		const auto found = stage2_look(&vm, gpa + at);

		EXPECT_EQ(found.leaf, stage2_leaf(&f, 0x40000000 + at, false, true) | f.cow);
		EXPECT_EQ(*found.entry, found.leaf);
		EXPECT_FALSE(found.large);
	}
	EXPECT_TRUE(stage2_look(&base, gpa).large) << "the image is as it was";
	EXPECT_NE(*stage2_find_table(&vm, gpa) & f.cow, 0u) << "shall not become large again";
}

/// What has been a VM's becomes an image: under a root without rights all is frozen.
class Frozen : public Stage2
{
protected:
	/// Leaves as a VM has them: written, read-only, never written, and a large one.
	Frozen()
	{
		const stage2_format &f = *GetParam().format;

		set(written, stage2_leaf(&f, 0x5000, true, true) | f.owned);
		set(read_only, stage2_leaf(&f, 0x6000, false, true) | f.owned);
		set(shared, stage2_leaf(&f, 0x7000, false, true) | f.cow);
		stage2_set(&vm, stage2_own(&vm, large, STAGE2_LARGE, pages::alloc, &memory),
			   large_leaf(0x40000000) | f.write | f.owned);
		frozen.root = memory.take();
		for (int i = 0; i < STAGE2_ENTRIES; i++)
			frozen.root[i] = vm.root[i] & ~(f.owned | f.write);
	}
	void set(u64 gpa, u64 leaf) { stage2_set(&vm, own(vm, gpa), leaf); }

	void expect_shared(const stage2 &s2)
	{
		const stage2_format &f = *GetParam().format;

		EXPECT_EQ(stage2_look(&s2, written).leaf, stage2_leaf(&f, 0x5000, false, true) | f.cow);
		EXPECT_EQ(stage2_look(&s2, read_only).leaf, stage2_leaf(&f, 0x6000, false, true));
		EXPECT_EQ(stage2_look(&s2, shared).leaf, stage2_leaf(&f, 0x7000, false, true) | f.cow);
		EXPECT_EQ(stage2_look(&s2, large + 0x3000).leaf, stage2_leaf(&f, 0x40003000, false, true) | f.cow);
		EXPECT_EQ(stage2_look(&s2, missing).leaf, 0u);
		for (const u64 gpa : {written, read_only, shared, large, missing})
			EXPECT_FALSE(stage2_look(&s2, gpa).owned);
	}
	/// Can a CPU write there? It goes by the bits of every entry on the path.
	[[nodiscard]] bool is_writable(const stage2 &s2, u64 gpa) const
	{
		const stage2_format &f = *GetParam().format;
		const u64 *table = s2.root;

		for (int level = f.levels;; level--) {
			const u64 entry = table[(gpa >> (12 + 9 * (level - 1))) % STAGE2_ENTRIES];

			if (!(entry & f.present) || !(entry & f.write))
				return false;
			if (level == STAGE2_SMALL || entry & f.large)
				return true;
			table = stage2_table(entry);
		}
	}

	static constexpr u64 written = 0x100000, read_only = 0x101000, shared = 0x102000, missing = 0x103000,
			     large = 0x600000;
	stage2 vm = make(GetParam().format->owned), frozen = image();
};

TEST_P(Frozen, NothingBelowCanBeWrittenOrIsOwned)
{
	EXPECT_TRUE(is_writable(vm, written));
	EXPECT_TRUE(is_writable(vm, large));
	expect_shared(frozen);

	const stage2 clone = vm_of(frozen);

	expect_shared(clone);
	for (const u64 gpa : {written, read_only, shared, large})
		EXPECT_FALSE(is_writable(clone, gpa));
}

TEST_P(Frozen, ACloneThatOwnsAPathOwnsNothingElse)
{
	for (const u64 gpa : {written, shared, large + 0x5000, missing}) {
		stage2 clone = vm_of(frozen);

		ASSERT_NE(own(clone, gpa), nullptr);
		expect_shared(clone);
		for (const u64 at : {written, read_only, shared, large, large + 0x5000})
			EXPECT_FALSE(is_writable(clone, at)) << std::hex << at << " after " << gpa;
	}
	EXPECT_EQ(stage2_look(&vm, written).leaf & GetParam().format->owned, GetParam().format->owned)
		<< "the tables that were the VM's are as they were";
}

TEST_P(Frozen, ClonesOfClonesToo)
{
	const stage2_format &f = *GetParam().format;
	stage2 clone = vm_of(frozen);

	stage2_set(&clone, own(clone, shared), stage2_leaf(&f, 0x9000, true, true) | f.owned);

	stage2 again = image();

	for (int i = 0; i < STAGE2_ENTRIES; i++)
		again.root[i] = clone.root[i] & f.owned ? clone.root[i] & ~(f.owned | f.write) : clone.root[i];

	stage2 last = vm_of(again);

	ASSERT_NE(own(last, written), nullptr);
	EXPECT_EQ(stage2_look(&last, shared).leaf, stage2_leaf(&f, 0x9000, false, true) | f.cow);
	EXPECT_EQ(stage2_look(&last, written).leaf, stage2_leaf(&f, 0x5000, false, true) | f.cow);
	for (const u64 gpa : {written, read_only, shared, large})
		EXPECT_FALSE(is_writable(last, gpa));
}

const auto formats = ::testing::Values(shape{"npt4", &npt}, shape{"npt5", &npt5}, shape{"ept4", &ept});
const auto name_of = [](const auto &test) { return std::string(test.param.name); };

INSTANTIATE_TEST_SUITE_P(Formats, Stage2, formats, name_of);
INSTANTIATE_TEST_SUITE_P(Formats, Frozen, formats, name_of);

}
