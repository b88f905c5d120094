// SPDX-License-Identifier: GPL-2.0-only
/*
 * life.c - the life of a VM: who may claim it, where it waits, how it ends.
 *
 *   ready -> running -> ready, parked, ended(reason)
 *   parked -> ready
 *   ready, running, parked -> paused -> ready, parked
 *
 * No other file writes vm->run_state. A VM is RUNNING exactly while somebody has
 * claimed it, see vm.h; everybody else waits for the claim to be given back, or asks
 * for it with a bit in vm->requests and a kick.
 */
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "debug/mutation.h"
#include "net/port.h"
#include "trace.h"
#include "vm/cold.h"
#include "vm/devpage.h"
#include "vm/ends.h"
#include "vm/life.h"
#include "vm/pool.h"
#include "vm/table.h"
#include "vm/vm.h"

/* Bounds on the timer interrupts that guests can cause on a host CPU. */
#define WAKES_PER_PASS	64
#define MIN_TIMER_NS	(50 * NSEC_PER_USEC)

static const struct vm_end_info killed = { .reason = MAYFLY_END_KILLED };

/* Of each CPU: parking VMs is too frequent for a count that all share. */
static DEFINE_PER_CPU(u64, nr_parked);

/**
 * life_parked_count - times VMs have parked
 *
 * Return: how many since the module was loaded.
 */
u64 life_parked_count(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(nr_parked, cpu));
	return sum;
}

/* Usually nobody waits. */
static void wake_waiters(struct vm *vm)
{
	if (wq_has_sleeper(&vm->wait))
		wake_up_all(&vm->wait);
}

/* Inlined, like withdraw_vm(): a VM that parks and wakes comes here five times. */
static __always_inline void set_run_state(struct vm *vm, u32 state)
{
	lockdep_assert_held(&vm->pool->lock);
	trace_vm_state(vm->id, vm->run_state, state,
		       state == MAYFLY_ENDED ? vm->end.reason : MAYFLY_END_NONE);
	WRITE_ONCE(vm->run_state, state);
}

/* Takes a VM out of its queue and out of the sleepers. */
static __always_inline void withdraw_vm(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	if (vm->run_state == MAYFLY_PARKED)
		cold_withdraw(vm);
	list_del_init(&vm->queue);
	if (!RB_EMPTY_NODE(&vm->sleeper.node))
		timerqueue_del(&vm->pool->sleepers, &vm->sleeper);
}

/**
 * life_claim - claim a VM
 * @vm: ready, parked or paused
 * @runner: the thread that will run it, to be kicked; NULL if none
 *
 * Context: pool->lock held.
 */
void life_claim(struct vm *vm, struct task_struct *runner)
{
	withdraw_vm(vm);
	cold_wait(vm);
	set_run_state(vm, MAYFLY_RUNNING);
	vm->runner = runner;
}

/*
 * One that fires too soon finds nobody, and is set again. That is cheaper than to move it
 * whenever a VM parks: most deadlines are farther away than the last one was.
 */
static void set_timer(struct pool *pool, ktime_t expires)
{
	ktime_t soonest;

	if (hrtimer_is_queued(&pool->timer) && hrtimer_get_expires(&pool->timer) <= expires)
		return;
	soonest = ktime_add_ns(ktime_get(), MIN_TIMER_NS);
	hrtimer_start(&pool->timer, max(expires, soonest), HRTIMER_MODE_ABS_HARD);
}

/* A worker is woken by pool_unlock_irq(). */
static void make_ready(struct vm *vm)
{
	set_run_state(vm, MAYFLY_READY);
	if (!vm->started)
		return;	/* The thread in RUN will see it. */
	list_add_tail(&vm->queue, &vm->pool->ready);
}

static void make_parked(struct vm *vm, u64 now)
{
	struct pool *pool = vm->pool;

	if (vm->run_state == MAYFLY_RUNNING && !vm->borrowed) {
		vm->parked++;
		this_cpu_inc(nr_parked);
	}
	vm->credit = min_t(s64, vm->credit, 0);	/* Unused turns are not saved. */
	set_run_state(vm, MAYFLY_PARKED);
	vm->parked_at = jiffies;
	cold_offer(vm);
	if (!vm->started || vm->vcpu.state.deadline == MAYFLY_FOREVER)
		return;
	vm->sleeper.expires = ktime_add_ns(ktime_get(),
					   min_t(u64, vm->vcpu.state.deadline - now,
						 KTIME_MAX / 2));
	if (timerqueue_add(&pool->sleepers, &vm->sleeper))
		set_timer(pool, vm->sleeper.expires);
}

