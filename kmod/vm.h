/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vm.h - a VM and its life.
 *
 *   ready -> running <-> parked -> ended(reason)
 *              \  paused  /
 *
 * A VM is RUNNING exactly while one thread has claimed it: a worker, a caller of
 * RUN, the work item that fetches memory for it, or a killer. One that is neither
 * started nor attached and RUNNING is being killed. Whoever has the claim owns
 * everything marked [C] below and must give the claim back through pool_release()
 * or vm_end().
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

#include "backend.h"
#include "channel.h"
#include "memory.h"
#include "trace.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_guest.h"

struct image;
struct owner;
struct pool;
struct task_struct;

/* Bits of vm->requests: what the claimant should do next. */
#define VM_REQUEST_KILL		0
#define VM_REQUEST_PAUSE	1

/* vm->waiting: the guest is in the middle of … */
#define VM_WAITING_NOT		0
#define VM_WAITING_CALL		1	/* hypercall wait: rax is owed */
#define VM_WAITING_HLT		2

/**
 * struct vm_key - a name is unique among an owner's VMs
 * @uid: owner
 * @name: zero-padded
 */
struct vm_key {
	uid_t uid;
	char name[MAYFLY_NAME_SIZE];
};

/**
 * struct vm_end_info - how it ended
 * @reason: MAYFLY_END_*
 * @status: the guest's
 * @address: of a bad access
 * @detail: vendor's code
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
 *   C  the claimant; of a parked VM's memory also who holds pool->lock
 *   P  pool->lock
 *   a  atomic, or read with READ_ONCE where stale is good enough
 *   r  reference count
 */
struct vm {
	struct mayfly_vcpu_state state;	/* [C] first: the FPU image is aligned */
	struct vm_memory memory;	/* [C] */
	struct vm_tag tag;		/* [C] */
	struct vm_fault_info fault;	/* [C] waits for memory */
	struct vm_end_info end;		/* [C], then I */
	bool state_changed;		/* [C] the control block is out of date */
	u8 waiting;			/* [C] VM_WAITING_* */
	bool learned;			/* [C] the hot set has been offered */
	u64 deadline;			/* [C] guest ns, while waiting */
	u64 exits[MAYFLY_EXIT_REASONS];	/* [C] */
	u64 parked;			/* [C] */
	u64 cpu_ns;			/* [C] */
	s64 credit;			/* [C] ns, see take_turn() in pool.c */
	u64 charged;			/* [C] bytes, see vm_settle() */

	u32 run_state;			/* [P] MAYFLY_READY … */
	bool started;			/* [P] belongs to the workers */
	bool attached;			/* [P] belongs to a thread in RUN */
	struct task_struct *runner;	/* [P] to kick; NULL when not in run() */
	struct list_head queue;		/* [P] in pool->ready, pool->warm, or a line */
	unsigned long parked_at;	/* [P] jiffies, while parked */
	struct timerqueue_node sleeper;	/* [P] in pool->sleepers */
	unsigned long requests;		/* [a] VM_REQUEST_* */
	atomic64_t pending;		/* [a] events not yet taken */
	wait_queue_head_t wait;		/* state changes and console output */

	struct console console;

	struct kref ref;		/* [r] table, descriptors, queue, works */
	atomic_t descriptors;		/* [a] */
	atomic_t removed;		/* [a] set once */
	u64 id;				/* [I] */
	struct vm_key key;		/* [I] */
	bool named;			/* [I] in the table of names */
	bool published;			/* may be found; set last */
	bool detached;			/* [I] */
	struct rhash_head by_key;	/* names.c's own */
	struct image *image;		/* [I] */
	struct pool *pool;		/* [I] */
	struct owner *owner;		/* [I] */
	struct page *args;		/* [I] shared argument page or NULL */
	u32 args_length;		/* [I] bytes on it */
	u32 argc;			/* [I] strings on it */
	u64 seed[MAYFLY_SEED_SIZE / 8];	/* [I] random, for the device page */
	void *device_page;		/* [C] */
	u64 tsc_offset;			/* [I] guest TSC = host TSC + this */
	u64 created_ns;			/* [I] Unix time */
	u64 ended_ns;			/* [P] Unix time */
	struct rcu_head rcu;
};

/**
 * vm_acquire - take a reference to a VM that a table led to
 * @vm: found under rcu_read_lock(), or NULL
 *
 * Context: rcu_read_lock() held.
 * Return: @vm with a reference, or NULL when it is being made or has gone.
 */
static inline struct vm *vm_acquire(struct vm *vm)
{
	return vm && smp_load_acquire(&vm->published) &&
	       kref_get_unless_zero(&vm->ref) ? vm : NULL;
}

/**
 * struct vm_template - what all VMs of one SPAWN have in common
 * @image: start from this
 * @pool: the creator's
 * @owner: the creator
 * @args: argument page or NULL
 * @args_length: bytes used in it
 * @argc: strings in it
 * @memory: bytes
 * @detached: they outlive the caller
 */
struct vm_template {
	struct image *image;
	struct pool *pool;
	struct owner *owner;
	struct page *args;
	u32 args_length;
	u32 argc;
	u64 memory;
	bool detached;
};

/* The end that comes from outside. */
extern const struct vm_end_info vm_killed;

struct vm *vm_create(const struct vm_template *template, const char *name);
struct vm *vm_find(u64 id);
struct vm *vm_find_from(u64 *id);
bool vm_may_all(void);
bool vm_is_own(const struct vm *vm);
struct vm *vm_find_name(const char *name);
void vm_put(struct vm *vm);
bool vm_may(const struct vm *vm);

int vm_settle(struct vm *vm);
void vm_end(struct vm *vm, const struct vm_end_info *end);
int vm_start(struct vm *vm);
int vm_pause(struct vm *vm);
int vm_resume(struct vm *vm);
int vm_kill(struct vm *vm);
int vm_remove(struct vm *vm);
int vm_notify(struct vm *vm, u32 port);
void vm_close(struct vm *vm);

void vm_describe(struct vm *vm, struct mayfly_vm_info *info);
void vm_stat(struct vm *vm, struct mayfly_vm_stat *stat);
int vm_get_state(struct vm *vm, struct mayfly_vcpu_state *state);
int vm_set_state(struct vm *vm, const struct mayfly_vcpu_state *state);

u64 vm_spawned(void);
u64 vm_ended_count(void);
wait_queue_head_t *vm_ended_wait(void);

int vm_setup(void);
void vm_teardown(void);

static inline void vm_get(struct vm *vm)
{
	kref_get(&vm->ref);
}

/* The only way to change run_state; pool->lock is held once the VM is published. */
static inline void vm_set_run_state(struct vm *vm, u32 state)
{
	trace_vm_state(vm->id, vm->run_state, state,
		       state == MAYFLY_ENDED ? vm->end.reason : MAYFLY_END_NONE);
	WRITE_ONCE(vm->run_state, state);
}

static inline bool vm_has_ended(const struct vm *vm)
{
	return READ_ONCE(vm->run_state) == MAYFLY_ENDED;
}

#endif
