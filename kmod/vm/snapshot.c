// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapshot.c - a VM becomes an image, and goes on.
 *
 * The VM's pages and tables become the image's as they are (memory_freeze()), and the VM
 * is from then on a cold one that was made from that image: the code that warms cold
 * VMs lays it out again. So nothing is copied, and a snapshot costs the same whatever
 * the VM has written. What only the VM has, such as its id, console and arguments,
 * stays with it.
 */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <asm/tsc.h>

#include "mem/image.h"
#include "mem/memory.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "mem/room.h"
#include "vm/access.h"
#include "vm/cold.h"
#include "vm/life.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

/* What the VM will need at once, when all that it had is the image's. */
static u64 layout_pages(const struct vm *vm)
{
	u64 device_page = 1;

	return vm->memory.s2.format->levels + device_page;
}

/*
 * The image's bytes go over from the VM's owner to the image's, mostly the same. The VM
 * must have room for its next layout, and is charged for it, before it is too late to
 * refuse. Returns 0, -ENOMEM or -EDQUOT.
 */
static int pay(struct vm *vm, struct image *image)
{
	u64 bytes = memory_image_pages(&vm->memory) * PAGE_SIZE;
	int ret;

	if (!room_for(vm->memory.memcg, layout_pages(vm), MEMORY_SLEEP))
		return -ENOMEM;
	ret = owner_account(vm->owner, &vm->charged,
			    vm_private_bytes(vm) + layout_pages(vm) * PAGE_SIZE);
	if (ret)
		return ret;
	ret = owner_move(vm->owner, image->owner, bytes);
	if (ret) {
		vm_account(vm);
		return ret;
	}
	image->charged = bytes;
	vm->charged -= bytes;
	return 0;
}

/* All that a clone begins with, but for its memory. */
static void take_start(struct image_start *start, const struct vm *vm)
{
	start->state = vm->vcpu.state;
	start->state.events = atomic64_read(&vm->pending);
	memcpy(start->fpu, vm->vcpu.fpu, sizeof(start->fpu));
	start->tsc = rdtsc() + vm->vcpu.state.tsc_offset;
	start->generation = vm->generation;
	start->clock_seq = vm->clock_seq;
}

static void take_all(struct vm *vm, struct image *image)
{
	take_start(&image->start, vm);
	/* The guest knows how much it has, and may use it to the end. */
	image->memory_min = vm->memory.size;
	image->memory_default = vm->memory.size;
	cold_freeze(vm, image);
	image_publish(image);
	/* Without memory it stays cold until it runs. */
	if (!cold_warm(vm, MEMORY_SLEEP))
		vm_account(vm);
}

/**
 * snapshot_make - make an image of a VM, which goes on
 * @vm: the VM
 * @owner: of the image
 *
 * Context: may sleep.
 * Return: the image with one reference, or ERR_PTR: -ESRCH after the VM's end, -ENOMEM,
 * -EDQUOT, -EINTR. Then the VM is as before.
 */
struct image *snapshot_make(struct vm *vm, struct owner *owner)
{
	struct image *image = image_prepare(owner);
	int ret;

	if (!image)
		return ERR_PTR(-ENOMEM);
	ret = access_open(vm, life_hold);
	if (!ret) {
		ret = pay(vm, image);
		if (!ret)
			take_all(vm, image);
		access_close(vm);
	}
	if (!ret)
		return image;
	image_put(image);
	return ERR_PTR(ret);
}