/**
 * life_settle - put a VM where it belongs: parked or ready
 * @vm: ready, parked or paused, or claimed by the caller, who thereby gives the
 *	claim back
 *
 * Parks it when its guest waits for something that has not come yet; otherwise
 * it is ready, and queued if it belongs to the workers.
 *
 * Context: pool->lock held.
 */
void life_settle(struct vm *vm)
{
	withdraw_vm(vm);
	if (vm->vcpu.state.waiting && !atomic64_read(&vm->pending)) {
		u64 now = devpage_guest_now(vm);

		if (now < vm->vcpu.state.deadline) {
			make_parked(vm, now);
			return;
		}
	}
	make_ready(vm);
}

/* Wakes the sleepers that are due. Returns when to fire again, or KTIME_MAX. */
static ktime_t wake_sleepers(struct pool *pool)
{
	ktime_t now = ktime_get();
	struct timerqueue_node *node;
	int n;

	lockdep_assert_held(&pool->lock);
	for (n = 0; n < WAKES_PER_PASS; n++) {
		node = timerqueue_getnext(&pool->sleepers);
		if (!node)
			return KTIME_MAX;
		if (node->expires > now)
			return node->expires;
		life_settle(container_of(node, struct vm, sleeper));
	}
	return now;
}

/**
 * life_on_deadline - a pool's timer has fired
 * @pool: the pool
 *
 * Context: hard interrupt.
 */
void life_on_deadline(struct pool *pool)
{
	unsigned long flags;
	ktime_t next;

	spin_lock_irqsave(&pool->lock, flags);
	next = wake_sleepers(pool);
	if (next != KTIME_MAX)
		set_timer(pool, next);
	pool_unlock_irqrestore(pool, flags);
}

/*
 * Ends a VM that the caller has claimed, and gives the claim back. Without a reference
 * of its own the caller must not use it afterwards.
 */
static void end_claimed(struct vm *vm)
{
	unsigned long flags;

	cold_forget(vm);
	if (!mutation_is(MUTATION_PORT))
		port_close_all(vm->ports);
	memory_free(&vm->memory);
	vm->device_page = NULL;
	vm_account(vm);
	vm_get(vm);
	spin_lock_irqsave(&vm->pool->lock, flags);
	vm->runner = NULL;
	vm->ended_ns = ktime_get_boottime_ns();
	ends_add(vm);	/* Whoever sees it dead finds the record. */
	set_run_state(vm, MAYFLY_ENDED);
	spin_unlock_irqrestore(&vm->pool->lock, flags);
	wake_waiters(vm);
	if ((!vm->detached || vm->autoremove) && !atomic_read(&vm->descriptors))
		life_remove(vm);
	vm_put(vm);
}

/* The claim now belongs to the line, for the fetcher or a killer to take. */
static void wait_for_memory(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	vm_get(vm);
	list_add_tail(&vm->queue, &vm->pool->starved);
	pool_call_fetcher(vm->pool);
}

/* A VM that is RUNNING is in no other queue. */
static bool waits_for_memory(const struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	return vm->run_state == MAYFLY_RUNNING && !list_empty(&vm->queue);
}

/**
 * life_take_starved - take the VM that has waited for memory longest
 * @pool: its pool
 *
 * Return: it, with the line's claim and reference, or NULL when none waits.
 */
struct vm *life_take_starved(struct pool *pool)
{
	struct vm *vm;

	spin_lock_irq(&pool->lock);
	vm = list_first_entry_or_null(&pool->starved, struct vm, queue);
	if (vm)
		list_del_init(&vm->queue);
	spin_unlock_irq(&pool->lock);
	return vm;
}

/* The claim goes on to life_hold(). */
static void hand_over(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	vm->borrowed = test_and_clear_bit(VM_REQUEST_PAUSE, &vm->requests) ?
			       BORROWED_PAUSED : BORROWED;
}

static enum life_rest wake_after_lock(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	/*
	 * There may be many waiters, so not under the lock; without a reference the VM
	 * may be gone after it.
	 */
	if (likely(!wq_has_sleeper(&vm->wait)))
		return LIFE_DONE;
	vm_get(vm);
	return LIFE_AWAITED;
}

