/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * owner.h - how many VMs a user has, how many bytes they hold, and the limits.
 */
#ifndef MAYFLY_OWNER_H
#define MAYFLY_OWNER_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/percpu_counter.h>
#include <linux/uidgid.h>

struct mayfly_info;

/* The counts for one user, or for all users together; [a] atomic. */
struct tally {
	atomic_long_t vms;		/* [a] that exist */
	struct percpu_counter bytes;	/* [a] that VMs and images hold */
};

/*
 * One per user, from the first VM or image to the last. Who protects a field:
 *   I  immutable
 *   O  owners_lock
 *   a  atomic
 *   r  reference count; the last one is dropped under owners_lock
 */
struct owner {
	struct kref ref;		/* [r] VMs, images, calls on their way */
	struct hlist_node node;		/* [O] in the table of owners */
	uid_t uid;			/* [I] the user */
	struct tally tally;		/* [a] of this user alone */
	atomic_long_t threads;		/* [a] workers that count as this user's */
	atomic_long_t queued;		/* [a] bytes of packets that wait for this user's VMs */
	u64 births;			/* range.c's: of VMs that packets have made */
};

struct owner *owner_get_current(void);
void owner_get(struct owner *owner);
void owner_put(struct owner *owner);

bool owner_may_have(struct owner *owner, unsigned long vms);
int __must_check owner_add_vm(struct owner *owner);
void owner_remove_vm(struct owner *owner);
int owner_charge(struct owner *owner, s64 bytes);
int owner_move(struct owner *from, struct owner *to, u64 bytes);
unsigned long owner_max_threads(void);
int __must_check owner_add_thread(struct owner *owner, unsigned long limit);
void owner_remove_thread(struct owner *owner);

/*
 * Charges what somebody holds beyond *@charged, which is what has been charged so far, or
 * gives back. As owner_charge().
 */
static inline int owner_account(struct owner *owner, u64 *charged, u64 held)
{
	int ret;

	if (held == *charged)
		return 0;
	ret = owner_charge(owner, held - *charged);
	if (!ret)
		*charged = held;
	return ret;
}

void owner_report(struct mayfly_info *info);
int owner_setup(void);
void owner_teardown(void);

#endif
