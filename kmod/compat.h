/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - where the kernels that we build for differ.
 *
 * Kbuild looks into the kernel's headers and defines HAS_*; a version number does not
 * tell, as distributions carry changes back. No other file asks what the kernel has.
 * The code is written for the newest kernel; older ones get here what they lack.
 */
#ifndef MAYFLY_COMPAT_H
#define MAYFLY_COMPAT_H

/* The NMI handler for an NMI that has ended guest mode. Renamed in 6.12. */
#ifdef HAS_EXC_NMI_KVM_VMX
#define asm_exc_nmi_after_guest	asm_exc_nmi_kvm_vmx
#else
#define asm_exc_nmi_after_guest	asm_exc_nmi_noist
#endif

#ifdef __ASSEMBLER__

#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

/*
 * What the world switch of SVM does against speculation. Newer kernels export what
 * their own macros call to KVM alone; these do the same without it.
 */
#ifdef HAS_EXPORTS_FOR_KVM

.pushsection .rodata
SYM_DATA_LOCAL(svm_verw_selector, .word __KERNEL_DS)
.popsection

.macro clear_buffers_before_vmrun
	ALTERNATIVE "", "verw svm_verw_selector(%rip)", X86_FEATURE_CLEAR_CPU_BUF_VM
.endm

/* IBPB, which on some CPUs leaves what is predicted of returns. Clobbers rax, rcx, rdx. */
.macro forget_predictions
	mov	$MSR_IA32_PRED_CMD, %ecx
	mov	$PRED_CMD_IBPB, %eax
	xor	%edx, %edx
	wrmsr
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_BUG_IBPB_NO_RET
.endm

/* Clobbers rax, rcx and rdx. */
.macro untrain_after_vmexit
	VALIDATE_UNRET_END
	CALL_UNTRAIN_RET
	ALTERNATIVE "jmp .Lno_ibpb_\@", "", X86_FEATURE_IBPB_ON_VMEXIT
	forget_predictions
.Lno_ibpb_\@:
.endm

/* void compat_forget_predictions(void) */
.pushsection .text
SYM_FUNC_START(compat_forget_predictions)
	forget_predictions
	RET
SYM_FUNC_END(compat_forget_predictions)
.popsection

#else

.macro clear_buffers_before_vmrun
	VM_CLEAR_CPU_BUFFERS
.endm

.macro untrain_after_vmexit
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
.endm

#endif

#else /* __ASSEMBLER__ */

#include <linux/hrtimer.h>
#include <linux/mm_types.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/syscore_ops.h>
#include <linux/workqueue.h>
#include <asm/cpu.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/reboot.h>
#include <asm/svm.h>
#ifdef HAS_CPUID_API
#include <asm/cpuid/api.h>
#endif

/*
 * A crashing kernel turned SVM off by itself until 6.7, then only for whoever had said
 * how. The newest do it by themselves again, and have no slot but KVM's. Both take a
 * kernel that is built with KVM.
 */
#if defined(HAS_VIRTEXT) || defined(HAS_ASM_VIRT)
#define CRASH_TURNS_SVM_OFF	1
#else
#define CRASH_TURNS_SVM_OFF	0
#endif
#ifdef HAS_ASM_VIRT
static inline void cpu_emergency_register_virt_callback(void (*callback)(void)) {}
static inline void cpu_emergency_unregister_virt_callback(void (*callback)(void)) {}
#endif

/* Since 6.12 KVM may take the CPUs when it is loaded, and not with its first VM. */
#ifdef HAS_KVM_AT_LOAD
#define KVM_CAN_HOLD_IDLE	1
#else
#define KVM_CAN_HOLD_IDLE	0
#endif

/* Since 6.18 cpu.max stops a task on its way to user space, where no worker goes. */
#ifdef HAS_TASK_THROTTLING
#define WORKERS_KEEP_QUOTAS	0
#else
#define WORKERS_KEEP_QUOTAS	1
#endif

/*
 * Newer kernels have a second way to ask for the CPU: a task gives it up at once where
 * it leaves the kernel or would enter a guest, and within a tick elsewhere.
 */
static inline bool compat_need_resched(void)
{
#ifdef HAS_LAZY_RESCHED
	return need_resched() || test_thread_flag(TIF_NEED_RESCHED_LAZY);
#else
	return need_resched();
#endif
}

/* Between two slices. cond_resched() does not look at the second way. */
static inline void compat_cond_resched(void)
{
#ifdef HAS_LAZY_RESCHED
	if (test_thread_flag(TIF_NEED_RESCHED_LAZY))
		schedule();
#endif
	cond_resched_tasks_rcu_qs();
}

