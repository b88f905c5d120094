// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - make VMs, find them, end them.
 *
 * References: one for the table of ids until the VM is removed, one per
 * descriptor, one per lookup. Only struct vm itself waits for RCU; everything it
 * owns goes back at once.
 */
#include <linux/cred.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/user_namespace.h>
#include <linux/xarray.h>
#include <asm/msr.h>

#include "cold.h"
#include "hardware.h"
#include "image.h"
#include "names.h"
#include "owner.h"
#include "pool.h"
#include "state.h"
#include "vm.h"

const struct vm_end_info vm_killed = { .reason = MAYFLY_END_KILLED };

static struct kmem_cache *vm_cache;
static DEFINE_XARRAY_FLAGS(vms, XA_FLAGS_ACCOUNT);
static atomic64_t last_id = ATOMIC64_INIT(0);
static atomic64_t nr_ended = ATOMIC64_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(ended_wait);

/* Who waits for any VM's end may be many, and no VM is to pay for that. */
static void wake_ended_wait(struct work_struct *unused)
{
	wake_up_interruptible_all(&ended_wait);
}

static DECLARE_WORK(ended_work, wake_ended_wait);

/**
 * vm_spawned - VMs ever made
 *
 * Return: how many.
 */
u64 vm_spawned(void)
{
	return atomic64_read(&last_id);
}

/**
 * vm_ended_count - VMs that have ever ended
 *
 * Return: how many; only ever grows.
 */
u64 vm_ended_count(void)
{
	return atomic64_read(&nr_ended);
}

/**
 * vm_ended_wait - woken when vm_ended_count() has grown
 *
 * Return: the queue.
 */
wait_queue_head_t *vm_ended_wait(void)
{
	return &ended_wait;
}

/**
 * vm_may - may the caller have this VM?
 * @vm: the VM
 *
 * Return: true for its owner and for CAP_SYS_ADMIN.
 */
bool vm_may(const struct vm *vm)
{
	return vm_is_own(vm) || vm_may_all();
}

/**
 * vm_is_own - is it the caller's?
 * @vm: the VM
 *
 * Return: true for its owner.
 */
bool vm_is_own(const struct vm *vm)
{
	return vm->key.uid == from_kuid(&init_user_ns, current_euid());
}

/**
 * vm_may_all - may the caller have everybody's VMs?
 *
 * Return: true for CAP_SYS_ADMIN. Asking is not audited: most ask in vain.
 */
