/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mayfly.h - the ioctl interface of /dev/mayfly.
 *
 * Three kinds of file descriptor:
 *
 *   device  open("/dev/mayfly"): INFO, IMAGE_CREATE, SPAWN, LIST, OPEN, CONTROL.
 *           poll() reports POLLIN once any VM has ended since this descriptor's
 *           last LIST that began at the first VM.
 *   image   from IMAGE_CREATE; only passed to SPAWN. VMs keep their image alive.
 *   VM      from OPEN, or from SPAWN of one VM without MAYFLY_SPAWN_DETACHED:
 *           CONTROL (ids = 0), STAT, RUN, GET_STATE, SET_STATE. read() takes
 *           console bytes (every descriptor has its own position; 0 is the end,
 *           after the VM has ended); poll() reports POLLIN for console bytes
 *           and POLLIN | POLLHUP when the VM has ended.
 *
 * Rules for every call: structures are copied in whole; reserved fields and
 * unknown flags must be zero or the answer is -EINVAL; an unknown command is
 * -ENOTTY; a bad pointer is -EFAULT; -EBUSY means that another hypervisor is
 * using the CPU. On an error nothing has been changed unless the text below says
 * so. All calls may sleep. Sizes are in bytes, times in nanoseconds.
 */
#ifndef MAYFLY_H
#define MAYFLY_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MAYFLY_API_VERSION	1
#define MAYFLY_DEVICE		"/dev/mayfly"

#define MAYFLY_NAME_SIZE	64	/* with the final NUL */
#define MAYFLY_MAX_SEGMENTS	64
#define MAYFLY_MAX_BATCH	65536	/* ids in one CONTROL, rows in one LIST */
#define MAYFLY_ARGS_MAX		4096

#define MAYFLY_MEMORY_DEFAULT	(16ull << 20)
#define MAYFLY_MEMORY_MAX	(64ull << 30)

/* States of a VM. */
#define MAYFLY_READY	0	/* waits for a worker, or was never started */
#define MAYFLY_RUNNING	1
#define MAYFLY_PARKED	2	/* blocked in wait or HLT; costs no CPU */
#define MAYFLY_PAUSED	3
#define MAYFLY_ENDED	4

/* Why a VM ended; the same on every CPU. */
#define MAYFLY_END_NONE		0	/* it has not */
#define MAYFLY_END_EXITED	1	/* hypercall exit; status is the guest's */
#define MAYFLY_END_KILLED	2
#define MAYFLY_END_TRIPLE_FAULT	3
#define MAYFLY_END_BAD_ACCESS	4	/* outside memory, or forbidden; see address */
#define MAYFLY_END_BAD_STATE	5	/* state the CPU would refuse */
#define MAYFLY_END_NO_MEMORY	6	/* the host, or its cgroup, had none left */
#define MAYFLY_END_ENTRY_FAILED	7	/* the CPU refused to enter; see detail */
#define MAYFLY_END_LIMIT	8	/* over the limit on bytes, of its owner or all */

/* Exit reasons counted by STAT; the same on every CPU. */
#define MAYFLY_EXIT_INTERRUPT	0	/* the host's: interrupt, NMI, kick */
#define MAYFLY_EXIT_HYPERCALL	1
#define MAYFLY_EXIT_CPUID	2
#define MAYFLY_EXIT_HLT		3
#define MAYFLY_EXIT_MSR		4
#define MAYFLY_EXIT_MEMORY	5	/* second-level fault */
#define MAYFLY_EXIT_DENIED	6	/* instruction answered with #GP or #UD */
#define MAYFLY_EXIT_EXCEPTION	7	/* #DB, #AC, #MC */
#define MAYFLY_EXIT_SHUTDOWN	8	/* triple fault */
#define MAYFLY_EXIT_INVALID	9	/* entry refused by the CPU */
#define MAYFLY_EXIT_REASONS	10

