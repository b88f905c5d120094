/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vm.h - a VM. What happens to it is in life.h.
 *
 * A VM is RUNNING exactly while one thread has claimed it: a worker, a caller of
 * RUN, the work item that fetches memory for it, a caller who looks into its memory
 * (it is borrowed), or a killer. One that is RUNNING, yet neither started nor attached
 * nor borrowed, is being killed. The claimant has everything
 * marked [C] below for itself and gives the claim back through life_release(), or by
 * ending the VM. A VM in pool->starved is claimed by that line.
 */
#ifndef MAYFLY_VM_H
#define MAYFLY_VM_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/timerqueue.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "cpu/vcpu.h"
#include "mem/memory.h"
#include "net/place.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_guest.h"
#include "vm/console.h"
#include "vm/names.h"

struct image;
struct owner;
struct pool;
struct port;
struct snapshot_wish;
struct task_struct;

/* vm->borrowed: claimed by somebody who looks into a VM that was … */
#define BORROWED_NOT		0
#define BORROWED		1	/* ready, running or parked */
#define BORROWED_PAUSED		2

/* Bits of vm->requests: what the claimant should do next. */
#define VM_REQUEST_KILL		0
#define VM_REQUEST_PAUSE	1
#define VM_REQUEST_HOLD		2	/* give the claim to whoever holds the lock of access.c */

/**
 * struct vm_end_info - how a VM ended
 * @reason: MAYFLY_END_*
 * @status: the guest's
 * @address: of a bad access
 * @detail: the CPU's own code
 */
struct vm_end_info {
	u32 reason;
	s32 status;
	u64 address;
	u64 detail;
};

/*
 * Who protects a field:
 *   I  immutable once the VM can be found
 *   C  the claimant; a parked VM's memory has whoever makes it cold, see cold.h
 *   P  pool->lock
 *   a  atomic, or read with READ_ONCE where stale is good enough
 *   r  reference count
 */
struct vm {
	struct vcpu vcpu;		/* [C] first: the FPU image is aligned */
	struct vm_memory memory;	/* [C] */
	struct vm_fault_info fault;	/* [C] the last one; may wait for memory */
	struct vm_end_info end;		/* [C], then I */
	bool learned;			/* [C] the hot set has been offered */
	u64 parked;			/* [C] how often */
	u64 ready;			/* [C] how often its guest has said so */
	u64 cpu_ns;			/* [C] */
	s64 credit;			/* [C] ns, see take_turn() in worker.c */
	u64 charged;			/* [C] bytes, see vm_account() */

	struct snapshot_wish *wish;	/* [P] snapshot.c's: who waits until it is ready */
	u32 run_state;			/* [P] MAYFLY_READY (0) …; life.c writes it */
	u32 times_set;			/* [P] how often SET_STATE was called */
	bool started;			/* [P] belongs to the workers */
	bool attached;			/* [P] belongs to a thread in RUN */
	u8 borrowed;			/* [P] BORROWED_* */
	const void *holder;		/* [P] who has paused it, and will let it go on; or NULL */
	bool chilling;			/* cold.c's: somebody is making it cold */
	struct task_struct *runner;	/* [P] to kick; NULL when not in run() */
	struct list_head queue;		/* [P] in pool->ready, ->warm or ->starved */
	unsigned long parked_at;	/* [P] jiffies, while parked */
	struct timerqueue_node sleeper;	/* [P] in pool->sleepers */
	unsigned long requests;		/* [a] VM_REQUEST_* */
	unsigned long outside;		/* access.c's: bit 0 is a lock */
	atomic64_t pending;		/* [a] events not yet taken */
	wait_queue_head_t wait;		/* state changes and console output */

	struct console console;

	struct kref ref;		/* [r] table, descriptors, queue, works */
	atomic_t descriptors;		/* [a] */
	atomic_t removed;		/* [a] set once */
	u64 id;				/* [I] */
	struct names_key key;		/* [I] */
	bool named;			/* [I] in the table of names */
	bool published;			/* table.c's: may be found; set last */
	bool detached;			/* [I] */
	bool autoremove;		/* [I] with @detached: it is removed when it ends */
	struct rhash_head by_key;	/* table.c's own */
	struct pool *pool;		/* [I] */
	struct owner *owner;		/* [I] */
	struct port *ports;		/* [I] on networks, linked by @next; or NULL */
	struct page *args;		/* [I] shared argument page or NULL */
	u32 args_length;		/* [I] bytes on it */
	u32 argc;			/* [I] strings on it */
	u64 seed[MAYFLY_SEED_SIZE / 8];	/* [I] random, for the device page */
	void *device_page;		/* [C] */
	u64 created_ns;			/* [I] of the host's boot time */
	u64 ended_ns;			/* [P] likewise */
	u64 wall_ns;			/* [C] Unix time at which the guest clock was 0 */
	s64 host_offset;		/* [C] Unix time less monotonic when it was set */
	unsigned long wall_due;		/* [C] jiffies: when to look at it again */
	struct rcu_head rcu;
};

/**
 * struct vm_template - what all VMs of one SPAWN have in common
 * @image: what they start from
 * @pool: the creator's
 * @owner: the creator
 * @places: on networks
 * @nr_places: of them
 * @args: argument page or NULL
 * @args_length: bytes used in it
 * @argc: strings in it
 * @memory: bytes
 * @detached: they outlive the caller
 * @autoremove: nobody has to remove them, for nobody may know of them
 */
struct vm_template {
	struct image *image;
	struct pool *pool;
	struct owner *owner;
	struct port_place places[MAYFLY_MAX_NETS];
	u32 nr_places;
	struct page *args;
	u32 args_length;
	u32 argc;
	u64 memory;
	bool detached;
	bool autoremove;
};

struct vm *vm_make(const struct vm_template *template, const char *name);
void vm_put(struct vm *vm);
u64 vm_spawned(void);

bool vm_may_use(uid_t uid);
bool vm_may_all(void);
bool vm_is_callers(uid_t uid);

void vm_copy_state(const struct vm *vm, struct mayfly_vcpu_state *state, u8 *fpu);

u64 vm_private_bytes(const struct vm *vm);
int vm_account(struct vm *vm);

int vm_setup(void);
void vm_teardown(void);

static inline void vm_get(struct vm *vm)
{
	kref_get(&vm->ref);
}

static inline bool vm_has_ended(const struct vm *vm)
{
	return READ_ONCE(vm->run_state) == MAYFLY_ENDED;
}

#endif
