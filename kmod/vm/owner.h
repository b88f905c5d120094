/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * owner.h - how many VMs a user has, how much they hold, and how much they may.
 */
#ifndef MAYFLY_OWNER_H
#define MAYFLY_OWNER_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/percpu_counter.h>
#include <linux/uidgid.h>

struct mayfly_info;

/**
 * struct tally - what is counted, for one user and for all together
 * @vms: VMs that exist
 * @bytes: what VMs hold alone
 */
struct tally {
	atomic_long_t vms;
	struct percpu_counter bytes;
};

/**
 * struct owner - one per user, from the first VM to the last
 * @ref: VMs, and SPAWNs on their way
 * @node: in the table of owners
 * @uid: who
 * @tally: of this user alone
 * @threads: workers of pools that this user has begun
 */
struct owner {
	struct kref ref;
	struct hlist_node node;
	uid_t uid;
	struct tally tally;
	atomic_long_t threads;
};

struct owner *owner_get_current(void);
void owner_get(struct owner *owner);
void owner_put(struct owner *owner);

bool owner_may_have(struct owner *owner, unsigned long vms);
int __must_check owner_add_vm(struct owner *owner);
void owner_remove_vm(struct owner *owner);
int owner_charge(struct owner *owner, s64 bytes);
int __must_check owner_add_thread(struct owner *owner);
void owner_remove_thread(struct owner *owner);

void owner_report(struct mayfly_info *info);
int owner_setup(void);
void owner_teardown(void);

#endif
