// SPDX-License-Identifier: GPL-2.0-only
/*
 * trap.c - the attack surface: everything a guest can make Mayfly do.
 *
 * One neutral exit comes in, one verdict goes out. Registers come from
 * vm->vcpu.state, which the guest cannot touch while this runs; a range of guest
 * memory is checked once and copied once. Nothing here sleeps or logs, and no loop
 * is as long as the guest likes.
 *
 * The surface: six hypercalls, CPUID, HLT, RDMSR of EFER, second-level faults.
 * Everything else raises an exception in the guest or ends it.
 */
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/wait.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>

#include "cpu/state.h"
#include "debug/mutation.h"
#include "guest/cpuid.h"
#include "guest/nic.h"
#include "guest/trap.h"
#include "guest/verdict.h"
#include "mem/image.h"
#include "net/port.h"
#include "trace.h"
#include "vm/devpage.h"
#include "vm/vm.h"

static enum verdict raise_exception(struct vm *vm, u32 vector)
{
	state_raise(&vm->vcpu.state, vector, 0);
	return VERDICT_ENTER;
}

static enum verdict skip_instruction(struct vm *vm, const struct vm_exit *exit)
{
	vm->vcpu.state.rip += exit->length;
	vm->vcpu.state.flags &= ~MAYFLY_STATE_SHADOW;
	return VERDICT_ENTER;
}

static u64 take_events(struct vm *vm)
{
	return atomic64_xchg(&vm->pending, 0);
}

static enum verdict park_guest(struct vm *vm, u32 how, u64 deadline)
{
	vm->vcpu.state.waiting = how;
	vm->vcpu.state.deadline = deadline;
	if (!vm->learned) {
		image_learn_hot(vm->memory.image, &vm->memory.pages);
		vm->learned = true;
	}
	return VERDICT_PARK;
}

/**
 * trap_finish_wait - give a woken guest the answer it waited for
 * @vm: claimed, in wait or HLT
 */
void trap_finish_wait(struct vm *vm)
{
	if (vm->vcpu.state.waiting == MAYFLY_WAITING_CALL)
		vm->vcpu.state.regs[MAYFLY_RAX] = take_events(vm);
	vm->vcpu.state.waiting = MAYFLY_WAITING_NOT;
	vm->vcpu.state.deadline = 0;
}

static enum verdict wait_for_more(struct vm *vm, u64 events, u64 deadline)
{
	vm->vcpu.state.regs[MAYFLY_RAX] = events;
	if (events || devpage_guest_now(vm) >= deadline)
		return VERDICT_ENTER;
	return park_guest(vm, MAYFLY_WAITING_CALL, deadline);
}

/*
 * Before a guest waits, or when it asks. @until is when it has more to send, by the guest's
 * clock. False if it must come here again, as if it had not been here yet.
 */
static bool serve_networks(struct vm *vm, const struct vm_exit *exit, enum verdict *verdict,
			   u64 *until)
{
	u64 again;

	*verdict = nic_serve(vm, &again);
	if (*verdict != VERDICT_ENTER || !again) {
		vm->vcpu.state.rip -= exit->length;
		return false;
	}
	*until = likely(again == MAYFLY_FOREVER) ? again : devpage_guest_now(vm) + again;
	return true;
}

/* Not inlined, as all that serve: their room on the stack would cost at every exit. */
static noinline enum verdict wait_on_networks(struct vm *vm, const struct vm_exit *exit,
					      u64 deadline)
{
	enum verdict verdict;
	u64 until;

	if (!serve_networks(vm, exit, &verdict, &until))
		return verdict;
	return wait_for_more(vm, take_events(vm), min(deadline, until));
}

static enum verdict hypercall_wait(struct vm *vm, const struct vm_exit *exit, u64 deadline)
{
	if (unlikely(vm->ports))
		return wait_on_networks(vm, exit, deadline);
	return wait_for_more(vm, take_events(vm), deadline);
}

static enum verdict hypercall_console(struct vm *vm, u64 gpa, u64 length)
{
	char bytes[CONSOLE_INLINE];
	struct mem_cgroup *old;
	u64 done, n;

