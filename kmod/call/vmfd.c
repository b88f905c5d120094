// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmfd.c - VM descriptors: console, end, and calls on one VM.
 *
 * Permission is checked when a descriptor is made; anybody who holds one may use it.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "call/control.h"
#include "call/imagefd.h"
#include "call/memory.h"
#include "call/row.h"
#include "call/state.h"
#include "call/vmfd.h"
#include "mem/pages.h"
#include "sched/attach.h"
#include "vm/access.h"
#include "vm/inspect.h"
#include "vm/life.h"
#include "vm/vm.h"

#define RUN_FLAGS (MAYFLY_RUN_UNTIL_PARK | MAYFLY_RUN_UNTIL_OUTPUT | MAYFLY_RUN_UNTIL_READY)

/* One open descriptor. [I] immutable, [L] @lock: one read at a time. */
struct reader {
	struct vm *vm;		/* [I] */
	struct mutex lock;
	u64 position;		/* [L] in the console; others read it */
};

static bool has_news(struct reader *reader)
{
	return vm_has_ended(reader->vm) ||
	       READ_ONCE(reader->vm->console.head) != READ_ONCE(reader->position);
}

static ssize_t read_some(struct reader *reader, char __user *buffer, size_t length)
{
	char bytes[256];
	size_t done = 0, n;
	u64 position;

	while (done < length) {
		position = reader->position;
		n = console_read(&reader->vm->console, &position, bytes,
				 min(length - done, sizeof(bytes)));
		if (!n)
			break;
		if (copy_to_user(buffer + done, bytes, n))
			return done ? done : -EFAULT;
		WRITE_ONCE(reader->position, position);
		done += n;
		if (signal_pending(current))
			break;
		/* A guest can write as fast as this reads. */
		cond_resched();
	}
	return done;
}

static ssize_t vmfd_read(struct file *file, char __user *buffer, size_t length,
			 loff_t *unused)
{
	struct reader *reader = file->private_data;
	bool ended;
	ssize_t ret;

	if (!length)
		return 0;
	for (;;) {
		ended = vm_has_ended(reader->vm);
		if (mutex_lock_interruptible(&reader->lock))
			return -ERESTARTSYS;
		ret = read_some(reader, buffer, length);
		mutex_unlock(&reader->lock);
		if (ret || ended)
			return ret;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(reader->vm->wait, has_news(reader)))
			return -ERESTARTSYS;
	}
}

static ssize_t vmfd_write(struct file *file, const char __user *buffer,
			  size_t length, loff_t *unused)
{
	return -EOPNOTSUPP;	/* There is no console input yet. */
}

static __poll_t vmfd_poll(struct file *file, poll_table *table)
{
	struct reader *reader = file->private_data;

	poll_wait(file, &reader->vm->wait, table);
	if (vm_has_ended(reader->vm))
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return has_news(reader) ? EPOLLIN | EPOLLRDNORM : 0;
}

static long do_control_one(struct reader *reader, void __user *user)
{
	struct mayfly_control control;
	long ret;

	if (copy_from_user(&control, user, sizeof(control)))
		return -EFAULT;
	ret = control_one(reader->vm, &control, reader);
	if (!ret && copy_to_user(user, &control, sizeof(control)))
		return -EFAULT;
	return ret;
}

static long do_stat(struct vm *vm, void __user *user)
{
	struct mayfly_vm_info info = {};
	struct mayfly_row args;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	inspect_vm(vm, &info, sizeof(info));
	return row_answer(user, &args, &info, sizeof(info));
}

static long do_run(struct vm *vm, void __user *user)
{
	struct mayfly_run run;
	long ret;

	if (copy_from_user(&run, user, sizeof(run)))
		return -EFAULT;
	if (run.flags & ~RUN_FLAGS || run.want ||
	    memchr_inv(run.reserved, 0, sizeof(run.reserved)))
		return -EINVAL;
	run.outcome = 0;
	ret = attach_run(vm, run.flags, &run.outcome);
	if (!ret && copy_to_user(user, &run, sizeof(run)))
		return -EFAULT;
	return ret;
}

