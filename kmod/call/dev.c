// SPDX-License-Identifier: GPL-2.0-only
/*
 * dev.c - /dev/mayfly.
 *
 * Each call copies its argument once, in whole, checks it, and hands it to the file
 * that does the work.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "compat.h"
#include "call/control.h"
#include "call/dev.h"
#include "call/imagefd.h"
#include "call/list.h"
#include "call/row.h"
#include "call/spawn.h"
#include "call/vmfd.h"
#include "cpu/backend.h"
#include "cpu/clock.h"
#include "debug/tlbmodel.h"
#include "mem/image.h"
#include "mem/owner.h"
#include "sched/demand.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_demand.h"
#include "vm/cold.h"
#include "vm/devpage.h"
#include "vm/ends.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/table.h"
#include "vm/vm.h"

/* One open of the device. */
struct client {
	struct mutex lock;		/* one read at a time */
	struct ends_reader ends;	/* [L] @lock */
};

static long do_info(void __user *user)
{
	struct mayfly_row args;
	struct mayfly_info info = {
		.api_version = MAYFLY_API_VERSION,
		.backend = backend->id,
		.features = MAYFLY_FEATURE_CPU_LEVELS | MAYFLY_FEATURE_IMAGE_NAMES |
			    MAYFLY_FEATURE_END_RECORDS | MAYFLY_FEATURE_MEMORY |
			    MAYFLY_FEATURE_SNAPSHOTS | MAYFLY_FEATURE_READY |
			    MAYFLY_FEATURE_SAVE | MAYFLY_FEATURE_NET |
			    MAYFLY_FEATURE_DEMAND,
		.cpu_vendor = backend->cpu_vendor,
		.cpu_level = backend_cpu_level(),
		.images = image_count(),
		.pools = pool_count(),
		.pages = pages_count(),
		.memory_default = MAYFLY_MEMORY_DEFAULT,
		.memory_max = MAYFLY_MEMORY_MAX,
		.vm_overhead = sizeof(struct vm),
		.spawned = vm_spawned(),
		.parked = life_parked_count(),
		.flags = (devpage_clock_is_stable() ? MAYFLY_INFO_CLOCK : 0) |
			 (WORKERS_KEEP_QUOTAS ? MAYFLY_INFO_CPU_MAX : 0) |
			 (clock_ratio_bits ? MAYFLY_INFO_TSC_SCALING : 0) |
			 (tlbmodel_is_on() ? MAYFLY_INFO_DEBUG : 0),
		.cold = cold_count(),
		.warmed = cold_warmed(),
		.tsc_khz = clock_khz(),
	};

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	owner_report(&info);
	return row_answer(user, &args, &info, sizeof(info));
}

static long spawn_from_fd(struct mayfly_spawn *args, struct file **file)
{
	struct file *from = fget(args->image);
	struct image *image;
	long ret = -EINVAL;

	if (!from)
		return -EBADF;
	image = imagefd_image(from);
	if (image)
		ret = spawn(args, image, file);
	fput(from);
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
	return row_finish_fd(fd, file, ret);
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
	if (vm_may_use(vm->key.uid))
		file = vmfd_file(vm);
	vm_put(vm);
	return file;
}

static long do_open(void __user *user)
{
	struct mayfly_open args;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!row_open_is_sane(&args))
		return -EINVAL;
	return row_hand_out(open_file(&args), &args.fd, user, &args, sizeof(args));
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

static long do_demand_remove(void __user *user)
{
	struct mayfly_demand_remove args;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.flags || memchr_inv(args.reserved, 0, sizeof(args.reserved)))
		return -EINVAL;
	return demand_remove(args.id);
}

static long dev_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (command) {
	case MAYFLY_INFO:
		return do_info(user);
	case MAYFLY_IMAGE_CREATE:
		return imagefd_create(user);
	case MAYFLY_IMAGE_LIST:
		return list_images(user);
	case MAYFLY_IMAGE_OPEN:
		return imagefd_open(user);
	case MAYFLY_SPAWN:
		return do_spawn(user);
	case MAYFLY_LIST:
		return list_vms(user);
	case MAYFLY_OPEN:
		return do_open(user);
	case MAYFLY_CONTROL:
		return do_control_many(user);
	case MAYFLY_DEMAND_LIST:
		return list_demands(user);
	case MAYFLY_DEMAND_REMOVE:
		return do_demand_remove(user);
	default:
		return -ENOTTY;
	}
}

/* Takes records into @buffer. Returns bytes, 0 when there is none, or an errno. */
static ssize_t read_ends(struct ends_reader *reader, char __user *buffer, size_t length)
{
	struct mayfly_end end;
	size_t done = 0;
	int ret = 0;

	while (length - done >= sizeof(end)) {
		ret = ends_peek(reader, &end);
		if (ret <= 0)
			break;
		if (copy_to_user(buffer + done, &end, sizeof(end))) {
			ret = -EFAULT;
			break;
		}
		WRITE_ONCE(reader->position, reader->position + 1);
		done += sizeof(end);
		if (signal_pending(current))
			break;
	}
	if (!done && ret == -EPIPE)
		ends_skip_missed(reader);
	return done ? done : min(ret, 0);
}

static ssize_t dev_read(struct file *file, char __user *buffer, size_t length,
			loff_t *unused)
{
	struct client *client = file->private_data;
	ssize_t ret;

	if (length < sizeof(struct mayfly_end))
		return length ? -EINVAL : 0;
	for (;;) {
		if (mutex_lock_interruptible(&client->lock))
			return -ERESTARTSYS;
		ret = read_ends(&client->ends, buffer, length);
		mutex_unlock(&client->lock);
		if (ret)
			return ret;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(*ends_wait(), ends_wait_over(&client->ends)))
			return -ERESTARTSYS;
	}
}

static __poll_t dev_poll(struct file *file, poll_table *table)
{
	struct client *client = file->private_data;
	struct mayfly_end end;
	int ret;

	poll_wait(file, ends_wait(), table);
	/* A reader holds the lock for as long as its memory takes to answer. */
	if (mutex_trylock(&client->lock)) {
		ret = ends_peek(&client->ends, &end);
		mutex_unlock(&client->lock);
	} else {
		struct ends_reader copy = {
			.position = READ_ONCE(client->ends.position),
			.uid = client->ends.uid,
			.all = client->ends.all,
		};

		ret = ends_peek(&copy, &end);
	}
	return ret ? EPOLLIN | EPOLLRDNORM : 0;
}

static int dev_open(struct inode *inode, struct file *file)
{
	struct client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);

	if (!client)
		return -ENOMEM;
	mutex_init(&client->lock);
	client->ends.uid = from_kuid(&init_user_ns, current_euid());
	client->ends.all = vm_may_all();
	ends_begin(&client->ends);
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
	.read = dev_read,
	.poll = dev_poll,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
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