/**
 * struct mayfly_info - what MAYFLY_INFO returns
 * @api_version: MAYFLY_API_VERSION of the module
 * @backend: 1 SVM, 2 VT-x
 * @vms: VMs that exist now, ended but not removed ones included
 * @images: images that exist now
 * @pools: worker pools that exist now
 * @pages: pages held for VMs and images, second-level tables included
 * @max_vms: module parameter: VMs that may exist
 * @memory_default: bytes for a VM whose creator has no preference
 * @memory_max: largest memory of a VM, in bytes
 * @vm_overhead: bytes of kernel structures a VM takes besides its pages
 * @spawned: VMs made since the module was loaded
 * @parked: times a VM has parked since the module was loaded
 * @flags: MAYFLY_INFO_*
 * @cold: VMs that are cold now: parked, with all derivable memory given back
 * @warmed: times a cold VM has been made ready to run again
 * @max_vms_user: VMs one user may have: the module parameter, or @max_vms when that
 *	is less or the parameter is 0
 * @max_bytes: module parameter: bytes all VMs together may hold alone, 0: no limit
 * @max_bytes_user: module parameter: the same for one user's VMs
 * @user_vms: VMs the caller has
 * @user_bytes: bytes they hold alone
 * @bytes: bytes all VMs hold alone
 * @reserved: zero
 */
struct mayfly_info {
	__u32 api_version;
	__u32 backend;
	__u64 vms;
	__u64 images;
	__u64 pools;
	__u64 pages;
	__u64 max_vms;
	__u64 memory_default;
	__u64 memory_max;
	__u64 vm_overhead;
	__u64 spawned;
	__u64 parked;
	__u64 flags;
	__u64 cold;
	__u64 warmed;
	__u64 max_vms_user;
	__u64 max_bytes;
	__u64 max_bytes_user;
	__u64 user_vms;
	__u64 user_bytes;
	__u64 bytes;
	__u64 reserved[4];
};

#define MAYFLY_INFO_DEBUG	1	/* built with the TLB model */
#define MAYFLY_INFO_CLOCK	2	/* guest clocks are stable */

/**
 * struct mayfly_segment - one piece of an image
 * @gpa: page-aligned guest-physical address, at least MAYFLY_GPA_IMAGE
 * @length: in bytes, more than 0; the rest of the last page is zero
 * @source: address of the bytes in the caller's memory
 * @flags: MAYFLY_SEGMENT_*; every segment can be read
 * @reserved: zero
 */
struct mayfly_segment {
	__u64 gpa;
	__u64 length;
	__u64 source;
	__u32 flags;
	__u32 reserved;
};

#define MAYFLY_SEGMENT_WRITE	1	/* VMs get a private copy when they write */
#define MAYFLY_SEGMENT_EXECUTE	2

/**
 * struct mayfly_image_create - argument of MAYFLY_IMAGE_CREATE
 * @segments: address of @nr_segments struct mayfly_segment, ascending by gpa,
 *	no page in two of them
 * @nr_segments: 1 to MAYFLY_MAX_SEGMENTS
 * @flags: zero
 * @rip: first instruction, a canonical virtual address
 * @rsp: first stack pointer
 * @cr3: guest-physical address of the top page table, page-aligned, inside a
 *	segment
 * @rdi: first value of rdi; by convention the device page's virtual address
 * @memory_min: bytes of memory a VM of this image needs at least (the end of
 *	.bss, say); 0 means up to the end of the last segment
 * @name: NUL-terminated, not empty; shown in lists, need not be unique
 * @reserved: zero
 *
 * VMs start at CPL 0 in 64-bit mode with flat segments, IF = 1, all other
 * registers zero. Memory that no segment covers is zero, readable, writable and
 * executable.
 */
struct mayfly_image_create {
	__u64 segments;
	__u32 nr_segments;
	__u32 flags;
	__u64 rip;
	__u64 rsp;
	__u64 cr3;
	__u64 rdi;
	__u64 memory_min;
	char name[MAYFLY_NAME_SIZE];
	__u64 reserved[4];
};