/* Gives the claim back, unless the VM is to end. */
static enum life_rest hand_back(struct vm *vm, enum verdict verdict)
{
	struct pool *pool = vm->pool;

	lockdep_assert_held(&pool->lock);
	vm->runner = NULL;
	if (test_bit(VM_REQUEST_KILL, &vm->requests)) {
		vm->borrowed = BORROWED_NOT;
		vm->end = killed;
		return LIFE_ENDS;
	}
	if (unlikely(test_and_clear_bit(VM_REQUEST_HOLD, &vm->requests))) {
		/* After a fault, too: the guest will repeat it. */
		hand_over(vm);
		return wake_after_lock(vm);
	}
	if (verdict == VERDICT_FAULT) {
		wait_for_memory(vm);
		return LIFE_DONE;
	}
	if (test_and_clear_bit(VM_REQUEST_PAUSE, &vm->requests) ||
	    vm->borrowed == BORROWED_PAUSED)
		set_run_state(vm, MAYFLY_PAUSED);
	else
		life_settle(vm);
	vm->borrowed = BORROWED_NOT;
	return wake_after_lock(vm);
}

/**
 * life_hand_back - give a claim back, as far as that is possible without sleeping
 * @vm: claimed by the caller
 * @verdict: how its last slice ended
 *
 * No worker is woken if it is ready: a worker that gives it back takes the next one
 * itself, others call pool_wake().
 *
 * Context: any task.
 * Return: what is left for life_finish(). After LIFE_DONE the caller must not use the VM
 * without a reference of its own.
 */
enum life_rest life_hand_back(struct vm *vm, enum verdict verdict)
{
	struct pool *pool = vm->pool;
	enum life_rest rest;
	unsigned long flags;

	if (verdict == VERDICT_END)
		return LIFE_ENDS;
	spin_lock_irqsave(&pool->lock, flags);
	rest = hand_back(vm, verdict);
	spin_unlock_irqrestore(&pool->lock, flags);
	if (unlikely(rest == LIFE_AWAITED))
		wake_up_all(&vm->wait);
	return rest;
}

/**
 * life_finish - do what life_hand_back() has left
 * @vm: the VM; the caller must not use it afterwards without a reference of its own
 * @rest: what is left
 *
 * Context: may sleep.
 */
void life_finish(struct vm *vm, enum life_rest rest)
{
	if (unlikely(rest == LIFE_ENDS))
		end_claimed(vm);
	else if (unlikely(rest == LIFE_AWAITED))
		vm_put(vm);
}

/**
 * life_release - give a claim back
 * @vm: as for life_hand_back()
 * @verdict: likewise
 *
 * Context: may sleep.
 */
void life_release(struct vm *vm, enum verdict verdict)
{
	life_finish(vm, life_hand_back(vm, verdict));
}

/* Asks the claimant to stop; the kick makes the guest exit at once. */
static void ask_runner(struct vm *vm, int what)
{
	lockdep_assert_held(&vm->pool->lock);
	set_bit(what, &vm->requests);
	if (vm->runner)
		kick_process(vm->runner);
}

/* Ends a VM that nobody runs, or asks its claimant to. -ESRCH when it had ended. */
static int begin_kill(struct vm *vm)
{
	bool starved;

	spin_lock_irq(&vm->pool->lock);
	starved = waits_for_memory(vm);
	if (vm->run_state == MAYFLY_ENDED) {
		spin_unlock_irq(&vm->pool->lock);
		return -ESRCH;
	}
	if (vm->run_state == MAYFLY_RUNNING && !starved) {
		ask_runner(vm, VM_REQUEST_KILL);
		spin_unlock_irq(&vm->pool->lock);
		return 0;
	}
	if (starved)
		list_del_init(&vm->queue);	/* The line's claim is ours now. */
	else
		life_claim(vm, NULL);
	spin_unlock_irq(&vm->pool->lock);
	vm->end = killed;
	end_claimed(vm);
	if (starved)
		vm_put(vm);	/* The line's reference. */
	return 0;
}

/**
 * life_kill - end a VM from outside
 * @vm: the VM
 *
 * Context: may sleep; waits until it is dead.
 * Return: 0, -ESRCH when it had ended before, -EINTR when the caller is being
 * killed itself.
 */
int life_kill(struct vm *vm)
{
	int ret = begin_kill(vm);

	if (!ret && wait_event_killable(vm->wait, vm_has_ended(vm)))
		ret = -EINTR;
	return ret;
}

