/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * controls.h - what a guest may do with VT-x, the same for all of them.
 */
#ifndef MAYFLY_VMX_CONTROLS_H
#define MAYFLY_VMX_CONTROLS_H

#include <linux/types.h>

struct page;

/**
 * struct vmx_controls - chosen at load from constants and the capability MSRs
 * @revision: of the VMCS
 * @pin: pin-based
 * @cpu: primary
 * @cpu2: secondary
 * @exit: at exits
 * @entry: at entries
 * @timer: preemption timer's start value
 * @large_pages: EPT leaves may map 2 MiB
 * @msr_bitmap: which MSRs are intercepted
 * @closed_bitmap: the same, and those of system calls
 */
struct vmx_controls {
	u32 revision;
	u32 pin;
	u32 cpu;
	u32 cpu2;
	u32 exit;
	u32 entry;
	u32 timer;
	bool large_pages;
	struct page *msr_bitmap;
	struct page *closed_bitmap;
};

extern struct vmx_controls vmx_controls;

/* System call MSRs are not in the VMCS: see syscalls.c. */
#define VMX_SYSCALL_MSRS	4
extern const u32 vmx_syscall_msrs[VMX_SYSCALL_MSRS];

int vmx_controls_setup(void);
void vmx_controls_teardown(void);
void vmx_controls_write(bool open);
void vmx_controls_open_syscalls(bool open);
void vmx_controls_mutate(void);

/* Which MSRs are intercepted while system calls are open, or closed. */
static inline struct page *vmx_controls_bitmap(bool open)
{
	return open ? vmx_controls.msr_bitmap : vmx_controls.closed_bitmap;
}

#endif
