// SPDX-License-Identifier: GPL-2.0-only
/*
 * imagefd.c - image descriptors: made, opened, named.
 *
 * Permission is checked when a descriptor is made; anybody who holds one may spawn
 * from it. Names are the owner's.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/contents.h"
#include "call/imagefd.h"
#include "call/row.h"
#include "cpu/backend.h"
#include "cpu/state.h"
#include "mem/image.h"
#include "mem/owner.h"
#include "mem/pages.h"
#include "vm/catalog.h"
#include "vm/inspect.h"
#include "vm/names.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

static long do_stat(const struct image *image, void __user *user)
{
	struct mayfly_image_info info = {};
	struct mayfly_row args;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	inspect_image(image, 0, &info);
	return row_answer(user, &args, &info, sizeof(info));
}

static long do_tag(struct image *image, void __user *user)
{
	struct mayfly_tag args;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (args.flags & ~MAYFLY_TAG_REPLACE || args.unused ||
	    !memchr(args.name, 0, sizeof(args.name)) || !names_valid(args.name))
		return -EINVAL;
	if (!vm_is_callers(image->owner->uid))
		return -EPERM;
	return catalog_tag(image, args.name, args.flags & MAYFLY_TAG_REPLACE);
}

static long do_remove(struct image *image)
{
	if (!vm_may_use(image->owner->uid))
		return -EPERM;
	return catalog_remove(image);
}

static long list_beyond(const struct image *image, struct mayfly_extents *args)
{
	struct file *file = fget(args->base);
	const struct image *base;
	long ret = -EINVAL;

	if (!file)
		return -EBADF;
	base = imagefd_image(file);
	if (base)
		ret = contents_extents(image, base, args);
	fput(file);
	return ret;
}

static long do_extents(const struct image *image, void __user *user)
{
	struct mayfly_extents args;
	long ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	ret = args.base == -1 ? contents_extents(image, NULL, &args) :
				list_beyond(image, &args);
	if (!ret && copy_to_user(user, &args, sizeof(args)))
		ret = -EFAULT;
	return ret;
}

static long imagefd_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct image *image = file->private_data;
	void __user *user = (void __user *)arg;

	switch (command) {
	case MAYFLY_STAT:
		return do_stat(image, user);
	case MAYFLY_IMAGE_TAG:
		return do_tag(image, user);
	case MAYFLY_IMAGE_REMOVE:
		return do_remove(image);
	case MAYFLY_GET_STATE:
		return contents_state(image, user);
	case MAYFLY_MEMORY:
		return contents_memory(image, user);
	case MAYFLY_EXTENTS:
		return do_extents(image, user);
	default:
		return -ENOTTY;
	}
}

static int imagefd_release(struct inode *inode, struct file *file)
{
	image_put(file->private_data);
	return 0;
}

static const struct file_operations imagefd_ops = {
	.owner = THIS_MODULE,
	.release = imagefd_release,
	.unlocked_ioctl = imagefd_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * imagefd_image - the image behind a descriptor
 * @file: any open file
 *
 * Return: the image, as long as @file is held; NULL if @file is something else.
 */
struct image *imagefd_image(struct file *file)
{
	return file->f_op == &imagefd_ops ? file->private_data : NULL;
}

/* The file takes over the caller's reference, and drops it on errors. */
static struct file *image_file(struct image *image)
{
	struct file *file = anon_inode_getfile("[mayfly-image]", &imagefd_ops, image, 0);

	if (IS_ERR(file))
		image_put(image);
	return file;
}

static int check_create(const struct mayfly_image_create *args)
{
	if (!state_canonical(args->rip) || !args->cpu_level ||
	    args->cpu_vendor > MAYFLY_VENDOR_INTEL)
		return -EINVAL;
	if (args->profile != MAYFLY_PROFILE_UNIKERNEL ||
	    args->cpu_level > backend_cpu_level())
		return -EOPNOTSUPP;
	return 0;
}

static struct image *create_owned(const struct mayfly_image_create *args,
				  const struct image_start *start)
{
	struct owner *owner = owner_get_current();
	struct image *image;

	if (!owner)
		return ERR_PTR(-ENOMEM);
	image = image_create(args, start, owner, args->cpu_vendor ?: backend->cpu_vendor);
	owner_put(owner);
	return image;
}