/*
 * A guest's split lock, on kernels where VT-x may be ours: true after a pause, or false
 * and SIGBUS. AMD has no such #AC.
 */
static inline bool compat_guest_split_lock(unsigned long rip)
{
#ifdef HAS_EXPORTS_FOR_KVM
	return false;
#else
	return handle_guest_split_lock(rip);
#endif
}

/*
 * While SVM is on, AMD's counters tell host and guest apart (perf's :G and :H). perf has
 * to know, on kernels where that is not KVM's to say alone.
 */
static inline void compat_perf_counts_guests(bool may)
{
#ifndef HAS_EXPORTS_FOR_KVM
	if (may)
		amd_pmu_enable_virt();
	else
		amd_pmu_disable_virt();
#endif
}

/*
 * Where the kernel uses the FPU, softirqs ask first. Since 6.15 they do not: bottom halves
 * are off there instead, but not if it began with interrupts off.
 */
#ifdef HAS_FPU_WITHOUT_SOFTIRQS
#define SOFTIRQS_ASK_FOR_FPU	0
#else
#define SOFTIRQS_ASK_FOR_FPU	1
#endif

/* The word of a page beside page_private() that is its owner's. */
#ifdef HAS_FOLIO_INDEX
#define PAGE_INDEX(page)	((page)->__folio_index)
#else
#define PAGE_INDEX(page)	((page)->index)
#endif

#ifndef HAS_RDMSRQ
#define rdmsrq		rdmsrl
#define rdmsrq_safe	rdmsrl_safe
#define wrmsrq		wrmsrl
#define native_wrmsrq	native_wrmsrl
#endif

#ifndef HAS_SYSTEM_DFL_WQ
#define system_dfl_wq	system_unbound_wq
#endif

#ifndef HAS_HRTIMER_SETUP
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

#ifndef HAS_SVM_MISC_CTL
#define SVM_MISC_ENABLE_NP	SVM_NESTED_CTL_NP_ENABLE
#define misc_ctl		nested_ctl
#endif

void compat_forget_predictions(void);

/* The kernel's own calls what it exports to KVM alone. */
static inline void compat_prediction_barrier(void)
{
#ifdef HAS_EXPORTS_FOR_KVM
	if (cpu_feature_enabled(X86_FEATURE_IBPB))
		compat_forget_predictions();
#else
	indirect_branch_prediction_barrier();
#endif
}

/* What suspend and resume are told. */
#ifdef HAS_SYSCORE_DATA
#define SYSCORE_ARGUMENT	void *data
#define DEFINE_SYSCORE(name, suspend_function, resume_function)			\
	static const struct syscore_ops name##_ops = {				\
		.suspend = suspend_function, .resume = resume_function,		\
	};									\
	static struct syscore name = { .ops = &name##_ops }
#else
#define SYSCORE_ARGUMENT	void
#define DEFINE_SYSCORE(name, suspend_function, resume_function)			\
	static struct syscore_ops name = {					\
		.suspend = suspend_function, .resume = resume_function,		\
	}
#define register_syscore	register_syscore_ops
#define unregister_syscore	unregister_syscore_ops
#endif

typedef unsigned long shrinker_function(struct shrinker *shrinker,
					struct shrink_control *control);

/* Since 6.7 the kernel allocates shrinkers. */
static inline struct shrinker *compat_shrinker_register(shrinker_function *count,
							shrinker_function *scan)
{
	struct shrinker *shrinker;

#ifdef HAS_SHRINKER_ALLOC
	shrinker = shrinker_alloc(0, "mayfly");
#else
	shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);
#endif
	if (!shrinker)
		return NULL;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker->seeks = DEFAULT_SEEKS;
#ifdef HAS_SHRINKER_ALLOC
	shrinker_register(shrinker);
#else
	if (register_shrinker(shrinker, "mayfly")) {
		kfree(shrinker);
		return NULL;
	}
#endif
	return shrinker;
}

static inline void compat_shrinker_unregister(struct shrinker *shrinker)
{
#ifdef HAS_SHRINKER_ALLOC
	shrinker_free(shrinker);
#else
	unregister_shrinker(shrinker);
	kfree(shrinker);
#endif
}

/* 6.12: a bit of the device's own, no feature. */
#ifdef NETIF_F_LLTX
#define compat_no_tx_lock(dev)	((dev)->features |= NETIF_F_LLTX)
#else
#define compat_no_tx_lock(dev)	((dev)->lltx = true)
#endif

#endif /* __ASSEMBLER__ */
#endif
