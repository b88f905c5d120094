// SPDX-License-Identifier: GPL-2.0-only
/*
 * ends.c - the record of VMs that have ended.
 *
 * One ring for all users; each reader has its own position and sees its own VMs.
 * Somebody who ends many VMs can make others miss records, and they are told so.
 */
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "uapi/mayfly.h"
#include "vm/ends.h"
#include "vm/vm.h"

/* Records that are looked at with interrupts off. */
#define LOOK_AT_ONCE	256

struct record {
	struct mayfly_end end;
	uid_t uid;
};

static DEFINE_SPINLOCK(lock);
static struct record *ring;	/* the last MAYFLY_ENDS_KEPT of … */
static u64 nr_ends;		/* … so many; others read it without the lock */

static DECLARE_WAIT_QUEUE_HEAD(readers);

/* Many threads may wait; no VM's CPU time pays for their wake-up. */
static void wake_readers(struct work_struct *unused)
{
	wake_up_interruptible_all(&readers);
}

static DECLARE_WORK(wake_work, wake_readers);

/**
 * ends_add - record the end of a VM
 * @vm: is about to be seen ended
 *
 * Context: pool->lock held.
 */
void ends_add(const struct vm *vm)
{
	lockdep_assert_irqs_disabled();
	spin_lock(&lock);
	ring[nr_ends % MAYFLY_ENDS_KEPT] = (struct record){
		.end = { .id = vm->id, .reason = vm->end.reason, .status = vm->end.status },
		.uid = vm->key.uid,
	};
	WRITE_ONCE(nr_ends, nr_ends + 1);
	spin_unlock(&lock);
	if (wq_has_sleeper(&readers))
		queue_work(system_dfl_wq, &wake_work);
}

/**
 * ends_begin - a reader sees what comes from now on
 * @reader: with @uid and @all set
 */
void ends_begin(struct ends_reader *reader)
{
	reader->position = READ_ONCE(nr_ends);
}

/**
 * ends_wait - woken when there are more records
 *
 * Return: the queue.
 */
wait_queue_head_t *ends_wait(void)
{
	return &readers;
}

/**
 * ends_wait_over - is there anything that this reader has not looked at?
 * @reader: the reader
 *
 * Return: true if ends_peek() may find something.
 */
bool ends_wait_over(const struct ends_reader *reader)
{
	return READ_ONCE(nr_ends) != READ_ONCE(reader->position);
}

static bool may_see(const struct ends_reader *reader, const struct record *record)
{
	return reader->all || reader->uid == record->uid;
}

/* Looks at a few records. As ends_peek(), or -EAGAIN if there are more. */
static int look(struct ends_reader *reader, struct mayfly_end *end)
{
	u64 position = reader->position;
	u64 stop = min(position + LOOK_AT_ONCE, nr_ends);

	lockdep_assert_held(&lock);
	if (nr_ends - position > MAYFLY_ENDS_KEPT)
		return -EPIPE;
	for (; position < stop; position++) {
		const struct record *record = &ring[position % MAYFLY_ENDS_KEPT];

		if (may_see(reader, record)) {
			*end = record->end;
			WRITE_ONCE(reader->position, position);
			return 1;
		}
	}
	WRITE_ONCE(reader->position, position);
	return position < nr_ends ? -EAGAIN : 0;
}

/**
 * ends_peek - the next record for a reader, who takes it by adding 1 to @position
 * @reader: the reader
 * @end: out: the record
 *
 * Context: may sleep.
 * Return: 1, 0 when there is none, -EPIPE when the reader has missed some.
 */
int ends_peek(struct ends_reader *reader, struct mayfly_end *end)
{
	int ret;

	do {
		spin_lock_irq(&lock);
		ret = look(reader, end);
		spin_unlock_irq(&lock);
		cond_resched();
	} while (ret == -EAGAIN);
	return ret;
}

/**
 * ends_skip_missed - after -EPIPE: go on with the oldest record there is
 * @reader: the reader
 */
void ends_skip_missed(struct ends_reader *reader)
{
	spin_lock_irq(&lock);
	WRITE_ONCE(reader->position, nr_ends - MAYFLY_ENDS_KEPT);
	spin_unlock_irq(&lock);
}

/**
 * ends_setup - at load
 *
 * Return: 0 or -ENOMEM.
 */
int ends_setup(void)
{
	ring = kvcalloc(MAYFLY_ENDS_KEPT, sizeof(*ring), GFP_KERNEL);
	return ring ? 0 : -ENOMEM;
}

/**
 * ends_teardown - at unload; there are no VMs and no readers
 */
void ends_teardown(void)
{
	cancel_work_sync(&wake_work);
	kvfree(ring);
}
