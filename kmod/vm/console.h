/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * console.h - the console of a guest.
 */
#ifndef MAYFLY_CONSOLE_H
#define MAYFLY_CONSOLE_H

#include <linux/spinlock.h>
#include <linux/types.h>

#define CONSOLE_INLINE	512

/* The last bytes a guest has written; [L] @lock, which is taken alone. */
struct console {
	spinlock_t lock;
	u64 head;			/* [L] bytes written since the beginning; read by others */
	char *page;			/* [L] ring of PAGE_SIZE once the inline one has overflowed */
	char ring[CONSOLE_INLINE];	/* [L] until then */
};

void console_init(struct console *console);
void console_write(struct console *console, const char *bytes, size_t length);
size_t console_read(struct console *console, u64 *position, char *bytes,
		    size_t length);
u64 console_lost(struct console *console);
void console_free(struct console *console);

#endif
