// SPDX-License-Identifier: GPL-2.0-only
/*
 * dev.c - /dev/mayfly and image descriptors.
 *
 * Each call copies its argument once, in whole, checks it, and hands it to the file
 * that does the work.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "call/control.h"
#include "call/dev.h"
#include "call/spawn.h"
#include "call/vmfd.h"
#include "cpu/backend.h"
#include "cpu/state.h"
#include "debug/tlbmodel.h"
#include "mem/image.h"
#include "vm/cold.h"
#include "vm/devpage.h"
#include "vm/inspect.h"
#include "vm/life.h"
#include "vm/owner.h"
#include "vm/pool.h"
#include "vm/table.h"
#include "vm/vm.h"

/* One open of the device. */
struct client {
	u64 seen;	/* life_ended_count() when its last LIST began; the last writer wins */
};

static int image_release(struct inode *inode, struct file *file)
{
	image_put(file->private_data);
	return 0;
}

static const struct file_operations image_ops = {
	.owner = THIS_MODULE,
	.release = image_release,
	.llseek = no_llseek,
};

/* On success installs the descriptor, otherwise frees it. Returns @ret. */
static long finish_fd(int fd, struct file *file, long ret)
{
	if (!ret && file) {
		fd_install(fd, file);
		return 0;
	}
	if (file)
		fput(file);
	if (fd >= 0)
		put_unused_fd(fd);
	return ret;
}

static long do_info(void __user *user)
{
	struct mayfly_info info = {
		.api_version = MAYFLY_API_VERSION,
		.backend = backend->id,
		.images = image_count(),
		.pools = pool_count(),
		.pages = pages_count(),
		.memory_default = MAYFLY_MEMORY_DEFAULT,
		.memory_max = MAYFLY_MEMORY_MAX,
		.vm_overhead = sizeof(struct vm),
		.spawned = vm_spawned(),
		.parked = life_parked_count(),
		.flags = (devpage_clock_is_stable() ? MAYFLY_INFO_CLOCK : 0) |
			 (tlbmodel_is_on() ? MAYFLY_INFO_DEBUG : 0),
		.cold = cold_count(),
		.warmed = cold_warmed(),
	};

	owner_report(&info);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long do_image_create(void __user *user)
{
	struct mayfly_image_create create;
	struct image *image;
	int fd;

	if (copy_from_user(&create, user, sizeof(create)))
		return -EFAULT;
	if (!state_canonical(create.rip))
		return -EINVAL;
	image = image_create(&create);
	if (IS_ERR(image))
		return PTR_ERR(image);
	fd = anon_inode_getfd("[mayfly-image]", &image_ops, image, O_CLOEXEC);
	if (fd < 0)
		image_put(image);
	return fd;
}

static long spawn_from_fd(struct mayfly_spawn *args, struct file **file)
{
	struct fd image = fdget(args->image);
	long ret = -EINVAL;

	if (!image.file)
		return -EBADF;
	if (image.file->f_op == &image_ops)
		ret = spawn(args, image.file->private_data, file);
	fdput(image);
	return ret;
}

static long do_spawn(void __user *user)
{
	struct mayfly_spawn args;
	struct file *file = NULL;
	int fd = -1;
	long ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	args.created = 0;
	args.fd = -1;
	if (!(args.flags & MAYFLY_SPAWN_DETACHED))
		fd = get_unused_fd_flags(O_CLOEXEC);
	ret = args.flags & MAYFLY_SPAWN_DETACHED || fd >= 0 ?
		      spawn_from_fd(&args, &file) : fd;
	if (!ret)
		args.fd = fd;
	/* On errors too: the caller must know how many VMs it has. */
	if (copy_to_user(user, &args, sizeof(args)) && !ret)
		ret = -EFAULT;
	return finish_fd(fd, file, ret);
}

static int list_row(struct vm *vm, struct mayfly_vm_info __user *row)
{
	struct mayfly_vm_info info = {};

	inspect_describe(vm, &info);
	return copy_to_user(row, &info, sizeof(info)) ? -EFAULT : 0;
}

static int list_rows(struct mayfly_list *list)
{
	struct mayfly_vm_info __user *rows = u64_to_user_ptr(list->rows);
	bool all = vm_may_all();
	u32 room = list->count;
	u64 id = list->from;
	struct vm *vm;
	int ret = 0;

	list->count = 0;
	while (list->count < room && (vm = table_find_from(&id))) {
		if (all || vm_is_own(vm))
			ret = list_row(vm, rows + list->count++);
		vm_put(vm);
		if (ret)
			return ret;
		id++;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	list->next = list->count == room ? id : 0;
	return 0;
}

static long do_list(struct client *client, void __user *user)
{
	struct mayfly_list list;
	int ret;

	if (copy_from_user(&list, user, sizeof(list)))
		return -EFAULT;
	if (list.flags || memchr_inv(list.reserved, 0, sizeof(list.reserved)) ||
	    !list.count || list.count > MAYFLY_MAX_BATCH)
		return -EINVAL;
	if (!list.from)
		WRITE_ONCE(client->seen, life_ended_count());
	ret = list_rows(&list);
	if (!ret && copy_to_user(user, &list, sizeof(list)))
		ret = -EFAULT;
	return ret;
}

static struct vm *find_to_open(const struct mayfly_open *args)
{
	return args->id ? table_find(args->id) : table_find_name(args->name);
}

static struct file *open_file(const struct mayfly_open *args)
{
	struct file *file = ERR_PTR(-EPERM);
	struct vm *vm = find_to_open(args);

	if (!vm)
		return ERR_PTR(-ENOENT);
	if (vm_may(vm))
		file = vmfd_file(vm);
	vm_put(vm);
	return file;
}

static long do_open(void __user *user)
{
	struct mayfly_open args;
	struct file *file;
	long ret = 0;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)) ||
	    !memchr(args.name, 0, sizeof(args.name)) ||
	    !args.id == !args.name[0])
		return -EINVAL;
	file = open_file(&args);
	if (IS_ERR(file))
		return PTR_ERR(file);
	args.fd = get_unused_fd_flags(O_CLOEXEC);
	if (args.fd < 0)
		ret = args.fd;
	else if (copy_to_user(user, &args, sizeof(args)))
		ret = -EFAULT;
	return finish_fd(args.fd, file, ret);
}

