// SPDX-License-Identifier: Apache-2.0
//
// The host's end of a guest's ring: what is right is taken, and anything else is refused.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

extern "C" {
#include "net/ring.h"
}

namespace
{

constexpr unsigned size = MAYFLY_RING_SIZE;

static_assert(offsetof(mayfly_net_page, rx_desc) == 0x400);
static_assert(offsetof(mayfly_net_page, tx_avail) == 0x800 && offsetof(mayfly_net_page, rx_avail) == 0x8c0);
static_assert(offsetof(mayfly_net_page, tx_used) == 0x980 && offsetof(mayfly_net_page, rx_used) == 0xbc0);
static_assert(offsetof(mayfly_net_page, open) == 0xe00);

/// A queue page, and what a good guest does with its ring for sending.
class Ring : public ::testing::Test
{
protected:
	/// A descriptor of \p length bytes; with \p next it is not the last one.
	void describe(unsigned at, std::uint32_t length, int next = -1)
	{
		page->tx_desc[at] = {.gpa = 0x10000u * (at + 1),
				     .length = length,
				     .flags = static_cast<std::uint16_t>(next < 0 ? 0 : MAYFLY_DESC_NEXT),
				     .next = static_cast<std::uint16_t>(next < 0 ? 0 : next)};
	}
	void offer(unsigned head)
	{
		page->tx_avail.ring[page->tx_avail.idx % size] = static_cast<std::uint16_t>(head);
		page->tx_avail.idx++;
	}
	/// Both rings stand at \p idx.
	void stand_at(std::uint16_t idx) { page->tx_avail.idx = page->tx_used.idx = idx; }
	int look(unsigned ahead = 0) { return ring_look(&tx, ahead, &chain); }

