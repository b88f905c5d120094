/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - tracepoints, mayfly:… in perf and trace-cmd.
 *
 * A disabled tracepoint costs a NOP. The field vm is the VM's id, as in ps.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mayfly

#if !defined(MAYFLY_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MAYFLY_TRACE_H

#include <linux/tracepoint.h>
#include "uapi/mayfly.h"

#define mayfly_exit_reasons				\
	{ MAYFLY_EXIT_INTERRUPT,	"interrupt" },	\
	{ MAYFLY_EXIT_HYPERCALL,	"hypercall" },	\
	{ MAYFLY_EXIT_CPUID,		"cpuid" },	\
	{ MAYFLY_EXIT_HLT,		"hlt" },	\
	{ MAYFLY_EXIT_MSR,		"msr" },	\
	{ MAYFLY_EXIT_MEMORY,		"memory" },	\
	{ MAYFLY_EXIT_DENIED,		"denied" },	\
	{ MAYFLY_EXIT_EXCEPTION,	"exception" },	\
	{ MAYFLY_EXIT_SHUTDOWN,		"shutdown" },	\
	{ MAYFLY_EXIT_INVALID,		"invalid" }

#define mayfly_states					\
	{ MAYFLY_READY,			"ready" },	\
	{ MAYFLY_RUNNING,		"running" },	\
	{ MAYFLY_PARKED,		"parked" },	\
	{ MAYFLY_PAUSED,		"paused" },	\
	{ MAYFLY_ENDED,			"ended" }

#define mayfly_end_reasons				\
	{ MAYFLY_END_NONE,		"-" },		\
	{ MAYFLY_END_EXITED,		"exited" },	\
	{ MAYFLY_END_KILLED,		"killed" },	\
	{ MAYFLY_END_TRIPLE_FAULT,	"triple-fault" }, \
	{ MAYFLY_END_BAD_ACCESS,	"bad-access" },	\
	{ MAYFLY_END_BAD_STATE,		"bad-state" },	\
	{ MAYFLY_END_NO_MEMORY,		"no-memory" },	\
	{ MAYFLY_END_ENTRY_FAILED,	"entry-failed" }, \
	{ MAYFLY_END_LIMIT,		"limit" },	\
	{ MAYFLY_END_SPLIT_LOCK,	"split-lock" },	\
	{ MAYFLY_END_BROKEN_MEMORY,	"broken-memory" }

/* Right before guest mode, interrupts off. */
TRACE_EVENT(vm_entry,
	TP_PROTO(u64 vm, u64 rip),
	TP_ARGS(vm, rip),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->rip = rip;
	),
	TP_printk("vm=%llu rip=%#llx", __entry->vm, __entry->rip)
);

/* After guest mode and the host's interrupt, before the exit is handled. */
TRACE_EVENT(vm_exit,
	TP_PROTO(u64 vm, u64 rip, u32 reason, u64 rax, u64 detail),
	TP_ARGS(vm, rip, reason, rax, detail),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, rip)
		__field(u32, reason)
		__field(u64, rax)
		__field(u64, detail)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->rip = rip;
		__entry->reason = reason;
		__entry->rax = rax;
		__entry->detail = detail;
	),
	TP_printk("vm=%llu rip=%#llx reason=%s rax=%#llx detail=%#llx",
		  __entry->vm, __entry->rip,
		  __print_symbolic(__entry->reason, mayfly_exit_reasons),
		  __entry->rax, __entry->detail)
);

/* A second-level fault has been handled; error is 0 or a negative errno. */
TRACE_EVENT(fault,
	TP_PROTO(u64 vm, u64 gpa, bool write, bool execute, int error),
	TP_ARGS(vm, gpa, write, execute, error),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, gpa)
		__field(bool, write)
		__field(bool, execute)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->gpa = gpa;
		__entry->write = write;
		__entry->execute = execute;
		__entry->error = error;
	),
	TP_printk("vm=%llu gpa=%#llx access=%s error=%d",
		  __entry->vm, __entry->gpa,
		  __entry->execute ? "execute" : __entry->write ? "write" : "read",
		  __entry->error)
);

/* reason is "-" in all states but ended. */
TRACE_EVENT(vm_state,
	TP_PROTO(u64 vm, u32 before, u32 state, u32 reason),
	TP_ARGS(vm, before, state, reason),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, before)
		__field(u32, state)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->before = before;
		__entry->state = state;
		__entry->reason = reason;
	),
	TP_printk("vm=%llu %s -> %s reason=%s", __entry->vm,
		  __print_symbolic(__entry->before, mayfly_states),
		  __print_symbolic(__entry->state, mayfly_states),
		  __print_symbolic(__entry->reason, mayfly_end_reasons))
);

#define mayfly_register(name) { offsetof(struct mayfly_vcpu_state, name), #name }
#define mayfly_registers						\
	mayfly_register(flags), mayfly_register(rip),			\
	mayfly_register(rflags), mayfly_register(cr0),			\
	mayfly_register(cr3), mayfly_register(cr4),			\
	mayfly_register(efer), mayfly_register(cs),			\
	mayfly_register(ss), mayfly_register(ds),			\
	mayfly_register(es), mayfly_register(fs),			\
	mayfly_register(gs), mayfly_register(ldtr),			\
	mayfly_register(tr), mayfly_register(gdtr),			\
	mayfly_register(idtr), mayfly_register(lstar),			\
	mayfly_register(cstar), mayfly_register(sfmask),		\
	mayfly_register(kernel_gs_base), mayfly_register(sysenter_cs),	\
	mayfly_register(sysenter_esp), mayfly_register(sysenter_eip),	\
	mayfly_register(exception), mayfly_register(waiting),		\
	mayfly_register(deadline),					\
	{ sizeof(struct mayfly_vcpu_state), "-" }

/*
 * The CPU refused a guest: the CPU's own code, and the first register that breaks
 * the manuals' rules, or "-" when none does.
 */
TRACE_EVENT(entry_failed,
	TP_PROTO(u64 vm, u64 detail, u32 wrong),
	TP_ARGS(vm, detail, wrong),
	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u64, detail)
		__field(u32, wrong)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->detail = detail;
		__entry->wrong = wrong;
	),
	TP_printk("vm=%llu detail=%#llx register=%s", __entry->vm,
		  __entry->detail,
		  __print_symbolic(__entry->wrong, mayfly_registers))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
