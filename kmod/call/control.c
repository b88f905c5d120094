// SPDX-License-Identifier: GPL-2.0-only
/*
 * control.c - the CONTROL call: start, pause, resume, kill, remove, notify.
 */
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/control.h"
#include "sched/worker.h"
#include "vm/life.h"
#include "vm/table.h"
#include "vm/vm.h"

static bool control_is_sane(const struct mayfly_control *control, u32 flags)
{
	if (control->flags & ~flags ||
	    memchr_inv(control->reserved, 0, sizeof(control->reserved)) ||
	    control->op < MAYFLY_OP_START || control->op > MAYFLY_OP_NOTIFY)
		return false;
	return control->op == MAYFLY_OP_NOTIFY ?
		       control->port < MAYFLY_EVENT_PORTS : !control->port;
}

static int start_vm(struct vm *vm)
{
	int ret = worker_make_first(vm->pool, vm->owner);

	return ret ?: life_start(vm);
}

static int apply_op(struct vm *vm, const struct mayfly_control *control, const void *holder)
{
	switch (control->op) {
	case MAYFLY_OP_START:
		return start_vm(vm);
	case MAYFLY_OP_PAUSE:
		return life_pause(vm, control->flags & MAYFLY_CONTROL_HOLD ? holder : NULL);
	case MAYFLY_OP_RESUME:
		return life_resume(vm);
	case MAYFLY_OP_KILL:
		return life_kill(vm);
	case MAYFLY_OP_REMOVE:
		return life_remove(vm);
	default:
		return life_notify(vm, control->port);
	}
}

/**
 * control_one - CONTROL on a VM descriptor
 * @vm: its VM; permission was checked when it was opened
 * @control: copied from the caller; @done is set
 * @holder: who holds the VM if it is to be held, until life_let_go()
 *
 * Context: may sleep.
 * Return: the operation's result, or -EINVAL.
 */
int control_one(struct vm *vm, struct mayfly_control *control, const void *holder)
{
	u32 flags = control->op == MAYFLY_OP_PAUSE ? MAYFLY_CONTROL_HOLD : 0;
	int ret;

	if (!control_is_sane(control, flags) || control->ids || control->results || control->count)
		return -EINVAL;
	ret = apply_op(vm, control, holder);
	control->done = !ret;
	return ret;
}

static int control_id(u64 id, const struct mayfly_control *control)
{
	struct vm *vm = table_find(id);
	int ret = -EPERM;

	if (!vm)
		return -ENOENT;
	if (vm_may_use(vm->key.uid))
		ret = apply_op(vm, control, NULL);
	vm_put(vm);
	return ret;
}

/**
 * control_many - CONTROL on the device
 * @control: copied from the caller; @done is set, even on errors
 *
 * Context: may sleep.
 * Return: 0 when every id was tried, -EINVAL, -EFAULT, -EINTR.
 */
int control_many(struct mayfly_control *control)
{
	u64 __user *ids = u64_to_user_ptr(control->ids);
	s32 __user *results = u64_to_user_ptr(control->results);
	u32 i;

	control->done = 0;
	if (!control_is_sane(control, 0) || !control->count || control->count > MAYFLY_MAX_BATCH)
		return -EINVAL;
	for (i = 0; i < control->count; i++) {
		u64 id;
		s32 ret;

		if (get_user(id, ids + i))
			return -EFAULT;
		ret = control_id(id, control);
		control->done += !ret;
		if (results && put_user(ret, results + i))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}