/* Its record may be read already, while whoever ends it has the lock. */
static bool ends_now(struct vm *vm)
{
	unsigned long flags;
	bool ended;

	spin_lock_irqsave(&vm->pool->lock, flags);
	ended = vm->run_state == MAYFLY_ENDED;
	spin_unlock_irqrestore(&vm->pool->lock, flags);
	return ended;
}

/**
 * life_close - one descriptor less
 * @vm: the VM
 *
 * The last one ends and removes a VM that is not detached. One that goes with its end, and has
 * ended, it removes.
 *
 * Context: may sleep; does not wait. The caller has a reference.
 */
void life_close(struct vm *vm)
{
	if (!atomic_dec_and_test(&vm->descriptors))
		return;
	if (vm->detached ? vm->autoremove && ends_now(vm) : begin_kill(vm) == -ESRCH)
		life_remove(vm);
}

/**
 * life_claim_parked - claim a VM that waits, to end it
 * @vm: the VM
 *
 * Context: any but hard interrupts.
 * Return: true with the VM claimed, for life_end_claimed(); false when it does anything else.
 */
bool life_claim_parked(struct vm *vm)
{
	unsigned long flags;
	bool parked;

	spin_lock_irqsave(&vm->pool->lock, flags);
	parked = vm->run_state == MAYFLY_PARKED;
	if (parked)
		life_claim(vm, NULL);
	spin_unlock_irqrestore(&vm->pool->lock, flags);
	return parked;
}

/**
 * life_end_claimed - end a VM that the caller has claimed, as if it were killed
 * @vm: the VM
 *
 * Context: may sleep. The caller has a reference.
 */
void life_end_claimed(struct vm *vm)
{
	vm->end = killed;
	end_claimed(vm);
}

/**
 * life_remove - forget a VM that has ended
 * @vm: the VM
 *
 * Context: may sleep.
 * Return: 0, -EBUSY while it lives, -ENOENT when it is removed already.
 */
int life_remove(struct vm *vm)
{
	if (!vm_has_ended(vm) && !ends_now(vm))
		return -EBUSY;
	if (atomic_xchg(&vm->removed, 1))
		return -ENOENT;
	table_forget(vm);
	return 0;
}

/**
 * life_start - hand a VM to the workers, for good
 * @vm: the VM, whose pool has workers
 *
 * Return: 0, -EALREADY, -ESRCH, -EBUSY while it is attached.
 */
int life_start(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		ret = -ESRCH;
	else if (vm->started)
		ret = -EALREADY;
	else if (vm->attached)
		ret = -EBUSY;
	else if (vm->run_state == MAYFLY_RUNNING && !vm->borrowed)
		ret = -ESRCH;	/* Claimed by its killer. */
	else
		vm->started = true;
	/* One that is borrowed is settled when it is given back. */
	if (!ret && vm->run_state != MAYFLY_PAUSED && !vm->borrowed)
		life_settle(vm);
	pool_unlock_irq(vm->pool);
	if (!ret)
		wake_waiters(vm);
	return ret;
}

static bool pause_is_over(struct vm *vm)
{
	return !test_bit(VM_REQUEST_PAUSE, &vm->requests) || vm_has_ended(vm);
}

/* It is paused already, or will be: a pause for good makes one that is held last. */
static int pause_again(struct vm *vm, const void *holder)
{
	if (holder && vm->holder)
		return -EBUSY;	/* One who copies it cannot know what another one does. */
	if (holder || !vm->holder)
		return -EALREADY;
	vm->holder = NULL;
	return 0;
}

/**
 * life_pause - stop a VM where it is
 * @vm: the VM
 * @holder: NULL to pause it for good, or else who will call life_let_go()
 *
 * Context: may sleep; waits until it has stopped.
 * Return: 0, -EALREADY, -EBUSY for a holder if there is one, -ESRCH, -EINTR: then it may
 * still stop.
 */
