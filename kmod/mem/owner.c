// SPDX-License-Identifier: GPL-2.0-only
/*
 * owner.c - limits on VMs and bytes, per user and for all users together.
 *
 * A user is a uid of the initial user namespace; nobody is exempt, not even root.
 * VMs are counted before they are made, so their limit is never exceeded. Bytes are
 * counted after they are taken; a caller that goes over the limit is told so and
 * gives them back. The excess lasts only until then, and is at most what one fault
 * of each thread that runs VMs, one new VM, or a page of an image takes (at most 4 MiB).
 */
#include <linux/capability.h>
#include <linux/cpu.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "mem/owner.h"
#include "mem/pages.h"
#include "uapi/mayfly.h"

/* How much each CPU counts locally before it updates the sum. */
#define BYTES_BATCH	SZ_1M

static unsigned long max_vms = 2000000;
module_param(max_vms, ulong, 0644);
MODULE_PARM_DESC(max_vms, "VMs that may exist at once, of all users");

static unsigned long max_vms_user;
module_param(max_vms_user, ulong, 0644);
MODULE_PARM_DESC(max_vms_user, "VMs that one user may have at once (0: as many as all)");

static unsigned long max_bytes;
module_param(max_bytes, ulong, 0644);
MODULE_PARM_DESC(max_bytes, "bytes that all VMs, each alone, and images may hold together (0: no limit)");

static unsigned long max_bytes_user;
module_param(max_bytes_user, ulong, 0644);
MODULE_PARM_DESC(max_bytes_user, "bytes that one user's VMs, each alone, and images may hold together (0: no limit)");

static DEFINE_MUTEX(owners_lock);
static DEFINE_HASHTABLE(owners, 8);
static struct tally all;

static unsigned long vms_user_limit(void)
{
	unsigned long limit = READ_ONCE(max_vms);

	return min_not_zero(READ_ONCE(max_vms_user), limit);
}

static int tally_init(struct tally *tally)
{
	atomic_long_set(&tally->vms, 0);
	return percpu_counter_init(&tally->bytes, 0, MEMORY_SLEEP);
}

static void tally_destroy(struct tally *tally)
{
	/* The sum lacks the count of a CPU that is going offline. */
	cpus_read_lock();
	WARN_ON_ONCE(atomic_long_read(&tally->vms) ||
		     percpu_counter_sum(&tally->bytes));
	cpus_read_unlock();
	percpu_counter_destroy(&tally->bytes);
}

static bool tally_has_room(struct tally *tally, unsigned long vms, unsigned long limit)
{
	return vms <= limit && atomic_long_read(&tally->vms) <= limit - vms;
}

static bool tally_add_vm(struct tally *tally, unsigned long limit)
{
	long n = atomic_long_read(&tally->vms);

	do {
		if (n >= limit)
			return false;
	} while (!atomic_long_try_cmpxchg(&tally->vms, &n, n + 1));
	return true;
}

static bool tally_fits(struct tally *tally, unsigned long limit)
{
	return !limit || __percpu_counter_compare(&tally->bytes,
						  min_t(u64, limit, S64_MAX),
						  BYTES_BATCH) <= 0;
}

static void tally_add_bytes(struct tally *tally, s64 bytes)
{
	percpu_counter_add_batch(&tally->bytes, bytes, BYTES_BATCH);
}

/**
 * owner_may_have - may a user make this many more VMs?
 * @owner: the user
 * @vms: how many
 *
 * Return: false when it is clear that owner_add_vm() would fail before the last.
 */
bool owner_may_have(struct owner *owner, unsigned long vms)
{
	return tally_has_room(&all, vms, READ_ONCE(max_vms)) &&
	       tally_has_room(&owner->tally, vms, vms_user_limit());
}

/**
 * owner_add_vm - count a VM that will be made
 * @owner: the user
 *
 * Return: 0, or -EDQUOT when the user, or all, may have no more.
 */
int owner_add_vm(struct owner *owner)
{
	if (!tally_add_vm(&owner->tally, vms_user_limit()))
		return -EDQUOT;
	/* Last: a user that is refused takes no place from others, not for a moment. */
	if (tally_add_vm(&all, READ_ONCE(max_vms)))
		return 0;
	atomic_long_dec(&owner->tally.vms);
	return -EDQUOT;
}

/**
 * owner_remove_vm - one VM less
 * @owner: after owner_add_vm()
 */
void owner_remove_vm(struct owner *owner)
{
	atomic_long_dec(&owner->tally.vms);
	atomic_long_dec(&all.vms);
}

/**
 * owner_charge - count what a VM or an image has taken or given back
 * @owner: the VM's or the image's
 * @bytes: how much more it holds; negative when less
 *
 * Context: not in interrupts.
 * Return: 0, or -EDQUOT when that is over a limit. Then @bytes are not counted, so
 * that nobody else is refused while they are given back.
 */
int owner_charge(struct owner *owner, s64 bytes)
{
	/* Counted first: of two CPUs at the limit none may be let in, but never both. */
	tally_add_bytes(&owner->tally, bytes);
	tally_add_bytes(&all, bytes);
	if (bytes <= 0 || (tally_fits(&owner->tally, READ_ONCE(max_bytes_user)) &&
			   tally_fits(&all, READ_ONCE(max_bytes))))
		return 0;
	tally_add_bytes(&owner->tally, -bytes);
	tally_add_bytes(&all, -bytes);
	return -EDQUOT;
}

