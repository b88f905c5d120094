// SPDX-License-Identifier: GPL-2.0-only
/*
 * devpage.c - device page and guest clock.
 *
 * The device page is written here and nowhere else, while the vCPU is out of guest
 * mode; the guest can only read it.
 */
#include <linux/clocksource.h>
#include <linux/math64.h>
#include <linux/random.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <asm/tsc.h>

#include "mem/memory.h"
#include "vm/devpage.h"
#include "vm/vm.h"

/* The same for all VMs: ns = (tsc * mult) >> shift. */
static u32 clock_mult, clock_shift;

/**
 * devpage_setup - at load: find out the TSC's frequency
 *
 * Return: 0, or -EOPNOTSUPP when the kernel does not know.
 */
int devpage_setup(void)
{
	if (!tsc_khz)
		return -EOPNOTSUPP;
	clocks_calc_mult_shift(&clock_mult, &clock_shift, tsc_khz,
			       NSEC_PER_MSEC, 0);
	return 0;
}

/**
 * devpage_clock_is_stable - may guests trust the TSC?
 *
 * Return: true when the host does.
 */
bool devpage_clock_is_stable(void)
{
	return !check_tsc_unstable();
}

/**
 * devpage_guest_now - what a guest's clock shows
 * @vm: the VM
 *
 * Return: ns since it was made.
 */
u64 devpage_guest_now(const struct vm *vm)
{
	return mul_u64_u32_shr(rdtsc() + vm->vcpu.state.tsc_offset, clock_mult, clock_shift);
}

/**
 * devpage_set_clock - move a guest's clock
 * @vm: out of guest mode
 * @tsc_offset: guest TSC = host TSC + this
 *
 * Unix time, which the guest adds up from its clock and a field on the device page,
 * stays right.
 *
 * Context: pool->lock held.
 */
void devpage_set_clock(struct vm *vm, u64 tsc_offset)
{
	struct mayfly_device_page *page = vm->device_page;

	if (vm->vcpu.state.tsc_offset == tsc_offset)
		return;
	vm->vcpu.state.tsc_offset = tsc_offset;
	vm->wall_ns = ktime_get_real_ns() - devpage_guest_now(vm);
	if (!page)
		return;	/* Cold: devpage_fill() will see it. */
	/* The guest may have been stopped between its two looks at seq. */
	page->clock.seq += 2;
	page->clock.wall_ns = vm->wall_ns;
}

/**
 * devpage_seed - give a new VM its random numbers
 * @vm: not yet published
 *
 * They come from the kernel's batch, at a fifth of the cost of a fresh request.
 */
void devpage_seed(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->seed); i++)
		vm->seed[i] = get_random_u64();
}

/**
 * devpage_fill - write a VM's device page
 * @vm: with an empty one; claimed, or not yet published
 *
 * Its whole content comes from @vm, so it can be dropped and written again.
 *
 * Context: any.
 */
void devpage_fill(struct vm *vm)
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
	page->clock.flags = devpage_clock_is_stable() ? MAYFLY_CLOCK_STABLE : 0;
	page->clock.mult = clock_mult;
	page->clock.shift = clock_shift;
	page->clock.wall_ns = vm->wall_ns;
	memcpy(page->name, vm->key.name, sizeof(page->name));
}