static struct image *create_image(const struct mayfly_image_create *args)
{
	struct image_start *start = kzalloc(sizeof(*start), MEMORY_SLEEP);
	struct image *image;

	if (!start)
		return ERR_PTR(-ENOMEM);
	state_init(&start->state, args->rip, args->rsp, args->cr3, args->rdi);
	state_init_fpu(start->fpu);
	image = create_owned(args, start);
	kfree(start);
	return image;
}

/**
 * imagefd_create - the IMAGE_CREATE call
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_IMAGE_CREATE documents.
 */
long imagefd_create(void __user *user)
{
	struct mayfly_image_create args;
	struct image *image;
	int ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	ret = check_create(&args);
	if (ret)
		return ret;
	image = create_image(&args);
	if (IS_ERR(image))
		return PTR_ERR(image);
	return row_hand_out(image_file(image), &args.fd, user, &args, sizeof(args));
}

static struct file *open_image(const struct mayfly_open *args)
{
	struct image *image = args->id ? image_find(args->id) : catalog_find(args->name);

	if (!image)
		return ERR_PTR(-ENOENT);
	if (vm_may_use(image->owner->uid))
		return image_file(image);
	image_put(image);
	return ERR_PTR(-EPERM);
}

/**
 * imagefd_open - the IMAGE_OPEN call
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_IMAGE_OPEN documents.
 */
long imagefd_open(void __user *user)
{
	struct mayfly_open args;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!row_open_is_sane(&args))
		return -EINVAL;
	return row_hand_out(open_image(&args), &args.fd, user, &args, sizeof(args));
}

static bool snapshot_is_sane(const struct mayfly_snapshot *args)
{
	bool replace = args->flags & MAYFLY_SNAPSHOT_REPLACE;

	return !(args->flags & ~(MAYFLY_SNAPSHOT_REPLACE | MAYFLY_SNAPSHOT_WHEN_READY)) &&
	       !memchr_inv(args->reserved, 0, sizeof(args->reserved)) &&
	       memchr(args->name, 0, sizeof(args->name)) &&
	       (!args->name[0] ? !replace : names_valid(args->name));
}

/* Before the VM is touched; when it is, somebody else may still be faster. */
static bool name_is_taken(const struct mayfly_snapshot *args)
{
	struct image *holder;

	if (!args->name[0] || args->flags & MAYFLY_SNAPSHOT_REPLACE)
		return false;
	holder = catalog_find(args->name);
	if (holder)
		image_put(holder);
	return holder;
}

static struct image *make_snapshot(struct vm *vm, u32 flags)
{
	struct owner *owner = owner_get_current();
	struct image *image;

	if (!owner)
		return ERR_PTR(-ENOMEM);
	image = flags & MAYFLY_SNAPSHOT_WHEN_READY ? snapshot_await(vm, owner) :
						     snapshot_make(vm, owner);
	owner_put(owner);
	return image;
}

/* The last step: what has a name can be found by others. */
static long deliver_snapshot(struct image *image, struct mayfly_snapshot *args,
			     void __user *user)
{
	if (copy_to_user(user, args, sizeof(*args)))
		return -EFAULT;
	if (!args->name[0])
		return 0;
	return catalog_tag(image, args->name, args->flags & MAYFLY_SNAPSHOT_REPLACE);
}

/**
 * imagefd_snapshot - the SNAPSHOT call
 * @vm: the VM; permission was checked when it was opened
 * @user: the caller's argument
 *
 * Context: may sleep.
 * Return: as MAYFLY_SNAPSHOT documents.
 */
long imagefd_snapshot(struct vm *vm, void __user *user)
{
	struct mayfly_snapshot args;
	struct image *image;
	struct file *file;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!snapshot_is_sane(&args))
		return -EINVAL;
	if (name_is_taken(&args))
		return -EEXIST;
	args.fd = get_unused_fd_flags(O_CLOEXEC);
	if (args.fd < 0)
		return args.fd;
	image = make_snapshot(vm, args.flags);
	file = IS_ERR(image) ? ERR_CAST(image) : image_file(image);
	if (IS_ERR(file))
		return row_finish_fd(args.fd, NULL, PTR_ERR(file));
	return row_finish_fd(args.fd, file, deliver_snapshot(image, &args, user));
}