int life_pause(struct vm *vm, const void *holder)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	switch (vm->run_state) {
	case MAYFLY_ENDED:
		ret = -ESRCH;
		break;
	case MAYFLY_PAUSED:
		ret = pause_again(vm, holder);
		break;
	case MAYFLY_RUNNING:
		if (vm->borrowed == BORROWED_PAUSED || (holder && vm->holder)) {
			ret = pause_again(vm, holder);
			break;
		}
		ask_runner(vm, VM_REQUEST_PAUSE);
		vm->holder = holder;
		break;
	default:
		withdraw_vm(vm);
		set_run_state(vm, MAYFLY_PAUSED);
		vm->holder = holder;
		break;
	}
	spin_unlock_irq(&vm->pool->lock);
	if (ret)
		return ret;
	wake_waiters(vm);
	if (wait_event_killable(vm->wait, pause_is_over(vm)))
		return -EINTR;
	return vm_has_ended(vm) ? -ESRCH : 0;
}

/* Under pool->lock. Returns 0, -EALREADY, -ESRCH. */
static int resume(struct vm *vm)
{
	if (vm->run_state == MAYFLY_ENDED)
		return -ESRCH;
	if (vm->borrowed == BORROWED_PAUSED)
		vm->borrowed = BORROWED;	/* It goes on when it is given back. */
	else if (vm->run_state != MAYFLY_PAUSED)
		return -EALREADY;
	else
		life_settle(vm);
	vm->holder = NULL;
	return 0;
}

/**
 * life_resume - let a paused VM go on
 * @vm: the VM
 *
 * Return: 0, -EALREADY when it is not paused, -ESRCH.
 */
int life_resume(struct vm *vm)
{
	int ret;

	spin_lock_irq(&vm->pool->lock);
	ret = resume(vm);
	pool_unlock_irq(vm->pool);
	if (!ret)
		wake_waiters(vm);
	return ret;
}

/**
 * life_let_go - let a VM go on that is paused for a holder, or will be
 * @vm: the VM
 * @holder: as life_pause() had it. It need not be the holder any more
 *
 * Context: any.
 */
void life_let_go(struct vm *vm, const void *holder)
{
	spin_lock_irq(&vm->pool->lock);
	if (vm->holder == holder) {
		vm->holder = NULL;
		/* Where he has not waited for it, the pause may be to come. */
		if (resume(vm) == -EALREADY)
			clear_bit(VM_REQUEST_PAUSE, &vm->requests);
	}
	pool_unlock_irq(vm->pool);
	wake_waiters(vm);
}

/**
 * life_notify - raise an event
 * @vm: the VM
 * @port: below MAYFLY_EVENT_PORTS
 *
 * Context: any but hard interrupts.
 * Return: 0, -ESRCH.
 */
int life_notify(struct vm *vm, u32 port)
{
	bool woken = false;
	unsigned long flags;
	int ret = 0;

	spin_lock_irqsave(&vm->pool->lock, flags);
	if (vm->run_state == MAYFLY_ENDED) {
		ret = -ESRCH;
	} else {
		atomic64_or(BIT_ULL(port), &vm->pending);
		woken = vm->run_state == MAYFLY_PARKED;
	}
	if (woken)
		life_settle(vm);
	pool_unlock_irqrestore(vm->pool, flags);
	if (woken)
		wake_waiters(vm);
	return ret;
}

/**
 * life_packet_arrived - raise an event that may have been raised already
 * @vm: alive, and stays so
 * @port: as for life_notify()
 *
 * Context: softirq.
 */
void life_packet_arrived(struct vm *vm, u32 port)
{
	/* Then nobody has taken it, so the VM is not parked. */
	if (!(atomic64_read(&vm->pending) & BIT_ULL(port)))
		life_notify(vm, port);
}

/**
 * life_attach - attach a VM to the calling thread, until life_detach()
 * @vm: the VM
 *
 * Return: 0, -ESRCH, -EBUSY when somebody else runs it.
 */