	length = min_t(u64, length, MAYFLY_CONSOLE_MAX);
	if (!memory_is_readable(&vm->memory, gpa, length)) {
		vm->vcpu.state.regs[MAYFLY_RAX] = -EFAULT;
		return VERDICT_ENTER;
	}
	old = set_active_memcg(vm->memory.memcg);
	for (done = 0; done < length; done += n) {
		n = min_t(u64, length - done, sizeof(bytes));
		memory_read(&vm->memory, gpa + done, bytes, n);
		console_write(&vm->console, bytes, n);
	}
	set_active_memcg(old);
	if (vm_account(vm))
		return end_guest(vm, MAYFLY_END_LIMIT, 0, 0);
	vm->vcpu.state.regs[MAYFLY_RAX] = length;
	if (wq_has_sleeper(&vm->wait))
		wake_up_interruptible(&vm->wait);
	return VERDICT_OUTPUT;
}

static const struct port *find_port(const struct vm *vm, u64 event)
{
	const struct port *port = vm->ports;

	while (port && port->event != event)
		port = port->next;
	return port;
}

/* All are served, as at each wait. */
static noinline enum verdict hypercall_notify(struct vm *vm, const struct vm_exit *exit,
					      u64 event)
{
	const struct port *port = find_port(vm, event);
	enum verdict verdict;
	u64 until;

	if (!port) {
		vm->vcpu.state.regs[MAYFLY_RAX] = -ENOENT;
		return VERDICT_ENTER;
	}
	if (serve_networks(vm, exit, &verdict, &until))
		vm->vcpu.state.regs[MAYFLY_RAX] = port->shut ? -EPIPE : 0;
	return verdict;
}

static enum verdict hypercall_ready(struct vm *vm)
{
	vm->vcpu.state.regs[MAYFLY_RAX] = 0;
	WRITE_ONCE(vm->ready, vm->ready + 1);
	return VERDICT_READY;
}

static enum verdict hypercall(struct vm *vm, const struct vm_exit *exit)
{
	u64 *regs = vm->vcpu.state.regs;

	if (exit->cpl)
		return raise_exception(vm, X86_TRAP_UD);
	skip_instruction(vm, exit);
	switch (regs[MAYFLY_RAX]) {
	case MAYFLY_HC_EXIT:
		end_guest(vm, MAYFLY_END_EXITED, 0, 0);
		vm->end.status = (s32)regs[MAYFLY_RDI];
		return VERDICT_END;
	case MAYFLY_HC_CONSOLE:
		return hypercall_console(vm, regs[MAYFLY_RDI], regs[MAYFLY_RSI]);
	case MAYFLY_HC_WAIT:
		return hypercall_wait(vm, exit, regs[MAYFLY_RDI]);
	case MAYFLY_HC_NOTIFY:
		return hypercall_notify(vm, exit, regs[MAYFLY_RDI]);
	case MAYFLY_HC_DISCARD:
		regs[MAYFLY_RAX] = memory_discard(&vm->memory, regs[MAYFLY_RDI],
						  regs[MAYFLY_RSI]);
		vm_account(vm);
		return VERDICT_ENTER;
	case MAYFLY_HC_READY:
		return hypercall_ready(vm);
	default:
		regs[MAYFLY_RAX] = -ENOSYS;
		return VERDICT_ENTER;
	}
}

static enum verdict answer_cpuid(struct vm *vm, const struct vm_exit *exit)
{
	u64 *regs = vm->vcpu.state.regs;
	const struct image *image = vm->memory.image;
	struct cpuid_result result = cpuid_answer(image->cpu_vendor, image->cpu_level,
						  regs[MAYFLY_RAX], regs[MAYFLY_RCX]);

	regs[MAYFLY_RAX] = result.eax;
	regs[MAYFLY_RBX] = result.ebx;
	regs[MAYFLY_RCX] = result.ecx;
	regs[MAYFLY_RDX] = result.edx;
	return skip_instruction(vm, exit);
}