/**
 * struct mayfly_spawn - argument of MAYFLY_SPAWN
 * @image: descriptor of the image
 * @flags: MAYFLY_SPAWN_*
 * @count: VMs to make, at least 1; exactly 1 without MAYFLY_SPAWN_DETACHED
 * @fd: out: the VM's descriptor without MAYFLY_SPAWN_DETACHED, else -1
 * @memory: bytes per VM, a multiple of 4096, up to MAYFLY_MEMORY_MAX
 * @args: address of @args_length bytes of NUL-terminated strings, shared by
 *	all VMs of the call
 * @args_length: 0 to MAYFLY_ARGS_MAX
 * @first: with MAYFLY_SPAWN_NUMBERED the first number
 * @ids: address of @count __u64 that receive the ids, or 0
 * @created: out: VMs made, even when the call fails
 * @name: NUL-terminated: a letter, then letters, digits, '.', '_' or '-'; empty
 *	means vm<ID>
 * @reserved: zero
 */
struct mayfly_spawn {
	__s32 image;
	__u32 flags;
	__u32 count;
	__s32 fd;
	__u64 memory;
	__u64 args;
	__u32 args_length;
	__u32 first;
	__u64 ids;
	__u64 created;
	char name[MAYFLY_NAME_SIZE];
	__u64 reserved[4];
};

#define MAYFLY_SPAWN_START	1	/* hand the VMs to the workers at once */
#define MAYFLY_SPAWN_DETACHED	2	/* they outlive the caller */
#define MAYFLY_SPAWN_NUMBERED	4	/* names are name-<first>, name-<first+1> … */

/**
 * struct mayfly_vm_info - a VM at a glance: a row of LIST, and part of STAT
 * @id: unique for the life of the module, from 1
 * @state: MAYFLY_READY …
 * @reason: MAYFLY_END_*
 * @status: the guest's, when @reason is MAYFLY_END_EXITED
 * @uid: owner, as the caller's user namespace sees it
 * @memory: bytes of guest memory, as asked for
 * @private_bytes: bytes it holds alone: guest pages, tables, kernel structures
 * @exits: times it left guest mode
 * @cpu_ns: time in the run loop
 * @created_ns: Unix time
 * @ended_ns: Unix time, 0 while alive
 * @rip: where it ended, 0 while alive; SVM does not report it for a triple fault,
 *	so then it is where the guest was last entered (APM 2 15.14.3)
 * @address: guest-physical address of MAYFLY_END_BAD_ACCESS; for
 *	MAYFLY_END_BAD_STATE the offset in struct mayfly_vcpu_state of the register
 *	that no CPU would accept
 * @detail: the CPU's own code for MAYFLY_END_BAD_STATE and
 *	MAYFLY_END_ENTRY_FAILED, for the bug report: SVM's exit code; VT-x's exit
 *	reason with its qualification in the upper half (SDM 3C 27.8), or the
 *	VM-instruction error number (SDM 3C 31.4)
 * @flags: MAYFLY_VM_*
 * @reserved: zero
 * @name: NUL-terminated
 * @image: NUL-terminated
 */
struct mayfly_vm_info {
	__u64 id;
	__u32 state;
	__u32 reason;
	__s32 status;
	__u32 uid;
	__u64 memory;
	__u64 private_bytes;
	__u64 exits;
	__u64 cpu_ns;
	__u64 created_ns;
	__u64 ended_ns;
	__u64 rip;
	__u64 address;
	__u64 detail;
	__u64 flags;
	__u64 reserved[3];
	char name[MAYFLY_NAME_SIZE];
	char image[MAYFLY_NAME_SIZE];
};

#define MAYFLY_VM_DETACHED	1
#define MAYFLY_VM_STARTED	2	/* belongs to the workers */
#define MAYFLY_VM_COLD		4	/* parked, its tables and device page freed */

/**
 * struct mayfly_list - argument of MAYFLY_LIST
 * @from: lowest id to list; 0 for the first call
 * @rows: address of @count struct mayfly_vm_info
 * @count: 1 to MAYFLY_MAX_BATCH; out: rows filled, ascending by id
 * @flags: zero
 * @next: out: @from of the next call, 0 when this was the last
 * @reserved: zero
 *
 * A caller sees the VMs it owns; one with CAP_SYS_ADMIN sees all.
 */
struct mayfly_list {
	__u64 from;
	__u64 rows;
	__u32 count;
	__u32 flags;
	__u64 next;
	__u64 reserved[2];
};