/* Here and below: callbacks of state_call() and memory_call(). */
static int get_state(void *vm, const struct mayfly_state *args,
		     struct access_state *state)
{
	int ret = access_get_state(vm, state);

	return ret ?: state_put(args, state);
}

static int set_state(void *vm, const struct mayfly_state *args,
		     struct access_state *state)
{
	size_t given = min_t(size_t, args->registers_size, sizeof(state->registers));
	int ret = state_take(args, state);

	return ret ?: access_set_state(vm, state, given, args->extended_size);
}

static int read_memory(void *vm, u64 gpa, void *buffer, size_t length)
{
	return access_read(vm, gpa, buffer, length);
}

static int write_memory(void *vm, u64 gpa, const void *buffer, size_t length)
{
	return access_write(vm, gpa, buffer, length);
}

static long do_memory(struct vm *vm, void __user *user)
{
	const struct memory_target target = {
		.object = vm, .read = read_memory, .write = write_memory,
	};

	return memory_call(user, &target);
}

static long do_arguments(const struct vm *vm, void __user *user)
{
	struct mayfly_arguments args;
	u32 room;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;
	room = args.size;
	args.size = vm->args_length;
	if (copy_to_user(user, &args, sizeof(args)))
		return -EFAULT;
	if (room < vm->args_length)
		return -EINVAL;
	if (vm->args_length && copy_to_user(u64_to_user_ptr(args.buffer),
					    page_address(vm->args), vm->args_length))
		return -EFAULT;
	return 0;
}

static long vmfd_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct reader *reader = file->private_data;
	void __user *user = (void __user *)arg;

	switch (command) {
	case MAYFLY_CONTROL:
		return do_control_one(reader, user);
	case MAYFLY_STAT:
		return do_stat(reader->vm, user);
	case MAYFLY_RUN:
		return do_run(reader->vm, user);
	case MAYFLY_GET_STATE:
		return state_call(user, get_state, reader->vm);
	case MAYFLY_SET_STATE:
		return state_call(user, set_state, reader->vm);
	case MAYFLY_MEMORY:
		return do_memory(reader->vm, user);
	case MAYFLY_SNAPSHOT:
		return imagefd_snapshot(reader->vm, user);
	case MAYFLY_ARGUMENTS:
		return do_arguments(reader->vm, user);
	default:
		return -ENOTTY;
	}
}

static int vmfd_release(struct inode *inode, struct file *file)
{
	struct reader *reader = file->private_data;
	struct vm *vm = reader->vm;

	life_let_go(vm, reader);
	kfree(reader);
	life_close(vm);
	vm_put(vm);
	return 0;
}

static const struct file_operations vmfd_ops = {
	.owner = THIS_MODULE,
	.read = vmfd_read,
	.write = vmfd_write,
	.poll = vmfd_poll,
	.unlocked_ioctl = vmfd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vmfd_release,
};

/**
 * vmfd_file - make an open file for a VM
 * @vm: the VM; the file takes a reference of its own
 *
 * Context: may sleep.
 * Return: the file, to be installed or put; or ERR_PTR(-ENOMEM or -ENFILE), after
 * which a VM that is not detached has lost a descriptor and may end.
 */
struct file *vmfd_file(struct vm *vm)
{
	struct reader *reader = kzalloc(sizeof(*reader), MEMORY_SLEEP);
	struct file *file = ERR_PTR(-ENOMEM);

	atomic_inc(&vm->descriptors);
	vm_get(vm);
	if (reader) {
		reader->vm = vm;
		mutex_init(&reader->lock);
		file = anon_inode_getfile("[mayfly-vm]", &vmfd_ops, reader, O_RDWR);
	}
	if (IS_ERR(file)) {
		kfree(reader);
		life_close(vm);
		vm_put(vm);
	}
	return file;
}
