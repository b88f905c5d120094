// SPDX-License-Identifier: GPL-2.0-only
/*
 * channel.c - device page, guest clock and console.
 *
 * The device page is written here and nowhere else, before the first entry; the
 * guest can only read it. The console is a ring that forgets its oldest bytes.
 */
#include <linux/clocksource.h>
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <asm/tsc.h>

#include "channel.h"
#include "memory.h"
#include "vm.h"

/* The same for all VMs: ns = (tsc * mult) >> shift. */
static u32 clock_mult, clock_shift;

/**
 * channel_setup - at load: find out how fast the TSC is
 *
 * Return: 0, or -EOPNOTSUPP when the kernel does not know.
 */
int channel_setup(void)
{
	if (!tsc_khz)
		return -EOPNOTSUPP;
	clocks_calc_mult_shift(&clock_mult, &clock_shift, tsc_khz,
			       NSEC_PER_MSEC, 0);
	return 0;
}

/**
 * channel_clock_is_stable - may guests trust the TSC?
 *
 * Return: true when the host does.
 */
bool channel_clock_is_stable(void)
{
	return !check_tsc_unstable();
}

/**
 * channel_guest_now - what a guest's clock shows
 * @vm: the VM
 *
 * Return: ns since it was made.
 */
u64 channel_guest_now(const struct vm *vm)
{
	return mul_u64_u32_shr(rdtsc() + vm->tsc_offset, clock_mult, clock_shift);
}

/**
 * channel_seed - give a new VM its random numbers
 * @vm: not yet to be found by anybody
 *
 * From the kernel's batch of them, a fifth of a fresh request's cost.
 */
void channel_seed(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->seed); i++)
		vm->seed[i] = get_random_u64();
}

/**
 * channel_fill - write a VM's device page
 * @vm: with an empty one; claimed, or not yet to be found by anybody
 *
 * All that is on it comes from @vm, so that it can be forgotten and written again.
 *
 * Context: any.
 */
void channel_fill(struct vm *vm)
{
	struct mayfly_device_page *page = vm->device_page;

	page->magic = MAYFLY_DEVICE_MAGIC;
	page->size = sizeof(*page);
	page->vm_id = vm->id;
	page->generation = 1;
	page->memory_bytes = vm->memory.size;
	page->args_gpa = MAYFLY_GPA_ARGS;
	page->args_len = vm->args_length;
	page->argc = vm->argc;
	memcpy(page->seed, vm->seed, sizeof(page->seed));
	page->clock.flags = channel_clock_is_stable() ? MAYFLY_CLOCK_STABLE : 0;
	page->clock.mult = clock_mult;
	page->clock.shift = clock_shift;
	page->clock.wall_ns = vm->created_ns;
	memcpy(page->name, vm->key.name, sizeof(page->name));
}

/**
 * console_init - an empty console
 * @console: all zero
 */
void console_init(struct console *console)
{
	spin_lock_init(&console->lock);
}

static size_t capacity(const struct console *console)
{
	return console->page ? PAGE_SIZE : CONSOLE_INLINE;
}

static char *ring(struct console *console)
{
	return console->page ?: console->ring;
}

/* Both sizes are powers of two, so a position has one place in each. */
static char *place(struct console *console, u64 position)
{
	return &ring(console)[position & (capacity(console) - 1)];
}

static u64 oldest(const struct console *console)
{
	size_t size = capacity(console);

	return console->head > size ? console->head - size : 0;
}

static void grow(struct console *console)
{
	struct page *page = pages_alloc(MEMORY_ATOMIC | __GFP_ZERO);
	u64 i;

	if (!page)
		return;	/* The small ring goes on; old bytes are lost sooner. */
	for (i = oldest(console); i < console->head; i++)
		((char *)page_address(page))[i & (PAGE_SIZE - 1)] =
			*place(console, i);
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
		grow(console);
	for (i = 0; i < length; i++)
		*place(console, console->head++) = bytes[i];
	spin_unlock(&console->lock);
}

/**
 * console_read - take bytes from a position on
 * @console: the guest's
 * @position: where to start; moved past what was taken, and past what is lost
 * @bytes: destination
 * @length: its size
 *
 * Context: any but hard interrupt.
 * Return: bytes taken, 0 when there are no newer ones.
 */
size_t console_read(struct console *console, u64 *position, char *bytes,
		    size_t length)
{
	size_t i;

	spin_lock(&console->lock);
	*position = max(*position, oldest(console));
	length = min_t(u64, length, console->head - *position);
	for (i = 0; i < length; i++)
		bytes[i] = *place(console, (*position)++);
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
	lost = oldest(console);
	spin_unlock(&console->lock);
	return lost;
}

/**
 * console_free - give its page back
 * @console: nobody uses it any more
 */
void console_free(struct console *console)
{
	if (console->page)
		pages_free(virt_to_page(console->page));
}