	std::unique_ptr<mayfly_net_page> page = std::make_unique<mayfly_net_page>();
	ring tx = ring_tx(page.get());
	ring_chain chain{};
};

TEST_F(Ring, AnEmptyOneHasNothing)
{
	EXPECT_EQ(look(), 0);
}

TEST_F(Ring, AChainIsTakenInItsOrder)
{
	describe(5, 12, 63);
	describe(63, 100, 0);
	describe(0, 1);
	offer(5);
	ASSERT_EQ(look(), 1);
	EXPECT_EQ(chain.head, 5);
	ASSERT_EQ(chain.count, 3);
	EXPECT_EQ(chain.bytes, 113u);
	EXPECT_EQ(chain.buffers[0].gpa, 0x60000u);
	EXPECT_EQ(chain.buffers[1].gpa, 0x400000u);
	EXPECT_EQ(chain.buffers[1].length, 100u);
	EXPECT_EQ(chain.buffers[2].gpa, 0x10000u);
	EXPECT_EQ(look(1), 0);
}

TEST_F(Ring, EntriesAreSeenWhenTheyArePublished)
{
	// Over the end of the ring, and of the index.
	stand_at(0xfffe);
	for (const unsigned at : {1u, 2u, 3u}) {
		describe(at, at);
		offer(at);
	}
	for (const unsigned ahead : {0u, 1u, 2u}) {
		ASSERT_EQ(look(ahead), 1);
		EXPECT_EQ(chain.head, ahead + 1);
		ring_finish(&tx, ahead, chain.head, 10 * chain.head);
		EXPECT_EQ(page->tx_used.idx, 0xfffe);
	}
	EXPECT_EQ(look(3), 0);
	ring_publish(&tx, 3);
	EXPECT_EQ(page->tx_used.idx, 1);
	EXPECT_EQ(page->tx_used.ring[62].id, 1u);
	EXPECT_EQ(page->tx_used.ring[63].length, 20u);
	EXPECT_EQ(page->tx_used.ring[0].id, 3u);
	EXPECT_EQ(look(), 0);
}

TEST_F(Ring, AllEntriesMayBeThere)
{
	describe(0, 1);
	for (unsigned i = 0; i < size; i++)
		offer(0);
	EXPECT_EQ(look(), 1);
	EXPECT_EQ(look(size - 1), 1);
	EXPECT_EQ(look(size), 0);
}

TEST_F(Ring, OneThatIsAheadOfItselfIsRefused)
{
	describe(0, 1);
	for (unsigned i = 0; i < size + 1; i++)
		offer(0);
	EXPECT_EQ(look(), -EPROTO);
	// Behind what has been done.
	stand_at(7);
	page->tx_used.idx++;
	EXPECT_EQ(look(), -EPROTO);
}

TEST_F(Ring, AnIndexIsInTheRing)
{
	describe(0, 1, size);
	offer(0);
	EXPECT_EQ(look(), -EPROTO);
	describe(0, 1, 0xffff);
	EXPECT_EQ(look(), -EPROTO);
	describe(0, 1);
	page->tx_avail.ring[0] = size;
	EXPECT_EQ(look(), -EPROTO);
}

TEST_F(Ring, AChainIsShortAndEnds)
{
	for (unsigned i = 0; i < MAYFLY_RING_CHAIN; i++)
		describe(i, 1, static_cast<int>(i + 1));
	describe(MAYFLY_RING_CHAIN - 1, 1);
	offer(0);
	ASSERT_EQ(look(), 1);
	EXPECT_EQ(chain.count, MAYFLY_RING_CHAIN);
	describe(MAYFLY_RING_CHAIN - 1, 1, MAYFLY_RING_CHAIN);
	describe(MAYFLY_RING_CHAIN, 1);
	EXPECT_EQ(look(), -EPROTO);
	describe(0, 1, 0);
	EXPECT_EQ(look(), -EPROTO);
}

TEST_F(Ring, NoFlagIsUnknown)
{
	offer(0);
	for (unsigned flags = 0; flags <= 0xffff; flags++) {
		describe(0, 1);
		page->tx_desc[0].flags = static_cast<std::uint16_t>(flags);
		// Then the next one ends it.
		page->tx_desc[0].next = 1;
		describe(1, 1);
		ASSERT_EQ(look(), flags <= 1 ? 1 : -EPROTO) << flags;
	}
}

TEST_F(Ring, ADirectionIsTheRings)
{
	const ring rx = ring_rx(page.get());

	page->rx_desc[0] = {.gpa = 4096, .length = 4096, .flags = MAYFLY_DESC_WRITE, .next = 0};
	page->rx_avail.idx = 1;
	EXPECT_EQ(ring_look(&rx, 0, &chain), 1);
	page->rx_desc[0].flags = 0;
	EXPECT_EQ(ring_look(&rx, 0, &chain), -EPROTO);
}

TEST_F(Ring, LengthsAndAddressesDoNotWrap)
{
	offer(0);
	describe(0, 0);
	EXPECT_EQ(look(), -EPROTO) << "empty";
	page->tx_desc[0] = {.gpa = ~0ull, .length = 1, .flags = 0, .next = 0};
	EXPECT_EQ(look(), -EPROTO);
	page->tx_desc[0].gpa--;
	EXPECT_EQ(look(), 1);
	describe(0, 0xffffffff);
	EXPECT_EQ(look(), 1);
	describe(0, 0xffffffff, 1);
	describe(1, 1);
	EXPECT_EQ(look(), -EPROTO) << "all lengths together";
}

/// What is true of every chain that was taken.
bool is_sane(const ring_chain &chain)
{
	std::uint64_t bytes = 0;

	if (chain.count < 1 || chain.count > MAYFLY_RING_CHAIN || chain.head >= size)
		return false;
	for (unsigned i = 0; i < chain.count; i++) {
		const ring_buffer &one = chain.buffers[i];

		bytes += one.length;
		if (one.length == 0 || one.gpa + one.length < one.gpa)
			return false;
	}
	return bytes == chain.bytes;
}

/// A million pages of anything. The sanitizers see what is read and written beyond them.
TEST_F(Ring, AnyPageIsSurvived)
{
	std::mt19937_64 dice(1);
	unsigned taken = 0, refused = 0;

	for (unsigned i = 0; i < 1'000'000; i++) {
		// A good page, a little bent.
		const auto word = [&] { return static_cast<std::uint16_t>(dice()); };

		stand_at(word());
		for (unsigned at = 0; at < 4; at++)
			describe(at, 1 + word() % 2000, word() % 3 ? -1 : word() % 5);
		for (unsigned n = word() % 5; n; n--)
			offer(word() % 4);
		for (unsigned n = word() % 3; n; n--) {
			auto *bytes = reinterpret_cast<unsigned char *>(page.get());
			const std::size_t at = word() % 2 ? word() % 64
							  : offsetof(mayfly_net_page, tx_avail) + word() % 700;

			bytes[at] = static_cast<unsigned char>(word());
		}
		for (unsigned ahead = 0;; ahead++) {
			const int ret = look(ahead);

			if (ret == 1) {
				ASSERT_TRUE(is_sane(chain));
				ring_finish(&tx, ahead, chain.head, 0);
				taken++;
				continue;
			}
			ASSERT_TRUE(ret == 0 || ret == -EPROTO);
			ASSERT_LE(ahead, size);
			refused += ret != 0;
			ring_publish(&tx, ahead);
			break;
		}
		page->tx_desc[4] = {};
	}
	EXPECT_GT(taken, 100'000u);
	EXPECT_GT(refused, 100'000u);
}

/// A second CPU of the guest's, which Mayfly's do not have, changes a descriptor all the time.
TEST_F(Ring, WhatChangesMeanwhileIsReadOnce)
{
	std::atomic<bool> over = false;
	unsigned taken = 0, wrong = 0;

	offer(0);
	describe(0, 1);

	std::thread other([&] {
		volatile mayfly_ring_desc &desc = page->tx_desc[0];

		for (unsigned i = 0; !over; i++) {
			desc.length = i % 3 ? i % 1000 : 0;
			desc.gpa = i % 5 ? i : ~0ull;
			desc.flags = static_cast<std::uint16_t>(i % 7);
			desc.next = static_cast<std::uint16_t>(i % 11);
		}
	});

	for (unsigned i = 0; i < 300'000 || taken < 1000; i++)
		if (look() == 1) {
			taken++;
			wrong += !is_sane(chain);
		}
	over = true;
	other.join();
	EXPECT_EQ(wrong, 0u);
}

}