/**
 * struct mayfly_open - argument of MAYFLY_OPEN
 * @id: the VM, or 0 to look up @name among the caller's own VMs
 * @name: NUL-terminated; empty when @id is given
 * @flags: zero
 * @fd: out: a VM descriptor (close-on-exec)
 * @reserved: zero
 */
struct mayfly_open {
	__u64 id;
	char name[MAYFLY_NAME_SIZE];
	__u32 flags;
	__s32 fd;
	__u64 reserved[2];
};

/**
 * struct mayfly_control - argument of MAYFLY_CONTROL
 * @op: MAYFLY_OP_*
 * @port: event port of MAYFLY_OP_NOTIFY, below 64; else 0
 * @ids: on the device: address of @count ids; on a VM descriptor: 0
 * @results: on the device: address of @count __s32 that receive 0 or a negative
 *	errno each, or 0; on a VM descriptor: 0, and the call itself returns it
 * @count: on the device 1 to MAYFLY_MAX_BATCH; on a VM descriptor 0
 * @flags: zero
 * @done: out: how many succeeded
 * @reserved: zero
 *
 * Results per VM: -ENOENT no such VM, -EPERM not the caller's, and those listed
 * with each operation.
 */
struct mayfly_control {
	__u32 op;
	__u32 port;
	__u64 ids;
	__u64 results;
	__u32 count;
	__u32 flags;
	__u64 done;
	__u64 reserved[2];
};

/*
 * START: -EALREADY started, -ESRCH ended, -EBUSY in RUN, -EXDEV its creator's
 * cgroup has no workers yet and the caller is in another one, or workers cannot
 * join it, -EAGAIN its workers would exceed the caller's limit on threads
 * (RLIMIT_NPROC), -ENOMEM, -EINTR.
 */
#define MAYFLY_OP_START		1
#define MAYFLY_OP_PAUSE		2	/* waits until stopped; -EALREADY, -ESRCH ended */
#define MAYFLY_OP_RESUME	3	/* -EALREADY not paused, -ESRCH ended */
#define MAYFLY_OP_KILL		4	/* waits until it is dead; -ESRCH ended before */
#define MAYFLY_OP_REMOVE	5	/* forgets an ended VM; -EBUSY not ended */
#define MAYFLY_OP_NOTIFY	6	/* raises event @port; -ESRCH ended */

/**
 * struct mayfly_vm_stat - what MAYFLY_STAT returns
 * @info: the row LIST would give
 * @exits: by MAYFLY_EXIT_* reason
 * @guest_pages: private guest pages
 * @table_pages: private second-level table pages
 * @device_pages: pages of the device page and its kind
 * @struct_bytes: kernel structures
 * @console_bytes: bytes the guest has written to its console so far
 * @console_lost: how many of those have been overwritten by later ones
 * @parked: times it parked
 * @reserved: zero
 */
struct mayfly_vm_stat {
	struct mayfly_vm_info info;
	__u64 exits[16];
	__u64 guest_pages;
	__u64 table_pages;
	__u64 device_pages;
	__u64 struct_bytes;
	__u64 console_bytes;
	__u64 console_lost;
	__u64 parked;
	__u64 reserved[9];
};

/**
 * struct mayfly_run - argument of MAYFLY_RUN
 * @flags: MAYFLY_RUN_*
 * @outcome: out: MAYFLY_RAN_*
 * @want: exits to return to the caller; not supported yet: zero
 * @reserved: zero
 *
 * Runs the VM in the calling thread, waiting included, until it ends or a condition
 * in @flags is met. -EINTR when a signal came, or when the kernel has other work for
 * the thread outside: call again to go on.
 * -EBUSY when it belongs to the workers or to another thread.
 */
struct mayfly_run {
	__u32 flags;
	__u32 outcome;
	__u64 want;
	__u64 reserved[4];
};

#define MAYFLY_RUN_UNTIL_PARK	1	/* return instead of waiting */
#define MAYFLY_RUN_UNTIL_OUTPUT	2	/* return when the console has grown */

#define MAYFLY_RAN_ENDED	1
#define MAYFLY_RAN_PARKED	2
#define MAYFLY_RAN_OUTPUT	3

