/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * row.h - rows whose length the caller chooses, and descriptors for the caller.
 */
#ifndef MAYFLY_ROW_H
#define MAYFLY_ROW_H

#include <linux/types.h>

struct file;
struct mayfly_open;
struct mayfly_row;

bool row_size_is_sane(u32 size);
int __must_check row_put(u64 row, u32 row_size, const void *data, size_t size);
long row_answer(void __user *user, struct mayfly_row *args, const void *data, size_t size);
int __must_check row_take(void *data, size_t size, u64 row, u32 row_size);
bool row_open_is_sane(const struct mayfly_open *args);
long row_hand_out(struct file *file, s32 *fd, void __user *user, const void *args,
		  size_t size);
long row_finish_fd(int fd, struct file *file, long ret);

#endif