/**
 * owner_move - what one user holds becomes another's
 * @from: is charged for it
 * @to: will be; may be the same
 * @bytes: how much
 *
 * All users together hold as much as before, at every moment.
 *
 * Context: not in interrupts.
 * Return: 0, or -EDQUOT when @to may not have so much; then nothing has changed.
 */
int owner_move(struct owner *from, struct owner *to, u64 bytes)
{
	if (from == to)
		return 0;
	tally_add_bytes(&to->tally, bytes);
	if (!tally_fits(&to->tally, READ_ONCE(max_bytes_user))) {
		tally_add_bytes(&to->tally, -(s64)bytes);
		return -EDQUOT;
	}
	tally_add_bytes(&from->tally, -(s64)bytes);
	return 0;
}

/**
 * owner_max_threads - how many kernel threads may run the VMs of the caller?
 *
 * No controller counts kernel threads, and a user may have any number of cgroups,
 * each with its pool. So RLIMIT_NPROC binds the caller as in fork(2), but for these
 * threads alone.
 *
 * Return: the limit.
 */
unsigned long owner_max_threads(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE) ? ULONG_MAX :
								     rlimit(RLIMIT_NPROC);
}

/**
 * owner_add_thread - count a kernel thread that will run VMs
 * @owner: the user whose call made the pool's first worker
 * @limit: from owner_max_threads() then
 *
 * Return: 0, or -EAGAIN when there may be no more.
 */
int owner_add_thread(struct owner *owner, unsigned long limit)
{
	if (atomic_long_inc_return(&owner->threads) <= limit)
		return 0;
	atomic_long_dec(&owner->threads);
	return -EAGAIN;
}

/**
 * owner_remove_thread - one thread less
 * @owner: after owner_add_thread()
 */
void owner_remove_thread(struct owner *owner)
{
	atomic_long_dec(&owner->threads);
}

static uid_t current_uid_number(void)
{
	return from_kuid(&init_user_ns, current_euid());
}

static struct owner *find_owner(uid_t uid)
{
	struct owner *owner;

	lockdep_assert_held(&owners_lock);
	hash_for_each_possible(owners, owner, node, uid)
		if (owner->uid == uid)
			return owner;
	return NULL;
}

static struct owner *find_and_get_owner(uid_t uid)
{
	struct owner *owner = find_owner(uid);

	if (owner)
		kref_get(&owner->ref);
	return owner;
}

static struct owner *make_owner(uid_t uid)
{
	struct owner *owner = kzalloc(sizeof(*owner), MEMORY_SLEEP);

	if (!owner)
		return NULL;
	kref_init(&owner->ref);
	owner->uid = uid;
	if (tally_init(&owner->tally)) {
		kfree(owner);
		return NULL;
	}
	return owner;
}

static void dispose_of_owner(struct owner *owner)
{
	tally_destroy(&owner->tally);
	kfree(owner);
}

/**
 * owner_get_current - the caller, as an owner of VMs and images
 *
 * Context: may sleep.
 * Return: the owner with a reference, or NULL without memory.
 */
struct owner *owner_get_current(void)
{
	uid_t uid = current_uid_number();
	struct owner *made, *owner;

	mutex_lock(&owners_lock);
	owner = find_and_get_owner(uid);
	mutex_unlock(&owners_lock);
	if (owner)
		return owner;

	/* Not under the lock: this caller may be short of memory, others are not. */
	made = make_owner(uid);
	if (!made)
		return NULL;
	mutex_lock(&owners_lock);
	owner = find_and_get_owner(uid);
	if (!owner)
		hash_add(owners, &made->node, uid);
	mutex_unlock(&owners_lock);
	if (!owner)
		return made;
	dispose_of_owner(made);
	return owner;
}

/**
 * owner_get - take one more reference
 * @owner: the caller already has one
 */
void owner_get(struct owner *owner)
{
	kref_get(&owner->ref);
}

static void owner_free(struct kref *ref)
{
	struct owner *owner = container_of(ref, struct owner, ref);

	hash_del(&owner->node);
	mutex_unlock(&owners_lock);
	dispose_of_owner(owner);
}

/**
 * owner_put - drop a reference
 * @owner: the owner
 *
 * Context: may sleep.
 */
void owner_put(struct owner *owner)
{
	kref_put_mutex(&owner->ref, owner_free, &owners_lock);
}

/**
 * owner_report - report the counts, the limits, and the caller's share
 * @info: to fill: VMs, bytes, and their limits
 *
 * Context: may sleep.
 */
void owner_report(struct mayfly_info *info)
{
	struct owner *owner;

	info->vms = atomic_long_read(&all.vms);
	info->bytes = percpu_counter_sum_positive(&all.bytes);
	info->max_vms = READ_ONCE(max_vms);
	info->max_vms_user = vms_user_limit();
	info->max_bytes = READ_ONCE(max_bytes);
	info->max_bytes_user = READ_ONCE(max_bytes_user);
	mutex_lock(&owners_lock);
	owner = find_owner(current_uid_number());
	if (owner) {
		info->user_vms = atomic_long_read(&owner->tally.vms);
		info->user_bytes = percpu_counter_sum_positive(&owner->tally.bytes);
	}
	mutex_unlock(&owners_lock);
}

/**
 * owner_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int owner_setup(void)
{
	return tally_init(&all);
}

/**
 * owner_teardown - at unload; there are no VMs
 */
void owner_teardown(void)
{
	WARN_ON_ONCE(!hash_empty(owners));
	tally_destroy(&all);
}