/**
 * struct mayfly_segment_register - a segment register with its hidden part
 * @base: linear address
 * @limit: in bytes, after expansion by granularity
 * @selector: visible part
 * @attributes: bits 0-3 type, 4 S, 5-6 DPL, 7 P, 8 AVL, 9 L, 10 D/B, 11 G;
 *	P = 0 means unusable
 */
struct mayfly_segment_register {
	__u64 base;
	__u32 limit;
	__u16 selector;
	__u16 attributes;
};

/* GDTR or IDTR. */
struct mayfly_table_register {
	__u64 base;
	__u32 limit;
	__u32 reserved;
};

/**
 * struct mayfly_vcpu_state - a vCPU: what GET_STATE and SET_STATE carry
 * @vcpu: 0; there is one vCPU
 * @flags: MAYFLY_STATE_*
 * @regs: rax rcx rdx rbx rsp rbp rsi rdi r8 … r15, the order of their encoding
 * @rip: next instruction
 * @rflags: bit 1 set; VM, and all reserved bits clear
 * @cr0: PE, NE, ET and PG set; MP, EM, TS, WP and AM free
 * @cr2: page-fault address
 * @cr3: top page table
 * @cr4: PAE and MCE set; DE, PSE, TSD, PGE, OSFXSR and OSXMMEXCPT free
 * @efer: LME and LMA set; SCE and NXE free
 * @cs: segment register
 * @ss: segment register
 * @ds: segment register
 * @es: segment register
 * @fs: segment register
 * @gs: segment register
 * @ldtr: segment register
 * @tr: segment register
 * @gdtr: table register
 * @idtr: table register
 * @star: MSR
 * @lstar: MSR
 * @cstar: MSR
 * @sfmask: MSR
 * @kernel_gs_base: MSR
 * @sysenter_cs: MSR
 * @sysenter_esp: MSR
 * @sysenter_eip: MSR
 * @exception: with MAYFLY_STATE_EXCEPTION the vector to raise at the next entry:
 *	0 to 19 except 2, 3, 4, 9, 15 and 18
 * @error_code: its error code, where the vector has one
 * @reserved: zero
 * @fpu: an FXSAVE image; MXCSR has no reserved bit set
 *
 * Addresses must be canonical (48 bits), and the bases of @ds and @es below 4 GiB.
 * SET_STATE answers -EINVAL to a state that some CPU would refuse. Code segments
 * must be 64-bit ones.
 */
struct mayfly_vcpu_state {
	__u32 vcpu;
	__u32 flags;
	__u64 regs[16];
	__u64 rip;
	__u64 rflags;
	__u64 cr0;
	__u64 cr2;
	__u64 cr3;
	__u64 cr4;
	__u64 efer;
	struct mayfly_segment_register cs, ss, ds, es, fs, gs, ldtr, tr;
	struct mayfly_table_register gdtr, idtr;
	__u64 star;
	__u64 lstar;
	__u64 cstar;
	__u64 sfmask;
	__u64 kernel_gs_base;
	__u64 sysenter_cs;
	__u64 sysenter_esp;
	__u64 sysenter_eip;
	__u32 exception;
	__u32 error_code;
	__u64 reserved[11];
	__u8 fpu[512];
};

#define MAYFLY_STATE_EXCEPTION	1	/* @exception is pending */
#define MAYFLY_STATE_SHADOW	2	/* interrupt shadow after STI or MOV SS */

#define MAYFLY_RAX 0
#define MAYFLY_RCX 1
#define MAYFLY_RDX 2
#define MAYFLY_RBX 3
#define MAYFLY_RSP 4
#define MAYFLY_RBP 5
#define MAYFLY_RSI 6
#define MAYFLY_RDI 7

#ifdef __cplusplus
#define MAYFLY_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), "layout is ABI")
#else
#define MAYFLY_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "layout is ABI")
#endif

