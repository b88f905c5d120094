// SPDX-License-Identifier: GPL-2.0-only
/*
 * console.c - the last bytes a guest has written: a ring that forgets its oldest.
 */
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "mem/pages.h"
#include "vm/console.h"

/**
 * console_init - an empty console
 * @console: all zero
 */
void console_init(struct console *console)
{
	spin_lock_init(&console->lock);
}

static size_t ring_capacity(const struct console *console)
{
	return console->page ? PAGE_SIZE : CONSOLE_INLINE;
}

static char *ring_of(struct console *console)
{
	return console->page ?: console->ring;
}

/* Both sizes are powers of two, so a position has one place in each ring. */
static char *place_in_ring(struct console *console, u64 position)
{
	return &ring_of(console)[position & (ring_capacity(console) - 1)];
}

static u64 oldest_in_ring(const struct console *console)
{
	size_t size = ring_capacity(console);

	return console->head > size ? console->head - size : 0;
}

static void grow_ring(struct console *console)
{
	struct page *page = pages_alloc(MEMORY_ATOMIC | __GFP_ZERO);
	u64 i;

	lockdep_assert_held(&console->lock);
	if (!page)
		return;	/* The small ring goes on; old bytes are lost sooner. */
	for (i = oldest_in_ring(console); i < console->head; i++)
		((char *)page_address(page))[i & (PAGE_SIZE - 1)] =
			*place_in_ring(console, i);
	console->page = page_address(page);
}

/**
 * console_write - append
 * @console: the guest's
 * @bytes: from it
 * @length: how many
 *
 * Context: any but hard interrupt. May allocate a page, charged to the active
 * memcg.
 */
void console_write(struct console *console, const char *bytes, size_t length)
{
	size_t i;

	spin_lock(&console->lock);
	if (!console->page && console->head + length > CONSOLE_INLINE)
		grow_ring(console);
	for (i = 0; i < length; i++)
		*place_in_ring(console, console->head++) = bytes[i];
	spin_unlock(&console->lock);
}

/**
 * console_read - copy bytes, starting at a position
 * @console: the guest's
 * @position: where to start; moved past bytes that were copied or are lost
 * @bytes: destination
 * @length: its size
 *
 * Context: any but hard interrupt.
 * Return: bytes copied, 0 when there are no newer ones.
 */
size_t console_read(struct console *console, u64 *position, char *bytes,
		    size_t length)
{
	size_t i;

	spin_lock(&console->lock);
	*position = max(*position, oldest_in_ring(console));
	length = min_t(u64, length, console->head - *position);
	for (i = 0; i < length; i++)
		bytes[i] = *place_in_ring(console, (*position)++);
	spin_unlock(&console->lock);
	return length;
}

/**
 * console_lost - bytes that have been overwritten
 * @console: the guest's
 *
 * Return: how many since the beginning.
 */
u64 console_lost(struct console *console)
{
	u64 lost;

	spin_lock(&console->lock);
	lost = oldest_in_ring(console);
	spin_unlock(&console->lock);
	return lost;
}

/**
 * console_free - free a console's page
 * @console: no longer used by anybody
 */
void console_free(struct console *console)
{
	if (console->page)
		pages_free(virt_to_page(console->page));
}