static long do_control_many(void __user *user)
{
	struct mayfly_control control;
	long ret;

	if (copy_from_user(&control, user, sizeof(control)))
		return -EFAULT;
	ret = control_many(&control);
	if (copy_to_user(user, &control, sizeof(control)) && !ret)
		ret = -EFAULT;
	return ret;
}

static long dev_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (command) {
	case MAYFLY_INFO:
		return do_info(user);
	case MAYFLY_IMAGE_CREATE:
		return do_image_create(user);
	case MAYFLY_SPAWN:
		return do_spawn(user);
	case MAYFLY_LIST:
		return do_list(file->private_data, user);
	case MAYFLY_OPEN:
		return do_open(user);
	case MAYFLY_CONTROL:
		return do_control_many(user);
	default:
		return -ENOTTY;
	}
}

static __poll_t dev_poll(struct file *file, poll_table *table)
{
	struct client *client = file->private_data;

	poll_wait(file, life_ended_wait(), table);
	if (life_ended_count() == READ_ONCE(client->seen))
		return 0;
	return EPOLLIN | EPOLLRDNORM;
}

static int dev_open(struct inode *inode, struct file *file)
{
	struct client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return -ENOMEM;
	client->seen = life_ended_count();
	file->private_data = client;
	return stream_open(inode, file);
}

static int dev_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations dev_ops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.poll = dev_poll,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = no_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mayfly",
	.fops = &dev_ops,
	.mode = 0660,
};

/**
 * dev_setup - at load, last
 *
 * Return: 0 or a negative errno.
 */
int dev_setup(void)
{
	return misc_register(&device);
}

/**
 * dev_teardown - at unload, first
 */
void dev_teardown(void)
{
	misc_deregister(&device);
}