MAYFLY_SIZE(struct mayfly_info, 192);
MAYFLY_SIZE(struct mayfly_segment, 32);
MAYFLY_SIZE(struct mayfly_image_create, 152);
MAYFLY_SIZE(struct mayfly_spawn, 152);
MAYFLY_SIZE(struct mayfly_vm_info, 256);
MAYFLY_SIZE(struct mayfly_list, 48);
MAYFLY_SIZE(struct mayfly_open, 96);
MAYFLY_SIZE(struct mayfly_control, 56);
MAYFLY_SIZE(struct mayfly_vm_stat, 512);
MAYFLY_SIZE(struct mayfly_run, 48);
MAYFLY_SIZE(struct mayfly_vcpu_state, 1024);

/*
 * The calls. Besides the errors every call shares (above):
 *
 * INFO          none.
 * IMAGE_CREATE  returns an image descriptor (close-on-exec). -EINVAL segments
 *               unsorted, unaligned, overlapping, below MAYFLY_GPA_IMAGE or
 *               above MAYFLY_MEMORY_MAX, cr3 or rip bad, memory_min
 *               unaligned, name bad; -ENOMEM; -EINTR; -EMFILE, -ENFILE.
 * SPAWN         0. -EBADF, -EINVAL image is not one, count or memory or name
 *               bad, memory smaller than the image; -EEXIST name taken; -EDQUOT
 *               more VMs, or bytes, than the caller or all may have; -EAGAIN
 *               the first in a cgroup with START or DETACHED: its workers would
 *               exceed the caller's limit on threads (RLIMIT_NPROC); -ENOMEM;
 *               -EBUSY another hypervisor has the CPU, or somebody else already
 *               runs the new VM; -EIO firmware forbids it; -EXDEV the caller's
 *               cgroup takes no kernel threads; -EMFILE, -ENFILE; -EINTR. VMs
 *               made before an error stay, and @created is their number; without
 *               DETACHED none stays. -EINVAL comes before any VM is made, and so
 *               does -EDQUOT for VMs, unless others spawn at the same time;
 *               -EDQUOT for bytes comes at the VM that goes over the limit.
 * LIST          0. -EINVAL count; -EINTR.
 * OPEN          0. -EINVAL not exactly one of id and name; -ENOENT, -EPERM,
 *               -ENOMEM, -EMFILE, -ENFILE.
 * CONTROL       0 when every id was tried. -EINVAL op, port or count; -EINTR
 *               while waiting. After -EFAULT an operation may be done although its
 *               result could not be written: ask again; -EALREADY, -ESRCH or -ENOENT
 *               then says so.
 * STAT          0.
 * RUN           0. -EBUSY, -EINTR, -ESRCH the VM had ended before.
 * GET_STATE     0. -EBUSY when it belongs to the workers or to a thread in RUN,
 *               unless it is paused; -ESRCH after the end; -ENOMEM.
 * SET_STATE     0. -EINVAL; else as GET_STATE. A waiting guest stops waiting: it
 *               goes on where the new state says.
 */
#define MAYFLY_IOC		0xBE
#define MAYFLY_INFO		_IOR(MAYFLY_IOC, 0x00, struct mayfly_info)
#define MAYFLY_IMAGE_CREATE	_IOW(MAYFLY_IOC, 0x01, struct mayfly_image_create)
#define MAYFLY_SPAWN		_IOWR(MAYFLY_IOC, 0x02, struct mayfly_spawn)
#define MAYFLY_LIST		_IOWR(MAYFLY_IOC, 0x03, struct mayfly_list)
#define MAYFLY_OPEN		_IOWR(MAYFLY_IOC, 0x04, struct mayfly_open)
#define MAYFLY_CONTROL		_IOWR(MAYFLY_IOC, 0x05, struct mayfly_control)
#define MAYFLY_STAT		_IOR(MAYFLY_IOC, 0x06, struct mayfly_vm_stat)
#define MAYFLY_RUN		_IOWR(MAYFLY_IOC, 0x07, struct mayfly_run)
#define MAYFLY_GET_STATE	_IOR(MAYFLY_IOC, 0x08, struct mayfly_vcpu_state)
#define MAYFLY_SET_STATE	_IOW(MAYFLY_IOC, 0x09, struct mayfly_vcpu_state)

#endif /* MAYFLY_H */
