// SPDX-License-Identifier: GPL-2.0-only
/*
 * devpage.c - device page and guest clock.
 *
 * The device page is written here and nowhere else, while the vCPU is out of guest
 * mode; the guest can only read it.
 */
#include <linux/inetdevice.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/string.h>
#include <asm/tsc.h>

#include "cpu/clock.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "net/port.h"
#include "uapi/mayfly_net.h"
#include "vm/devpage.h"
#include "vm/vm.h"

/* How far Unix time may be off. */
#define WALL_SLACK_NS	(10 * NSEC_PER_USEC)
/* How often it is compared with the host's, which may be slewed. In jiffies */
#define WALL_CHECK	HZ

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
	/* Somebody may be setting it, if the caller does not claim the VM: then it is wrong. */
	u32 khz = READ_ONCE(vm->vcpu.state.tsc_khz);
	struct clock_scale scale = clock_scale_of(khz);

	return clock_ns(&scale, clock_ticks(khz, rdtsc()) + vm->vcpu.state.tsc_offset);
}

/*
 * When a guest's clock began, in Unix time. Two clocks cannot be read at once, and an SMI
 * or a hypervisor below may come in between: returns false if that is so.
 */
static bool measure_wall(const struct vm *vm, u64 *wall_ns)
{
	struct clock_scale scale = clock_scale_of(vm->vcpu.state.tsc_khz);
	unsigned int tries = 3;
	unsigned long flags;
	u64 before, took, unix_ns;

	local_irq_save(flags);
	do {
		before = rdtsc();
		unix_ns = ktime_get_real_ns();
		took = rdtsc() - before;
	} while (clock_ns(&clock_scale, took) > WALL_SLACK_NS && --tries);
	local_irq_restore(flags);
	*wall_ns = unix_ns -
		   clock_ns(&scale, clock_guest_tsc(&vm->vcpu.state, before + took / 2));
	return tries;
}

static u32 clock_flags(void)
{
	return devpage_clock_is_stable() ? MAYFLY_CLOCK_STABLE : 0;
}

/*
 * The guest may have been stopped between its two looks at seq, at this page or at another
 * one of this clock.
 */
static void write_clock(struct vm *vm)
{
	struct clock_scale scale = clock_scale_of(vm->vcpu.state.tsc_khz);
	struct mayfly_device_page *page = vm->device_page;

	page->clock.seq = vm->vcpu.state.clock_seq += 2;
	page->clock.flags = clock_flags();
	page->clock.mult = scale.mult;
	page->clock.shift = scale.shift;
	page->clock.wall_ns = vm->wall_ns;
}

static void set_wall(struct vm *vm, u64 wall_ns)
{
	vm->wall_ns = wall_ns;
	if (vm->device_page)	/* Or else devpage_fill() will see it. */
		write_clock(vm);
}

/**
 * devpage_renew - a guest's clock, or its generation, has been set
 * @vm: out of guest mode
 *
 * Unix time, which the guest adds up from its clock and a field on the device page,
 * stays right.
 *
 * Context: pool->lock held.
 */
void devpage_renew(struct vm *vm)
{
	struct mayfly_device_page *page = vm->device_page;
	u64 wall_ns;

	measure_wall(vm, &wall_ns);
	set_wall(vm, wall_ns);
	if (page)
		page->generation = vm->vcpu.state.generation;
}

static void compare_with_host(struct vm *vm)
{
	s64 offset = ktime_mono_to_real(0);
	u64 wall_ns;

	if (!measure_wall(vm, &wall_ns) && vm->host_offset == offset)
		return;	/* Later. */
	vm->host_offset = offset;
	vm->wall_due = jiffies + WALL_CHECK;
	if (wall_ns - vm->wall_ns + WALL_SLACK_NS > 2 * WALL_SLACK_NS)
		set_wall(vm, wall_ns);
}

/**
 * devpage_follow_host - has the host's clock been set, or slewed?
 * @vm: claimed, warm and out of guest mode
 *
 * Its Unix time is then the guest's, too: at once if it has been set, or else within
 * a second. The guest's own clock never changes: it shows how long the VM has lived.
 *
 * Context: preemption off.
 */
void devpage_follow_host(struct vm *vm)
{
	/* Slewing does not change the difference, setting does. */
	if (likely(vm->host_offset == ktime_mono_to_real(0) &&
		   time_before(jiffies, vm->wall_due)))
		return;
	compare_with_host(vm);
}

/**
 * devpage_begin - give a new VM its random numbers and its clock, which is 0 now or goes
 * on from its image's
 * @vm: not yet published
 *
 * The numbers come from the kernel's batch, at a fifth of the cost of a fresh request.
 */
void devpage_begin(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->seed); i++)
		vm->seed[i] = get_random_u64();
	clock_set_tsc(&vm->vcpu.state, vm->memory.image->start.state.tsc_offset);
	measure_wall(vm, &vm->wall_ns);
	vm->host_offset = ktime_mono_to_real(0);
	vm->wall_due = jiffies + WALL_CHECK;
}

static void add_net(struct mayfly_device_page *page, const struct port *port)
{
	struct mayfly_net_config config = {
		.mtu = port->subnet.mtu,
		.ip4 = (__force u32)port->ip4,
		.gw4 = (__force u32)port->subnet.gateway,
		.dns4 = (__force u32)port->dns4,
		.prefix4 = inet_mask_len(port->subnet.mask),
		.prefix6 = port->subnet.prefix6,
	};
	struct mayfly_device *device = &page->devices[page->nr_devices++];

	memcpy(config.ip6, &port->ip6, sizeof(config.ip6));
	device->type = MAYFLY_DEVICE_NET;
	device->port = port->event;
	device->ring_gpa = port->rings;
	memcpy(device->config, &config, sizeof(config));
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
	const struct port *port;

	page->magic = MAYFLY_DEVICE_MAGIC;
	page->size = sizeof(*page);
	page->vm_id = vm->id;
	page->generation = vm->vcpu.state.generation;
	page->memory_bytes = vm->memory.size;
	page->args_gpa = MAYFLY_GPA_ARGS;
	page->args_len = vm->args_length;
	page->argc = vm->argc;
	memcpy(page->seed, vm->seed, sizeof(page->seed));
	write_clock(vm);
	memcpy(page->name, vm->key.name, sizeof(page->name));
	for (port = vm->ports; port; port = port->next)
		add_net(page, port);
}
