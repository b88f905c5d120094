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
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/freezer.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <asm/tsc.h>

#include "cpu/clock.h"
#include "mem/image.h"
#include "mem/memory.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "mem/room.h"
#include "vm/access.h"
#include "vm/cold.h"
#include "vm/life.h"
#include "vm/pool.h"
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
static int pay(struct vm *vm, struct image *image, gfp_t gfp)
{
	u64 bytes = memory_image_pages(&vm->memory) * PAGE_SIZE;
	int ret;

	if (!room_for(vm->memory.memcg, layout_pages(vm), gfp))
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
	vm_copy_state(vm, &start->state, start->fpu);
	start->state.tsc_offset = clock_guest_tsc(&start->state, rdtsc());
}

/* Returns 0 or as pay(): then the VM is as before. */
static int take(struct vm *vm, struct image *image, gfp_t gfp)
{
	int ret = pay(vm, image, gfp);

	if (ret)
		return ret;
	take_start(&image->start, vm);
	/* The guest knows how much it has, and may use it to the end. */
	image->memory_min = vm->memory.size;
	image->memory_default = vm->memory.size;
	cold_freeze(vm, image);
	image_publish(image);
	image_is_derived(image);
	/* Without memory it stays cold until it runs. */
	if (!cold_warm(vm, gfp))
		vm_account(vm);
	return 0;
}

static int take_wherever_it_is(struct vm *vm, struct image *image)
{
	int ret = access_open(vm, life_hold);

	if (ret)
		return ret;
	ret = take(vm, image, MEMORY_SLEEP);
	access_close(vm);
	return ret;
}

static struct image *make(struct vm *vm, struct owner *owner,
			  int (*how)(struct vm *vm, struct image *image))
{
	struct image *image = image_prepare(owner);
	int ret;

	if (!image)
		return ERR_PTR(-ENOMEM);
	ret = how(vm, image);
	if (!ret)
		return image;
	image_put(image);
	return ERR_PTR(ret);
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
	return make(vm, owner, take_wherever_it_is);
}

/*
 * Of somebody who waits until the guest says that it is ready. The claimant takes it out
 * of the VM, and then has it for itself until it is over.
 */
struct snapshot_wish {
	struct image *image;
	struct completion over;
	int ret;
};

/* Returns 0, -ESRCH, -EBUSY when somebody else waits. */
static int make_wish(struct vm *vm, struct snapshot_wish *wish)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm_has_ended(vm))
		ret = -ESRCH;
	else if (vm->wish)
		ret = -EBUSY;
	else
		WRITE_ONCE(vm->wish, wish);
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

/* Returns false when the claimant has it. */
static bool withdraw_wish(struct vm *vm, const struct snapshot_wish *wish)
{
	bool mine;

	spin_lock_irq(&vm->pool->lock);
	mine = vm->wish == wish;
	if (mine)
		WRITE_ONCE(vm->wish, NULL);
	spin_unlock_irq(&vm->pool->lock);
	return mine;
}

static int take_when_ready(struct vm *vm, struct image *image)
{
	struct snapshot_wish wish = { .image = image };
	int ret;

	init_completion(&wish.over);
	ret = make_wish(vm, &wish);
	if (ret)
		return ret;
	/* Whoever gives the claim back wakes us. */
	ret = wait_event_freezable(vm->wait, completion_done(&wish.over) ||
					     vm_has_ended(vm));
	if (withdraw_wish(vm, &wish))
		return ret ? -ERESTARTNOHAND : -ESRCH;
	wait_for_completion(&wish.over);
	return wish.ret;
}

/**
 * snapshot_await - make an image of a VM at the moment that its guest names
 * @vm: the VM
 * @owner: of the image
 *
 * Context: may sleep, until the guest says that it is ready.
 * Return: as snapshot_make(), but -ERESTARTNOHAND; or -EBUSY when somebody else waits.
 */
struct image *snapshot_await(struct vm *vm, struct owner *owner)
{
	return make(vm, owner, take_when_ready);
}

/**
 * snapshot_fulfil - a guest has said that it is ready: take a snapshot if one is wished
 * @vm: claimed by the caller, warm, and out of guest mode; it may be cold afterwards
 * @gfp: MEMORY_ATOMIC for a worker, whom others wait for, or MEMORY_SLEEP
 *
 * Context: may sleep.
 */
void snapshot_fulfil(struct vm *vm, gfp_t gfp)
{
	struct snapshot_wish *wish;

	spin_lock_irq(&vm->pool->lock);
	wish = vm->wish;
	WRITE_ONCE(vm->wish, NULL);
	spin_unlock_irq(&vm->pool->lock);
	if (!wish)
		return;
	wish->ret = take(vm, wish->image, gfp);
	complete(&wish->over);	/* Then it may be gone. */
}
