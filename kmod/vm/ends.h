/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ends.h - the record of VMs that have ended.
 */
#ifndef MAYFLY_ENDS_H
#define MAYFLY_ENDS_H

#include <linux/types.h>
#include <linux/wait.h>

struct mayfly_end;
struct vm;

/**
 * struct ends_reader - somebody who reads the record
 * @position: number of the record to be read next
 * @uid: whose VMs it may see
 * @all: everybody's
 *
 * The caller sees to it that only one thread uses it at a time.
 */
struct ends_reader {
	u64 position;
	uid_t uid;
	bool all;
};

void ends_add(const struct vm *vm);
void ends_begin(struct ends_reader *reader);
bool ends_wait_over(const struct ends_reader *reader);
int ends_peek(struct ends_reader *reader, struct mayfly_end *end);
void ends_skip_missed(struct ends_reader *reader);
wait_queue_head_t *ends_wait(void);

int ends_setup(void);
void ends_teardown(void);

#endif