bool vm_may_all(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

static void free_struct(struct rcu_head *rcu)
{
	kmem_cache_free(vm_cache, container_of(rcu, struct vm, rcu));
}

static void vm_free(struct kref *ref)
{
	struct vm *vm = container_of(ref, struct vm, ref);

	memory_free(&vm->memory);
	console_free(&vm->console);
	if (vm->args)
		put_page(vm->args);
	image_put(vm->image);
	owner_charge(vm->owner, -(s64)vm->charged);
	owner_put(vm->owner);
	pool_put(vm->pool);
	call_rcu(&vm->rcu, free_struct);
	module_put(THIS_MODULE);
}

/**
 * vm_put - drop a reference
 * @vm: the VM
 *
 * Context: may sleep.
 */
void vm_put(struct vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

static u64 private_bytes(const struct vm *vm)
{
	u64 pages = READ_ONCE(vm->memory.guest_pages) +
		    READ_ONCE(vm->memory.table_pages) +
		    READ_ONCE(vm->memory.device_pages) +
		    (READ_ONCE(vm->console.page) ? 1 : 0);

	return pages * PAGE_SIZE + sizeof(*vm);
}

/**
 * vm_settle - let its owner's account say what a VM holds now
 * @vm: claimed by the caller, or not yet to be found; it may have taken pages or
 *	given some back
 *
 * Context: not in interrupts.
 * Return: 0, or -EDQUOT when it has taken more than it may and must end.
 */
int vm_settle(struct vm *vm)
{
	u64 held = private_bytes(vm);
	s64 more = held - vm->charged;
	int ret;

	if (!more)
		return 0;
	ret = owner_charge(vm->owner, more);
	if (!ret)
		vm->charged = held;
	return ret;
}

static void init(struct vm *vm, const struct vm_template *template)
{
	kref_init(&vm->ref);
	pool_init_vm(vm);
	console_init(&vm->console);
	init_waitqueue_head(&vm->wait);
	INIT_LIST_HEAD(&vm->memory.pages);
	vm->tag.cpu = -1;
	vm->state_changed = true;
	vm->detached = template->detached;
	vm->image = image_get(template->image);
	vm->pool = template->pool;
	kref_get(&vm->pool->ref);
	vm->owner = template->owner;
	kref_get(&vm->owner->ref);
	vm->args = template->args;
	if (vm->args)
		get_page(vm->args);
	vm->args_length = template->args_length;
	vm->argc = template->argc;
	vm->created_ns = ktime_get_real_ns();
	vm->tsc_offset = -rdtsc();
}

/* What can fail; vm_free() undoes it. */
static int build(struct vm *vm, const struct vm_template *template,
		 const char *name)
{
	int ret;

	ret = memory_init(&vm->memory, vm->image, template->memory, vm->args,
			  vm->pool->memcg, &vm->device_page);
	if (!ret)
		ret = memory_copy_hot(&vm->memory, MEMORY_SLEEP);
	if (ret)
		return ret;
	state_init(&vm->state, vm->image->rip, vm->image->rsp, vm->image->cr3,
		   vm->image->rdi);
	vm->id = atomic64_inc_return(&last_id);
	vm->key.uid = vm->owner->uid;
	names_give(&vm->key, vm->id, name);
	channel_seed(vm);
	channel_fill(vm);
	return vm_settle(vm);
}

/*
 * In both tables or in none. Until it is published nobody can take a reference,
 * so nobody can remove it in between.
 */
static int publish(struct vm *vm, bool named)
{
	int ret;

	if (named) {
		ret = names_add(vm);
		if (ret)
			return ret;
		vm->named = true;
	}
	ret = xa_err(xa_store(&vms, vm->id, vm, GFP_KERNEL | __GFP_NORETRY));
	if (ret && named)
		names_remove(vm);
	if (!ret)
		smp_store_release(&vm->published, true);
	return ret;
}

/**
 * vm_create - make a VM that is ready but not started
 * @template: what it is made of
 * @name: valid name, or NULL for vm<ID>
 *
 * Context: may sleep. The caller holds a reference to the module.
 * Return: the VM with a reference for the caller, or ERR_PTR: -ENOMEM, -EEXIST,
 * -EDQUOT, or hardware_get()'s.
 */
struct vm *vm_create(const struct vm_template *template, const char *name)
{
	struct vm *vm;
	int ret;

	ret = owner_add_vm(template->owner);
	if (ret)
		return ERR_PTR(ret);
	ret = hardware_get();
	if (ret)
		goto out_count;
	ret = -ENOMEM;
	vm = kmem_cache_zalloc(vm_cache, GFP_KERNEL_ACCOUNT | __GFP_NORETRY);
	if (!vm)
		goto out_hardware;
	__module_get(THIS_MODULE);
	init(vm, template);
	ret = build(vm, template, name);
	if (ret)
		goto out_put;
	vm_get(vm);	/* The table's; the other one is the caller's. */
	ret = publish(vm, name);
	if (!ret)
		return vm;
	vm_put(vm);
out_put:
	vm_put(vm);
out_hardware:
	hardware_put();
out_count:
	owner_remove_vm(template->owner);
	return ERR_PTR(ret);
}

/**
 * vm_find - look an id up
 * @id: from user space
 *
 * Return: the VM with a reference, or NULL. Whether the caller may have it is
 * another question: vm_may().
 */
struct vm *vm_find(u64 id)
{
	struct vm *vm;

	rcu_read_lock();
	vm = vm_acquire(xa_load(&vms, id));
	rcu_read_unlock();
	return vm;
}

/**
 * vm_find_from - the first VM at or after an id
 * @id: where to start; out: its id
 *
 * Return: the VM with a reference, or NULL when there are no more.
 */
struct vm *vm_find_from(u64 *id)
{
	unsigned long index = *id;
	struct vm *found, *vm = NULL;

	rcu_read_lock();
	found = xa_find(&vms, &index, ULONG_MAX, XA_PRESENT);
	while (found && !(vm = vm_acquire(found)))
		found = xa_find_after(&vms, &index, ULONG_MAX, XA_PRESENT);
	rcu_read_unlock();
	*id = index;
	return vm;
}

/**
 * vm_find_name - look a name up among the caller's VMs
 * @name: NUL-terminated, from user space
 *
 * Return: the VM with a reference, or NULL.
 */
struct vm *vm_find_name(const char *name)
{
	uid_t uid = from_kuid(&init_user_ns, current_euid());
	u64 id = names_automatic(name);
	struct vm *vm;

	if (!id)
		return names_find(uid, name);
	vm = vm_find(id);
	if (vm && (vm->key.uid != uid || strcmp(vm->key.name, name))) {
		vm_put(vm);
		vm = NULL;
	}
	return vm;
}

/**
 * vm_end - the VM is over
 * @vm: claimed by the caller; not to be used afterwards without a reference
 * @end: why; may be &vm->end
 *
 * Context: may sleep.
 */
void vm_end(struct vm *vm, const struct vm_end_info *end)
{
	unsigned long flags;

	vm->end = *end;
	cold_forget(vm);
	memory_free(&vm->memory);
	vm->device_page = NULL;
	vm_settle(vm);
	vm_get(vm);
	spin_lock_irqsave(&vm->pool->lock, flags);
	vm->runner = NULL;
	vm->ended_ns = ktime_get_real_ns();
	vm_set_run_state(vm, MAYFLY_ENDED);
	spin_unlock_irqrestore(&vm->pool->lock, flags);
	wake_up_all(&vm->wait);
	atomic64_inc(&nr_ended);
	if (wq_has_sleeper(&ended_wait))
		queue_work(system_unbound_wq, &ended_work);
	if (!vm->detached && !atomic_read(&vm->descriptors))
		vm_remove(vm);
	vm_put(vm);
}

/* Stops whoever runs it at its next exit, which comes at once. */
static void request(struct vm *vm, int what)
{
	lockdep_assert_held(&vm->pool->lock);
	set_bit(what, &vm->requests);
	if (vm->runner)
		kick_process(vm->runner);
}

/* Ends a VM nobody runs, or asks its runner to. -ESRCH when it had ended. */
static int begin_kill(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	switch (vm->run_state) {
	case MAYFLY_ENDED:
		ret = -ESRCH;
		break;
	case MAYFLY_RUNNING:
		request(vm, VM_REQUEST_KILL);
		break;
	default:
		pool_withdraw(vm);
		vm_set_run_state(vm, MAYFLY_RUNNING);
		spin_unlock_irq(&vm->pool->lock);
		vm_end(vm, &vm_killed);
		return 0;
	}
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

/**
 * vm_kill - end a VM from outside
 * @vm: the VM
 *
 * Context: may sleep; waits until it is dead.
 * Return: 0, -ESRCH when it had ended before, -EINTR when the caller is being
 * killed itself.
 */
int vm_kill(struct vm *vm)
{
	int ret = begin_kill(vm);

	pool_cancel_fetch(vm);
	if (!ret && wait_event_killable(vm->wait, vm_has_ended(vm)))
		ret = -EINTR;
	return ret;
}

/**
 * vm_close - a descriptor less
 * @vm: the VM
 *
 * The last one ends and removes a VM that is not detached.
 *
 * Context: may sleep; does not wait. The caller has a reference.
 */
void vm_close(struct vm *vm)
{
	if (!atomic_dec_and_test(&vm->descriptors) || vm->detached)
		return;
	if (begin_kill(vm) == -ESRCH)
		vm_remove(vm);
	else
		pool_cancel_fetch(vm);
}

/**
 * vm_remove - forget a VM that has ended
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: 0, -EBUSY while it lives, -ENOENT when it is removed already.
 */
int vm_remove(struct vm *vm)
{
	if (!vm_has_ended(vm))
		return -EBUSY;
	if (atomic_xchg(&vm->removed, 1))
		return -ENOENT;
	xa_erase(&vms, vm->id);
	if (vm->named)
		names_remove(vm);
	hardware_put();
	owner_remove_vm(vm->owner);
	vm_put(vm);
	return 0;
}

/**
 * vm_start - hand a VM to the workers, for good
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: 0, -EALREADY, -ESRCH, -EBUSY while RUN has it, or
 * pool_make_workers()'s.
 */
int vm_start(struct vm *vm)
{
	int ret = pool_make_workers(vm->pool, vm->owner);

	if (ret)
		return ret;
	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		ret = -ESRCH;
	else if (vm->started)
		ret = -EALREADY;
	else if (vm->attached)
		ret = -EBUSY;
	else if (vm->run_state == MAYFLY_RUNNING)
		ret = -ESRCH;	/* Claimed by its killer. */
	else
		vm->started = true;
	if (!ret && vm->run_state != MAYFLY_PAUSED)
		pool_settle(vm);
	spin_unlock_irq(&vm->pool->lock);
	if (!ret)
		wake_up_all(&vm->wait);
	return ret;
}

static bool pause_is_settled(struct vm *vm)
{
	return !test_bit(VM_REQUEST_PAUSE, &vm->requests) || vm_has_ended(vm);
}

/**
 * vm_pause - stop a VM where it is
 * @vm: the VM
 *
 * Context: may sleep; waits until it stands.
 * Return: 0, -EALREADY, -ESRCH, -EINTR.
 */
int vm_pause(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	switch (vm->run_state) {
	case MAYFLY_ENDED:
		ret = -ESRCH;
		break;
	case MAYFLY_PAUSED:
		ret = -EALREADY;
		break;
	case MAYFLY_RUNNING:
		request(vm, VM_REQUEST_PAUSE);
		break;
	default:
		pool_withdraw(vm);
		vm_set_run_state(vm, MAYFLY_PAUSED);
		break;
	}
	spin_unlock_irq(&vm->pool->lock);
	if (ret)
		return ret;
	wake_up_all(&vm->wait);
	if (wait_event_killable(vm->wait, pause_is_settled(vm)))
		return -EINTR;
	return vm_has_ended(vm) ? -ESRCH : 0;
}

/**
 * vm_resume - let a paused VM go on
 * @vm: the VM
 *
 * Return: 0, -EALREADY when it is not paused, -ESRCH.
 */
int vm_resume(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		ret = -ESRCH;
	else if (vm->run_state != MAYFLY_PAUSED)
		ret = -EALREADY;
	else
		pool_settle(vm);
	spin_unlock_irq(&vm->pool->lock);
	if (!ret)
		wake_up_all(&vm->wait);
	return ret;
}

/**
 * vm_notify - raise an event
 * @vm: the VM
 * @port: below MAYFLY_EVENT_PORTS
 *
 * Return: 0, -ESRCH.
 */
int vm_notify(struct vm *vm, u32 port)
{
	bool woken = false;
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED) {
		ret = -ESRCH;
	} else {
		atomic64_or(BIT_ULL(port), &vm->pending);
		woken = vm->run_state == MAYFLY_PARKED;
	}
	if (woken)
		pool_settle(vm);
	spin_unlock_irq(&vm->pool->lock);
	if (woken)
		wake_up_all(&vm->wait);
	return ret;
}

/* May its registers be looked at? Under the lock it then stays so. */
static int stands_still(const struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		return -ESRCH;
	if (vm->run_state == MAYFLY_PAUSED)
		return 0;
	if (vm->started || vm->attached)
		return -EBUSY;
	/* In nobody's hands but its killer's? */
	return vm->run_state == MAYFLY_RUNNING ? -ESRCH : 0;
}

/**
 * vm_get_state - read the registers
 * @vm: the VM
 * @state: to fill
 *
 * Return: 0, -EBUSY unless paused or in nobody's hands, -ESRCH.
 */
int vm_get_state(struct vm *vm, struct mayfly_vcpu_state *state)
{
	int ret;

	spin_lock_irq(&vm->pool->lock);
	ret = stands_still(vm);
	if (!ret)
		*state = vm->state;
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

/**
 * vm_set_state - write the registers
 * @vm: the VM
 * @state: in kernel memory, not yet judged
 *
 * A guest that waits does not any more.
 *
 * Return: 0, -EINVAL for a state some CPU would refuse, -EBUSY unless paused or
 * in nobody's hands, -ESRCH.
 */
int vm_set_state(struct vm *vm, const struct mayfly_vcpu_state *state)
{
	int ret;

	if (!state_is_valid(state))
		return -EINVAL;
	spin_lock_irq(&vm->pool->lock);
	ret = stands_still(vm);
	if (!ret) {
		vm->state = *state;
		vm->state_changed = true;
		vm->waiting = VM_WAITING_NOT;
		if (vm->run_state == MAYFLY_PARKED)
			pool_settle(vm);
	}
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

static u64 total_exits(const struct vm *vm)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < MAYFLY_EXIT_REASONS; i++)
		sum += READ_ONCE(vm->exits[i]);
	return sum;
}

/**
 * vm_describe - the row of a list
 * @vm: the VM
 * @info: to fill; all zero
 */
void vm_describe(struct vm *vm, struct mayfly_vm_info *info)
{
	kuid_t uid = make_kuid(&init_user_ns, vm->key.uid);

	info->id = vm->id;
	info->uid = from_kuid_munged(current_user_ns(), uid);
	info->memory = vm->memory.size;
	info->private_bytes = private_bytes(vm);
	info->exits = total_exits(vm);
	info->created_ns = vm->created_ns;
	memcpy(info->name, vm->key.name, sizeof(info->name));
	memcpy(info->image, vm->image->name, sizeof(info->image));
	spin_lock_irq(&vm->pool->lock);
	info->state = vm->run_state;
	info->cpu_ns = vm->cpu_ns;
	info->flags = (vm->detached ? MAYFLY_VM_DETACHED : 0) |
		      (vm->started ? MAYFLY_VM_STARTED : 0) |
		      (vm->run_state == MAYFLY_PARKED && cold_is(vm) ?
			       MAYFLY_VM_COLD : 0);
	if (vm->run_state == MAYFLY_ENDED) {
		info->reason = vm->end.reason;
		info->status = vm->end.status;
		info->address = vm->end.address;
		info->detail = vm->end.detail;
		info->rip = vm->state.rip;
		info->ended_ns = vm->ended_ns;
	}
	spin_unlock_irq(&vm->pool->lock);
}

/**
 * vm_stat - everything that is counted
 * @vm: the VM
 * @stat: to fill; all zero
 */
void vm_stat(struct vm *vm, struct mayfly_vm_stat *stat)
{
	int i;

	vm_describe(vm, &stat->info);
	for (i = 0; i < MAYFLY_EXIT_REASONS; i++)
		stat->exits[i] = READ_ONCE(vm->exits[i]);
	stat->guest_pages = READ_ONCE(vm->memory.guest_pages);
	stat->table_pages = READ_ONCE(vm->memory.table_pages);
	stat->device_pages = READ_ONCE(vm->memory.device_pages);
	stat->struct_bytes = sizeof(*vm);
	stat->console_bytes = READ_ONCE(vm->console.head);
	stat->console_lost = console_lost(&vm->console);
	stat->parked = READ_ONCE(vm->parked);
}

/**
 * vm_setup - at load
 *
 * Return: 0 or a negative errno.
 */
int vm_setup(void)
{
	int ret;

	vm_cache = kmem_cache_create("mayfly_vm", sizeof(struct vm), 64,
				     SLAB_ACCOUNT, NULL);
	if (!vm_cache)
		return -ENOMEM;
	ret = names_setup();
	if (ret)
		kmem_cache_destroy(vm_cache);
	return ret;
}

/**
 * vm_teardown - at unload; there are no VMs, but some may wait for RCU
 */
void vm_teardown(void)
{
	WARN_ON_ONCE(!xa_empty(&vms));
	cancel_work_sync(&ended_work);
	names_teardown();
	rcu_barrier();
	kmem_cache_destroy(vm_cache);
}
