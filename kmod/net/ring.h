/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ring.h - the host's end of a guest's ring.
 *
 * Pure logic on a page of guest memory, tested without a kernel. The guest may have written
 * anything there, at any time: each word is read once, and judged after that.
 */
#ifndef MAYFLY_RING_H
#define MAYFLY_RING_H

#include <linux/types.h>

#include "uapi/mayfly_net.h"

/**
 * struct ring - one of a device's two rings
 * @desc: buffers
 * @avail: what the guest has for us
 * @used: what we have done with
 * @write: we write into the buffers
 */
struct ring {
	const struct mayfly_ring_desc *desc;
	const struct mayfly_ring_avail *avail;
	struct mayfly_ring_used *used;
	bool write;
};

/**
 * struct ring_buffer - a piece of guest memory, as the guest says
 * @gpa: of its first byte
 * @length: in bytes, not 0; @gpa + @length does not wrap
 */
struct ring_buffer {
	u64 gpa;
	u32 length;
};

/**
 * struct ring_chain - the buffers of one entry
 * @head: index of the first descriptor
 * @count: of @buffers, at least 1
 * @bytes: in all of them
 * @buffers: in order
 */
struct ring_chain {
	u16 head;
	u16 count;
	u32 bytes;
	struct ring_buffer buffers[MAYFLY_RING_CHAIN];
};

struct ring ring_tx(struct mayfly_net_page *page);
struct ring ring_rx(struct mayfly_net_page *page);
int ring_look(const struct ring *ring, unsigned int ahead, struct ring_chain *chain);
void ring_finish(const struct ring *ring, unsigned int ahead, u16 head, u32 written);
void ring_publish(const struct ring *ring, unsigned int count);

#endif