int life_attach(struct vm *vm)
{
	int ret = 0;

	spin_lock_irq(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		ret = -ESRCH;
	else if (vm->started || vm->attached)
		ret = -EBUSY;
	else
		vm->attached = true;
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

/**
 * life_detach - the VM belongs to no thread again
 * @vm: after life_attach()
 */
void life_detach(struct vm *vm)
{
	spin_lock_irq(&vm->pool->lock);
	vm->attached = false;
	spin_unlock_irq(&vm->pool->lock);
}

/**
 * life_try_claim - claim a VM that is ready
 * @vm: attached to the caller
 *
 * Return: true with the VM claimed; false when it is parked, paused, being killed
 * or ended.
 */
bool life_try_claim(struct vm *vm)
{
	bool ready;

	spin_lock_irq(&vm->pool->lock);
	/* Its deadline may have passed; or it is new, and goes on from one that waits. */
	if (vm->vcpu.state.waiting &&
	    (vm->run_state == MAYFLY_PARKED || vm->run_state == MAYFLY_READY))
		life_settle(vm);
	ready = vm->run_state == MAYFLY_READY;
	if (ready)
		life_claim(vm, current);
	pool_unlock_irq(vm->pool);
	return ready;
}

/* Claims a VM that nobody has claimed. */
static void borrow(struct vm *vm)
{
	vm->borrowed = vm->run_state == MAYFLY_PAUSED ? BORROWED_PAUSED : BORROWED;
	life_claim(vm, NULL);
}

/**
 * life_borrow - claim a VM that stands still, for a caller who looks into it
 * @vm: the caller holds the lock of access.c, so that nobody else has borrowed it
 *
 * Return: 0 with the VM claimed until life_give_back(), else as life_stands_still().
 */
int life_borrow(struct vm *vm)
{
	int ret;

	spin_lock_irq(&vm->pool->lock);
	ret = life_stands_still(vm);
	if (!ret)
		borrow(vm);
	spin_unlock_irq(&vm->pool->lock);
	return ret;
}

/* Takes the claim from the line of those that wait for memory. */
static void take_from_line(struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	list_del_init(&vm->queue);
	hand_over(vm);
}

/* Claims a VM wherever it is, or asks for it: then returns -EAGAIN. */
static int try_hold(struct vm *vm, bool *was_in_line)
{
	lockdep_assert_held(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		return -ESRCH;
	if (vm->borrowed)
		return 0;	/* It has been handed over. */
	*was_in_line = waits_for_memory(vm);
	if (*was_in_line) {
		take_from_line(vm);
		return 0;
	}
	if (vm->run_state == MAYFLY_RUNNING) {
		ask_runner(vm, VM_REQUEST_HOLD);
		return -EAGAIN;
	}
	borrow(vm);
	return 0;
}

static bool hold_is_over(struct vm *vm)
{
	return READ_ONCE(vm->borrowed) || vm_has_ended(vm);
}

/* Takes the request back. Returns false when it has been fulfilled meanwhile. */
static bool stop_asking(struct vm *vm)
{
	bool held;

	spin_lock_irq(&vm->pool->lock);
	clear_bit(VM_REQUEST_HOLD, &vm->requests);
	held = vm->borrowed;
	spin_unlock_irq(&vm->pool->lock);
	return !held;
}

/**
 * life_hold - claim a VM wherever it is, also from whoever runs it
 * @vm: as for life_borrow()
 *
 * Context: may sleep, for as long as the claimant needs to leave guest mode or to get
 * memory.
 * Return: 0 with the VM claimed until life_give_back(), -ESRCH, -EINTR when the caller
 * is being killed.
 */
int life_hold(struct vm *vm)
{
	bool was_in_line = false;
	int ret;

	do {
		spin_lock_irq(&vm->pool->lock);
		ret = try_hold(vm, &was_in_line);
		spin_unlock_irq(&vm->pool->lock);
		if (ret == -EAGAIN && wait_event_killable(vm->wait, hold_is_over(vm)))
			ret = stop_asking(vm) ? -EINTR : 0;
	} while (ret == -EAGAIN);
	if (was_in_line)
		vm_put(vm);	/* The line's reference. */
	return ret;
}

/**
 * life_give_back - the VM stands again as it did before life_borrow() or life_hold()
 * @vm: borrowed; the caller has a reference. It has ended if somebody has killed it
 *	meanwhile.
 *
 * Context: may sleep.
 */
void life_give_back(struct vm *vm)
{
	life_release(vm, VERDICT_LEAVE);
	pool_wake(vm->pool);
}

/**
 * life_stands_still - may a VM's registers be read and written?
 * @vm: the VM
 *
 * Context: pool->lock held; the answer holds as long as the lock is.
 * Return: 0, -EBUSY when started or attached but not paused, -ESRCH.
 */
int life_stands_still(const struct vm *vm)
{
	lockdep_assert_held(&vm->pool->lock);
	if (vm->run_state == MAYFLY_ENDED)
		return -ESRCH;
	if (vm->run_state == MAYFLY_PAUSED)
		return 0;
	if (vm->started || vm->attached)
		return -EBUSY;
	/* RUNNING, but not started or attached: it is being killed. */
	return vm->run_state == MAYFLY_RUNNING ? -ESRCH : 0;
}
