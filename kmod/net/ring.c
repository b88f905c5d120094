// SPDX-License-Identifier: GPL-2.0-only
/*
 * ring.c - the host's end of a guest's ring.
 *
 * Entries are done with in their order, and before the guest goes on. So how far we have
 * come is the index of the used ring, which the guest may spoil for itself only.
 */
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/overflow.h>

#include "debug/mutation.h"
#include "net/ring.h"

#define INDEX(idx)	((idx) % MAYFLY_RING_SIZE)

/**
 * ring_tx - the ring of what a guest sends
 * @page: its queue page
 *
 * Return: the ring.
 */
struct ring ring_tx(struct mayfly_net_page *page)
{
	return (struct ring){
		.desc = page->tx_desc,
		.avail = &page->tx_avail,
		.used = &page->tx_used,
	};
}

/**
 * ring_rx - the ring of what a guest receives
 * @page: its queue page
 *
 * Return: the ring.
 */
struct ring ring_rx(struct mayfly_net_page *page)
{
	return (struct ring){
		.desc = page->rx_desc,
		.avail = &page->rx_avail,
		.used = &page->rx_used,
		.write = true,
	};
}

/* A copy, each word of which is read once. */
static struct mayfly_ring_desc read_desc(const struct mayfly_ring_desc *desc)
{
	return (struct mayfly_ring_desc){
		.gpa = READ_ONCE(desc->gpa),
		.length = READ_ONCE(desc->length),
		.flags = READ_ONCE(desc->flags),
		.next = READ_ONCE(desc->next),
	};
}

static bool desc_is_sane(const struct mayfly_ring_desc *desc, bool write)
{
	u64 end;

	return !(desc->flags & ~(MAYFLY_DESC_NEXT | MAYFLY_DESC_WRITE)) &&
	       !!(desc->flags & MAYFLY_DESC_WRITE) == write && desc->length &&
	       !check_add_overflow(desc->gpa, (u64)desc->length, &end);
}

/* Returns 1, or -EPROTO. The bound also ends chains that loop. */
static int read_chain(const struct ring *ring, u16 head, struct ring_chain *chain)
{
	struct mayfly_ring_desc desc = { .flags = MAYFLY_DESC_NEXT, .next = head };

	chain->head = head;
	chain->bytes = 0;
	for (chain->count = 0; desc.flags & MAYFLY_DESC_NEXT; chain->count++) {
		if (chain->count == MAYFLY_RING_CHAIN || desc.next >= MAYFLY_RING_SIZE)
			return -EPROTO;
		/* No CPU guesses what is beyond: the mask does what the branch may not yet. */
		desc = read_desc(&ring->desc[INDEX(desc.next)]);
		if (!desc_is_sane(&desc, ring->write) ||
		    check_add_overflow(chain->bytes, desc.length, &chain->bytes))
			return -EPROTO;
		chain->buffers[chain->count] = (struct ring_buffer){
			.gpa = desc.gpa, .length = desc.length,
		};
	}
	return 1;
}

/**
 * ring_look - what the guest has for us
 * @ring: the ring
 * @ahead: entries that the caller has looked at and not yet published
 * @chain: to fill
 *
 * Return: 1; 0 if there is nothing more; -EPROTO if the guest has made a mistake, and must
 * not be trusted with this ring any more.
 */
int ring_look(const struct ring *ring, unsigned int ahead, struct ring_chain *chain)
{
	u16 done = READ_ONCE(ring->used->idx);
	u16 there = READ_ONCE(ring->avail->idx) - done;

	if (there > MAYFLY_RING_SIZE && !mutation_is(MUTATION_RING))
		return -EPROTO;
	if (ahead >= there)
		return 0;
	return read_chain(ring, READ_ONCE(ring->avail->ring[INDEX(done + ahead)]), chain);
}

/**
 * ring_finish - say what has become of an entry, which the guest does not see yet
 * @ring: the ring
 * @ahead: entries finished and not yet published
 * @head: of the entry
 * @written: bytes
 */
void ring_finish(const struct ring *ring, unsigned int ahead, u16 head, u32 written)
{
	struct mayfly_ring_done *done = &ring->used->ring[INDEX(READ_ONCE(ring->used->idx) + ahead)];

	WRITE_ONCE(done->id, head);
	WRITE_ONCE(done->length, written);
}

/**
 * ring_publish - let the guest see what is finished
 * @ring: the ring
 * @count: entries
 *
 * Context: the guest is not running, so nothing need be ordered.
 */
void ring_publish(const struct ring *ring, unsigned int count)
{
	WRITE_ONCE(ring->used->idx, READ_ONCE(ring->used->idx) + count);
}
