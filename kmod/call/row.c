// SPDX-License-Identifier: GPL-2.0-only
/*
 * row.c - rows whose length the caller chooses, and descriptors for the caller.
 *
 * Fields are only ever appended to a row. So callers and modules of different age
 * understand each other: what only one of them knows is zero, or left out.
 */
#include <linux/align.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/row.h"
#include "uapi/mayfly.h"

/**
 * row_size_is_sane - may a row be this long?
 * @size: from user space
 *
 * Return: true if so.
 */
bool row_size_is_sane(u32 size)
{
	return size && size <= MAYFLY_ROW_MAX && IS_ALIGNED(size, sizeof(u64));
}

/**
 * row_put - write a row
 * @row: the caller's address
 * @row_size: bytes there
 * @data: the module's row
 * @size: of @data
 *
 * Context: may sleep.
 * Return: 0, -EINVAL for a bad size, -EFAULT.
 */
int row_put(u64 row, u32 row_size, const void *data, size_t size)
{
	u8 __user *user = u64_to_user_ptr(row);
	size_t n = min_t(size_t, row_size, size);

	if (!row_size_is_sane(row_size))
		return -EINVAL;
	if (copy_to_user(user, data, n))
		return -EFAULT;
	if (n < row_size && clear_user(user + n, row_size - n))
		return -EFAULT;
	return 0;
}

/**
 * row_answer - answer a call that asks for one row
 * @user: the caller's argument
 * @args: a copy of it
 * @data: the module's row
 * @size: of @data
 *
 * Context: may sleep.
 * Return: 0, -EINVAL, -EFAULT.
 */
long row_answer(void __user *user, struct mayfly_row *args, const void *data, size_t size)
{
	int ret;

	if (args->flags || memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;
	ret = row_put(args->row, args->row_size, data, size);
	args->row_size = size;
	if (!ret && copy_to_user(user, args, sizeof(*args)))
		ret = -EFAULT;
	return ret;
}

/**
 * row_take - read a row
 * @data: the module's row; what the caller's is too short for becomes zero
 * @size: of @data
 * @row: the caller's address
 * @row_size: bytes there
 *
 * Context: may sleep.
 * Return: 0, -EINVAL for a bad size, -E2BIG when something follows that this module
 * does not know, -EFAULT.
 */
int row_take(void *data, size_t size, u64 row, u32 row_size)
{
	if (!row_size_is_sane(row_size))
		return -EINVAL;
	return copy_struct_from_user(data, size, u64_to_user_ptr(row), row_size);
}

/**
 * row_open_is_sane - does the argument of a call that opens make sense?
 * @args: copied from the caller
 *
 * Return: true if it names one thing, by id or by name.
 */
bool row_open_is_sane(const struct mayfly_open *args)
{
	return !args->flags && !memchr_inv(args->reserved, 0, sizeof(args->reserved)) &&
	       memchr(args->name, 0, sizeof(args->name)) && !args->id != !args->name[0];
}

/**
 * row_finish_fd - install a reserved descriptor, or free it after an error
 * @fd: reserved, or negative
 * @file: for it; put after an error
 * @ret: 0, or the error
 *
 * Return: @ret.
 */
long row_finish_fd(int fd, struct file *file, long ret)
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

/**
 * row_hand_out - give the caller a descriptor in its argument
 * @file: the open file, or an ERR_PTR
 * @fd: in @args: out: the descriptor's number
 * @user: the caller's argument
 * @args: what to copy there
 * @size: of @args
 *
 * Context: may sleep.
 * Return: 0 or a negative errno; then @file is put.
 */
long row_hand_out(struct file *file, s32 *fd, void __user *user, const void *args,
		  size_t size)
{
	long ret = 0;

	if (IS_ERR(file))
		return PTR_ERR(file);
	*fd = get_unused_fd_flags(O_CLOEXEC);
	if (*fd < 0)
		ret = *fd;
	else if (copy_to_user(user, args, size))
		ret = -EFAULT;
	return row_finish_fd(*fd, file, ret);
}