static enum verdict rest(struct vm *vm, u64 deadline)
{
	if (atomic64_read(&vm->pending))
		return VERDICT_ENTER;
	return park_guest(vm, MAYFLY_WAITING_HLT, deadline);
}

static noinline enum verdict halt_on_networks(struct vm *vm, const struct vm_exit *exit)
{
	enum verdict verdict;
	u64 until;

	return serve_networks(vm, exit, &verdict, &until) ? rest(vm, until) : verdict;
}

static enum verdict answer_hlt(struct vm *vm, const struct vm_exit *exit)
{
	skip_instruction(vm, exit);
	return unlikely(vm->ports) ? halt_on_networks(vm, exit) : rest(vm, MAYFLY_FOREVER);
}

static enum verdict answer_msr(struct vm *vm, const struct vm_exit *exit)
{
	u64 *regs = vm->vcpu.state.regs;

	if ((u32)regs[MAYFLY_RCX] != MSR_EFER || exit->write)
		return raise_exception(vm, X86_TRAP_GP);
	regs[MAYFLY_RAX] = (u32)vm->vcpu.state.efer;
	regs[MAYFLY_RDX] = vm->vcpu.state.efer >> 32;
	return skip_instruction(vm, exit);
}

static enum verdict answer_fault(struct vm *vm, const struct vm_exit *exit)
{
	int ret;

	vm->fault = (struct vm_fault_info){
		.gpa = exit->gpa, .write = exit->write, .execute = exit->execute,
	};
	ret = memory_fault(&vm->memory, &vm->fault, MEMORY_ATOMIC);
	trace_fault(vm->id, exit->gpa, exit->write, exit->execute, ret);
	return judge_fault(vm, ret, exit->detail);
}

/* An #AC that the guest has not asked for is the host's, which looks for split locks. */
static enum verdict answer_exception(struct vm *vm, const struct vm_exit *exit)
{
	if ((exit->vector == X86_TRAP_AC &&
	     !state_checks_alignment(&vm->vcpu.state, exit->cpl)) ||
	    mutation_is(MUTATION_SPLIT_LOCK))
		return VERDICT_SPLIT_LOCK;
	return raise_exception(vm, exit->vector);
}

/* The CPU refused to enter, or exited for a reason that should not occur. */
static enum verdict answer_refusal(struct vm *vm, const struct vm_exit *exit)
{
	unsigned int wrong = exit->refused ? state_wrong_field(&vm->vcpu.state) :
					     STATE_ALL_RIGHT;

	trace_entry_failed(vm->id, exit->detail, wrong);
	if (wrong == STATE_ALL_RIGHT)
		return end_guest(vm, MAYFLY_END_ENTRY_FAILED, 0, exit->detail);
	return end_guest(vm, MAYFLY_END_BAD_STATE, wrong, exit->detail);
}

/**
 * trap_handle - handle an exit
 * @vm: claimed and out of guest mode
 * @exit: why it left guest mode; not for an interrupt of the host's
 *
 * Context: preemption off, interrupts on.
 * Return: what to do next.
 */
enum verdict trap_handle(struct vm *vm, const struct vm_exit *exit)
{
	switch (exit->reason) {
	case MAYFLY_EXIT_HYPERCALL:
		return hypercall(vm, exit);
	case MAYFLY_EXIT_CPUID:
		return answer_cpuid(vm, exit);
	case MAYFLY_EXIT_HLT:
		return answer_hlt(vm, exit);
	case MAYFLY_EXIT_MSR:
		return answer_msr(vm, exit);
	case MAYFLY_EXIT_MEMORY:
		return answer_fault(vm, exit);
	case MAYFLY_EXIT_DENIED:
		return raise_exception(vm, exit->vector);
	case MAYFLY_EXIT_EXCEPTION:
		return answer_exception(vm, exit);
	case MAYFLY_EXIT_SHUTDOWN:
		return end_guest(vm, MAYFLY_END_TRIPLE_FAULT, 0, 0);
	default:
		return answer_refusal(vm, exit);
	}
}
