/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mayfly.h - the ioctl interface of /dev/mayfly.
 *
 * Three kinds of file descriptor:
 *
 *   device  open("/dev/mayfly"): INFO, IMAGE_CREATE, IMAGE_LIST, IMAGE_OPEN, SPAWN,
 *           LIST, OPEN, CONTROL, and those of mayfly_demand.h. read() takes struct
 *           mayfly_end records of the VMs that have ended since the descriptor was
 *           opened, as many as fit; it waits for the first unless O_NONBLOCK
 *           (-EAGAIN). poll() reports POLLIN when there are any.
 *   image   from IMAGE_CREATE, IMAGE_OPEN or SNAPSHOT: STAT, IMAGE_TAG, IMAGE_REMOVE,
 *           EXTENTS, GET_STATE, MEMORY; passed to SPAWN. VMs, images derived from it,
 *           descriptors and its name keep an image alive.
 *   VM      from OPEN, or from SPAWN of one VM without MAYFLY_SPAWN_DETACHED:
 *           CONTROL (ids = 0), STAT, RUN, GET_STATE, SET_STATE, MEMORY, SNAPSHOT,
 *           ARGUMENTS. read() takes console bytes (every descriptor has its own
 *           position; 0 is the end, after the VM has ended); poll() reports POLLIN for
 *           console bytes and POLLIN | POLLHUP when the VM has ended.
 *
 * Rules for every call: structures are copied in whole; reserved fields and
 * unknown flags must be zero or the answer is -EINVAL; an unknown command is
 * -ENOTTY; a bad pointer is -EFAULT; -EBUSY means that another hypervisor is
 * using the CPU. On an error nothing has been changed unless the text below says
 * so. All calls may sleep. Sizes are in bytes, times in nanoseconds. A descriptor
 * that a call makes comes back in the field @fd, close-on-exec.
 *
 * How the interface grows: arguments keep their size, rows get longer. Fields are
 * only ever appended to struct mayfly_info, mayfly_vm_info, mayfly_image_info and
 * mayfly_vcpu_state. The caller says how long its row is (@row_size: a multiple of 8
 * up to MAYFLY_ROW_MAX); the module writes what it has and fills the rest with zeros,
 * or leaves out what does not fit. New calls and flags have a bit in
 * mayfly_info.features.
 */
#ifndef MAYFLY_H
#define MAYFLY_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What every module with this version can do; features name what it can besides. */
#define MAYFLY_API_VERSION	1
#define MAYFLY_DEVICE		"/dev/mayfly"

#define MAYFLY_NAME_SIZE	64	/* with the final NUL */
#define MAYFLY_MAX_SEGMENTS	64
#define MAYFLY_MAX_BATCH	65536	/* ids in one CONTROL, rows in one LIST */
#define MAYFLY_ARGS_MAX		4096
#define MAYFLY_MAX_ATTACHMENTS	32
#define MAYFLY_MAX_NETS		4	/* places of a VM on networks */
#define MAYFLY_ROW_MAX		16384	/* there is room for XSAVE with AMX */

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
#define MAYFLY_END_SPLIT_LOCK	9	/* a lock across cache lines, which the host forbids */
#define MAYFLY_END_BROKEN_MEMORY 10	/* the host's, found broken by its hardware */

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

/* The maker of the CPU that a guest sees. */
#define MAYFLY_VENDOR_AMD	1
#define MAYFLY_VENDOR_INTEL	2

/* What the CPU that a guest sees can do; a level has all of those below. */
#define MAYFLY_CPU_SSE2		1
#define MAYFLY_CPU_SSE42	2	/* SSE3 to SSE4.2, POPCNT, AES, PCLMULQDQ */

/* What kind of guest is in an image. */
#define MAYFLY_PROFILE_UNIKERNEL 1

/**
 * struct mayfly_row - argument of MAYFLY_INFO and MAYFLY_STAT: one row to fill
 * @row: address of @row_size bytes; for INFO a struct mayfly_info, for STAT a struct
 *	mayfly_vm_info or, on an image, a struct mayfly_image_info
 * @row_size: of the caller's row; out: of the module's
 * @flags: zero
 * @reserved: zero
 */
struct mayfly_row {
	__u64 row;
	__u32 row_size;
	__u32 flags;
	__u64 reserved[2];
};

/**
 * struct mayfly_info - what MAYFLY_INFO returns
 * @api_version: MAYFLY_API_VERSION of the module
 * @backend: 1 SVM, 2 VT-x
 * @features: MAYFLY_FEATURE_*
 * @cpu_vendor: MAYFLY_VENDOR_* that new images record
 * @cpu_level: the highest MAYFLY_CPU_* that this host can give
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
 * @max_bytes: module parameter: bytes all VMs, each alone, and images may hold
 *	together, 0: no limit
 * @max_bytes_user: module parameter: the same for one user's VMs and images
 * @user_vms: VMs the caller has
 * @user_bytes: bytes they hold alone, and the caller's images
 * @bytes: bytes all VMs hold alone, and all images
 * @tsc_khz: frequency of the host's TSC, and of guests' that have no other, in kHz
 */
struct mayfly_info {
	__u32 api_version;
	__u32 backend;
	__u64 features;
	__u32 cpu_vendor;
	__u32 cpu_level;
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
	__u64 tsc_khz;
};

#define MAYFLY_FEATURE_CPU_LEVELS	1	/* images with a CPU level */
#define MAYFLY_FEATURE_IMAGE_NAMES	2	/* IMAGE_TAG, _REMOVE, _LIST, _OPEN */
#define MAYFLY_FEATURE_END_RECORDS	4	/* read() on the device */
#define MAYFLY_FEATURE_MEMORY		8	/* MEMORY */
#define MAYFLY_FEATURE_SNAPSHOTS	16	/* SNAPSHOT */
#define MAYFLY_FEATURE_READY		32	/* a guest can say that it is ready: _WHEN_READY, _UNTIL_READY */
/* EXTENTS, MEMORY and GET_STATE of images, ARGUMENTS, CONTROL_HOLD, a vendor and SAME_TSC in IMAGE_CREATE */
#define MAYFLY_FEATURE_SAVE		64
#define MAYFLY_FEATURE_NET		128	/* MAYFLY_ATTACH_NET */
#define MAYFLY_FEATURE_DEMAND		256	/* mayfly_demand.h */

#define MAYFLY_INFO_DEBUG	1	/* built with the TLB model */
#define MAYFLY_INFO_CLOCK	2	/* guest clocks are stable */
#define MAYFLY_INFO_CPU_MAX	4	/* a cgroup's cpu.max holds VMs outside RUN, too */
#define MAYFLY_INFO_TSC_SCALING	8	/* a guest's TSC may have another frequency than the host's */

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
 * @flags: MAYFLY_IMAGE_SAME_TSC, or zero
 * @rip: first instruction, a canonical virtual address
 * @rsp: first stack pointer
 * @cr3: guest-physical address of the top page table, page-aligned, inside a
 *	segment
 * @rdi: first value of rdi; by convention the device page's virtual address
 * @memory_min: bytes of memory a VM of this image needs at least (the end of
 *	.bss, say); 0 means up to the end of the last segment
 * @memory_default: bytes of memory for a VM whose creator has no preference; 0 means
 *	MAYFLY_MEMORY_DEFAULT, or what it needs at least if that is more
 * @profile: MAYFLY_PROFILE_*
 * @cpu_level: MAYFLY_CPU_* that the guest needs; it sees no more
 * @fd: out: an image descriptor
 * @cpu_vendor: MAYFLY_VENDOR_* that the guest sees, wherever it runs; 0: the host's
 * @label: NUL-terminated, not empty; shown in lists, need not be unique
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
	__u64 memory_default;
	__u32 profile;
	__u32 cpu_level;
	__s32 fd;
	__u32 cpu_vendor;
	char label[MAYFLY_NAME_SIZE];
	__u64 reserved[4];
};

/**
 * struct mayfly_image_info - an image at a glance: a row of IMAGE_LIST and of STAT
 * @id: unique for the life of the module, from 1
 * @parent: id of the image it was derived from, 0 for none. Once nobody else uses that one
 *	it becomes part of this one, whose @bytes grow, and @parent is its parent
 * @bytes: that it holds: pages and tables
 * @users: VMs, images derived from it and open descriptors that keep it
 * @memory_min: bytes of memory a VM needs at least
 * @memory_default: bytes of memory a VM gets if nobody says otherwise
 * @created_ns: Unix time
 * @uid: owner, as the caller's user namespace sees it
 * @profile: MAYFLY_PROFILE_*
 * @cpu_vendor: MAYFLY_VENDOR_*
 * @cpu_level: MAYFLY_CPU_*
 * @label: NUL-terminated
 * @name: NUL-terminated, unique among its owner's images; empty: none
 * @flags: MAYFLY_IMAGE_*
 * @unused: zero
 */
struct mayfly_image_info {
	__u64 id;
	__u64 parent;
	__u64 bytes;
	__u64 users;
	__u64 memory_min;
	__u64 memory_default;
	__u64 created_ns;
	__u32 uid;
	__u32 profile;
	__u32 cpu_vendor;
	__u32 cpu_level;
	char label[MAYFLY_NAME_SIZE];
	char name[MAYFLY_NAME_SIZE];
	__u32 flags;
	__u32 unused;
};

#define MAYFLY_IMAGE_SNAPSHOT	1	/* from SNAPSHOT: its VMs go on from there */
/*
 * Its guests count the TSC's ticks by themselves, and could not bear another frequency. The
 * module only keeps this in mind, also for snapshots. A caller that carries VMs from host to
 * host asks, and sets @tsc_khz of struct mayfly_vcpu_state.
 */
#define MAYFLY_IMAGE_SAME_TSC	2

/**
 * struct mayfly_tag - argument of MAYFLY_IMAGE_TAG
 * @name: NUL-terminated: a letter, then letters, digits, '.', '_' or '-'
 * @flags: MAYFLY_TAG_*
 * @unused: zero
 *
 * Gives an image a name, instead of the one it may have. The name keeps the image
 * alive. The caller must be its owner.
 */
struct mayfly_tag {
	char name[MAYFLY_NAME_SIZE];
	__u32 flags;
	__u32 unused;
};

#define MAYFLY_TAG_REPLACE	1	/* take the name from the image that has it */

/**
 * struct mayfly_attachment - something that the VMs of a SPAWN get besides memory
 * @type: MAYFLY_ATTACH_*
 * @flags: by type
 * @size: of @payload
 * @reserved: zero
 * @payload: address of @size bytes, by type
 */
struct mayfly_attachment {
	__u32 type;
	__u32 flags;
	__u32 size;
	__u32 reserved;
	__u64 payload;
};

#define MAYFLY_ATTACH_NET	1	/* a place on a network: struct mayfly_attach_net; MAYFLY_MAX_NETS at most */

/**
 * struct mayfly_attach_net - payload of MAYFLY_ATTACH_NET
 * @ifindex: of a network device that `ip link add type mayfly` has made, in the caller's
 *	network namespace
 * @ip4: the VM's IPv4 address, in network order, in the subnet of the device's first address;
 *	0: any that is free. With one, @count is 1
 * @dns4: of the name server that the guest is told, in network order; 0: the host's address there
 * @flags: MAYFLY_PLACE_*
 * @rate: bytes a second that the VM may send, and that it may receive; 0: no limit. What it
 *	sends waits, what it would receive is dropped
 *
 * The guest finds it on its device page, see mayfly_net.h. Its place ends with the VM. If
 * the device has an IPv6 address other than its link-local one, with a prefix of 1 to 96 bits, the
 * VM has one too: the first 96 bits of that, and then its IPv4 address.
 */
struct mayfly_attach_net {
	__u32 ifindex;
	__u32 ip4;
	__u32 dns4;
	__u32 flags;
	__u64 rate;
};

/* It passes on others' packets, so it may send with any source. By CAP_NET_ADMIN */
#define MAYFLY_PLACE_ROUTER	1

/* Attributes of IFLA_INFO_DATA for such a device: __u32, in the caller's user namespace. */
#define MAYFLY_LINK_OWNER	1	/* user who may attach VMs; all with CAP_NET_ADMIN may */
#define MAYFLY_LINK_GROUP	2	/* group that may */
#define MAYFLY_LINK_POLICY	3	/* MAYFLY_POLICY_* */
#define MAYFLY_LINK_MAX		3

/* What becomes of a packet from one VM of a network to another. */
#define MAYFLY_POLICY_DIRECT	0	/* it goes there, and the host's stack does not see it */
#define MAYFLY_POLICY_HOST	1	/* the host's stack gets it, and may forward it */
#define MAYFLY_POLICY_ISOLATED	2	/* it is dropped, also when the host forwards it */

/**
 * struct mayfly_spawn - argument of MAYFLY_SPAWN
 * @image: descriptor of the image
 * @flags: MAYFLY_SPAWN_*
 * @count: VMs to make, at least 1; exactly 1 without MAYFLY_SPAWN_DETACHED
 * @fd: out: the VM's descriptor without MAYFLY_SPAWN_DETACHED, else -1
 * @memory: bytes per VM, a multiple of 4096, up to MAYFLY_MEMORY_MAX; 0 means the
 *	image's default
 * @args: address of @args_length bytes of NUL-terminated strings, shared by
 *	all VMs of the call
 * @args_length: 0 to MAYFLY_ARGS_MAX
 * @first: with MAYFLY_SPAWN_NUMBERED the first number
 * @ids: address of @count __u64 that receive the ids, or 0
 * @created: out: VMs made, even when the call fails
 * @attachments: address of @nr_attachments struct mayfly_attachment, for each VM of
 *	the call
 * @nr_attachments: up to MAYFLY_MAX_ATTACHMENTS
 * @unused: zero
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
	__u64 attachments;
	__u32 nr_attachments;
	__u32 unused;
	char name[MAYFLY_NAME_SIZE];
	__u64 reserved[4];
};

#define MAYFLY_SPAWN_START	1	/* hand the VMs to the workers at once */
#define MAYFLY_SPAWN_DETACHED	2	/* they outlive the caller */
#define MAYFLY_SPAWN_NUMBERED	4	/* names are name-<first>, name-<first+1> … */

/**
 * struct mayfly_vm_net - a VM's place on a network
 * @ip4: its IPv4 address there, in network order; 0 for no place
 * @ifindex: of the network's device; 0 where the caller's network namespace has it not
 * @ip6: its IPv6 address; all zero without one
 */
struct mayfly_vm_net {
	__u32 ip4;
	__u32 ifindex;
	__u8 ip6[16];
};

/**
 * struct mayfly_vm_info - a VM: a row of LIST and of STAT
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
 * @image_id: the image's
 * @name: NUL-terminated
 * @image: the image's label, NUL-terminated
 * @exits_by: times it left guest mode, by MAYFLY_EXIT_* reason
 * @guest_pages: private guest pages
 * @table_pages: private second-level table pages
 * @device_pages: pages of the device page and its kind
 * @struct_bytes: kernel structures
 * @console_bytes: bytes the guest has written to its console so far
 * @console_lost: how many of those have been overwritten by later ones
 * @parked: times it parked
 * @ready: times its guest has said that it is ready
 * @nets: its places on networks, in their order; all zero where there is none, and after its end
 *
 * A row of MAYFLY_VM_INFO_GLANCE bytes ends before @exits_by: enough for a table of
 * many VMs.
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
	__u64 image_id;
	char name[MAYFLY_NAME_SIZE];
	char image[MAYFLY_NAME_SIZE];
	__u64 exits_by[16];
	__u64 guest_pages;
	__u64 table_pages;
	__u64 device_pages;
	__u64 struct_bytes;
	__u64 console_bytes;
	__u64 console_lost;
	__u64 parked;
	__u64 ready;
	struct mayfly_vm_net nets[MAYFLY_MAX_NETS];
};

#define MAYFLY_VM_INFO_GLANCE	240

#define MAYFLY_VM_DETACHED	1
#define MAYFLY_VM_STARTED	2	/* belongs to the workers */
#define MAYFLY_VM_COLD		4	/* parked, its tables and device page freed */
#define MAYFLY_VM_AWAITED	8	/* somebody waits for a snapshot until its guest is ready */

/**
 * struct mayfly_list - argument of MAYFLY_LIST and MAYFLY_IMAGE_LIST
 * @from: lowest id to list; 0 for the first call
 * @rows: address of @count rows of @row_size bytes: struct mayfly_vm_info or struct
 *	mayfly_image_info
 * @count: 1 to MAYFLY_MAX_BATCH; out: rows filled, ascending by id
 * @row_size: of the caller's rows; out: of the module's
 * @next: out: @from of the next call, 0 when this was the last
 * @flags: zero
 * @reserved: zero
 *
 * A caller sees what it owns; one with CAP_SYS_ADMIN sees all.
 */
struct mayfly_list {
	__u64 from;
	__u64 rows;
	__u32 count;
	__u32 row_size;
	__u64 next;
	__u64 flags;
	__u64 reserved[2];
};

/**
 * struct mayfly_end - what read() on the device gives: a VM that has ended
 * @id: the VM
 * @reason: MAYFLY_END_*
 * @status: the guest's, when @reason is MAYFLY_END_EXITED
 *
 * A reader gets those VMs that LIST would show to whoever opened the descriptor.
 * The module keeps the last MAYFLY_ENDS_KEPT of all users. After that many are missed
 * read() answers -EPIPE once and goes on with the oldest that there is: LIST says
 * what became of the others.
 */
struct mayfly_end {
	__u64 id;
	__u32 reason;
	__s32 status;
};

#define MAYFLY_ENDS_KEPT	65536

/**
 * struct mayfly_open - argument of MAYFLY_OPEN and MAYFLY_IMAGE_OPEN
 * @id: the VM or image, or 0 to look up @name among the caller's own
 * @name: NUL-terminated; empty when @id is given
 * @flags: zero
 * @fd: out: a descriptor of it
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
 * @flags: MAYFLY_CONTROL_*
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

/*
 * With PAUSE on a VM descriptor: only until RESUME, or until the descriptor is closed, as it
 * is when its process dies. PAUSE again without this makes it last. -EBUSY: another one holds
 * it, or this one does already.
 */
#define MAYFLY_CONTROL_HOLD	1

/**
 * struct mayfly_run - argument of MAYFLY_RUN
 * @flags: MAYFLY_RUN_*
 * @outcome: out: MAYFLY_RAN_*
 * @want: exits to return to the caller; not supported yet: zero
 * @reserved: zero
 *
 * Runs the VM in the calling thread, waiting included, until it ends or a condition
 * in @flags is met. -EINTR when a signal's handler has run; MAYFLY_RAN_AGAIN when the
 * kernel has other work for the thread, which it does on the way to user mode: call again
 * to go on.
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
#define MAYFLY_RUN_UNTIL_READY	4	/* return when the guest says that it is ready */

#define MAYFLY_RAN_ENDED	1
#define MAYFLY_RAN_PARKED	2
#define MAYFLY_RAN_OUTPUT	3
#define MAYFLY_RAN_AGAIN	4
#define MAYFLY_RAN_READY	5

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
 * struct mayfly_state - argument of MAYFLY_GET_STATE and MAYFLY_SET_STATE
 * @vcpu: 0; there is one vCPU
 * @flags: zero
 * @registers: address of a struct mayfly_vcpu_state
 * @extended: address of an image of the extended state, as FXSAVE and XSAVE lay it
 *	out (SDM 1 13.4); today it is the 512 bytes of FXSAVE
 * @registers_size: of the caller's; a multiple of 8 up to MAYFLY_ROW_MAX; out: of
 *	the module's
 * @extended_size: the same for @extended, MAYFLY_FXSAVE_SIZE or more; 0: not wanted
 * @reserved: zero
 *
 * GET_STATE fills what is longer than the module's with zeros, and leaves out what
 * does not fit. Of an image it tells what VMs made from it begin with: @tsc_offset is the
 * guest's TSC at that moment, and @generation is one less than theirs. SET_STATE keeps
 * what is shorter than the module's as it is; what is longer must be zero, or the answer
 * is -E2BIG. Where it changes the clock it raises @clock_seq. Together with its memory
 * the state is all there is to a VM.
 */
struct mayfly_state {
	__u32 vcpu;
	__u32 flags;
	__u64 registers;
	__u64 extended;
	__u32 registers_size;
	__u32 extended_size;
	__u64 reserved[2];
};

/**
 * struct mayfly_vcpu_state - the registers of a vCPU, and what it waits for
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
 * @tsc_offset: guest TSC = host TSC + this; where @tsc_khz is not 0, host TSC times the
 *	ratio of the two + this
 * @events: pending events, a bit for each port
 * @deadline: guest clock, in ns, until which the guest waits; MAYFLY_FOREVER has
 *	none; 0 when it does not wait
 * @waiting: MAYFLY_WAITING_*
 * @flags: MAYFLY_STATE_*
 * @generation: on the device page: goes up by one from a VM to those that go on from it
 * @clock_seq: on the device page: even, and goes up whenever the clock there is written
 * @tsc_khz: frequency of the guest's TSC, in kHz, which is up to 250 times the host's; 0: it is
 *	the host's. Needs MAYFLY_INFO_TSC_SCALING, or SET_STATE answers -EOPNOTSUPP
 *
 * Addresses must be canonical (48 bits; 57 where the CPU has five-level paging), and
 * the bases of @ds and @es below 4 GiB. SET_STATE answers -EINVAL to a state that some
 * CPU of the host's width would refuse. Code segments must be 64-bit ones. MXCSR in the
 * extended state has no reserved bit set.
 */
struct mayfly_vcpu_state {
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
	__u64 tsc_offset;
	__u64 events;
	__u64 deadline;
	__u32 waiting;
	__u32 flags;
	__u64 generation;
	__u32 clock_seq;
	__u32 tsc_khz;
};

#define MAYFLY_FXSAVE_SIZE	512

#define MAYFLY_WAITING_NOT	0
#define MAYFLY_WAITING_CALL	1	/* in hypercall wait; rax will be its answer */
#define MAYFLY_WAITING_HLT	2	/* its deadline is MAYFLY_FOREVER, or when it can send more */

#define MAYFLY_STATE_EXCEPTION	1	/* @exception is pending */
#define MAYFLY_STATE_SHADOW	2	/* interrupt shadow after STI or MOV SS */
/* To SET_STATE: @tsc_offset is what the guest's TSC shows now, as in an image's state */
#define MAYFLY_STATE_TSC	4

/**
 * struct mayfly_memory - argument of MAYFLY_MEMORY
 * @gpa: first byte; from MAYFLY_GPA_IMAGE on for MAYFLY_MEMORY_WRITE
 * @buffer: address of @length bytes
 * @length: in bytes
 * @flags: MAYFLY_MEMORY_*
 * @unused: zero
 * @done: out: bytes copied, even when the call fails
 * @reserved: zero
 *
 * Reads or writes guest memory from outside. Writing gives the VM pages of its own,
 * as its own writes do, and works on code and read-only data as well. An image can only be
 * read, from MAYFLY_GPA_IMAGE on; what it does not have reads as zero.
 */
struct mayfly_memory {
	__u64 gpa;
	__u64 buffer;
	__u64 length;
	__u32 flags;
	__u32 unused;
	__u64 done;
	__u64 reserved[2];
};

#define MAYFLY_MEMORY_WRITE	1

/**
 * struct mayfly_snapshot - argument of MAYFLY_SNAPSHOT
 * @name: NUL-terminated, as in struct mayfly_tag; empty: none
 * @flags: MAYFLY_SNAPSHOT_*
 * @fd: out: the image's descriptor
 * @reserved: zero
 *
 * Makes an image of a VM as it is at this moment, wherever it is: ready, running,
 * parked or paused. Nothing is copied: the VM's pages become the image's, and the VM
 * goes on as one made from that image, with its id, name, console and arguments.
 *
 * VMs that are spawned from the image go on from that moment: with the same registers,
 * memory and pending events, and a clock that goes on from there. They have ids, names,
 * arguments, consoles and random seeds of their own, and a generation that is one higher
 * (mayfly_guest.h). Their memory is at least as large as the VM's.
 *
 * The image belongs to the caller, whose bytes its pages count as from now on.
 */
struct mayfly_snapshot {
	char name[MAYFLY_NAME_SIZE];
	__u32 flags;
	__s32 fd;
	__u64 reserved[2];
};

#define MAYFLY_SNAPSHOT_REPLACE	1	/* take the name from the image that has it */
/*
 * Wait until the guest says that it is ready the next time, and take it right there. A caller
 * who is stopped or traced does not wait meanwhile, and may miss it.
 */
#define MAYFLY_SNAPSHOT_WHEN_READY	2

/**
 * struct mayfly_extent - pages of an image that follow each other and are alike
 * @gpa: guest-physical address of the first
 * @length: in bytes: whole pages
 * @flags: MAYFLY_SEGMENT_*, what a guest may do with them besides reading
 * @unused: zero
 */
struct mayfly_extent {
	__u64 gpa;
	__u64 length;
	__u32 flags;
	__u32 unused;
};

/**
 * struct mayfly_extents - argument of MAYFLY_EXTENTS
 * @gpa: from this page on; out: where to go on, MAYFLY_MEMORY_MAX at the end
 * @extents: address of @count struct mayfly_extent
 * @count: 1 to MAYFLY_MAX_BATCH; out: how many were written
 * @base: descriptor of an image, or -1
 * @flags: zero
 * @unused: zero
 * @reserved: zero
 *
 * Lists the pages that an image has, those of its parents included, but not those that
 * @base has, too: the very same pages at the same addresses. Memory that is not listed, and
 * that @base does not have, is zero.
 */
struct mayfly_extents {
	__u64 gpa;
	__u64 extents;
	__u32 count;
	__s32 base;
	__u32 flags;
	__u32 unused;
	__u64 reserved[2];
};

/**
 * struct mayfly_arguments - argument of MAYFLY_ARGUMENTS
 * @buffer: address of @size bytes
 * @size: MAYFLY_ARGS_MAX is enough for all; out: how many bytes of arguments the VM has
 * @flags: zero
 * @reserved: zero
 *
 * Reads a VM's arguments, as @args of SPAWN.
 */
struct mayfly_arguments {
	__u64 buffer;
	__u32 size;
	__u32 flags;
	__u64 reserved[2];
};

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

MAYFLY_SIZE(struct mayfly_row, 32);
MAYFLY_SIZE(struct mayfly_info, 184);
MAYFLY_SIZE(struct mayfly_segment, 32);
MAYFLY_SIZE(struct mayfly_image_create, 176);
MAYFLY_SIZE(struct mayfly_image_info, 208);
MAYFLY_SIZE(struct mayfly_tag, 72);
MAYFLY_SIZE(struct mayfly_attachment, 24);
MAYFLY_SIZE(struct mayfly_attach_net, 24);
MAYFLY_SIZE(struct mayfly_vm_net, 24);
MAYFLY_SIZE(struct mayfly_spawn, 168);
MAYFLY_SIZE(struct mayfly_vm_info, 528);
MAYFLY_SIZE(struct mayfly_list, 56);
MAYFLY_SIZE(struct mayfly_end, 16);
MAYFLY_SIZE(struct mayfly_open, 96);
MAYFLY_SIZE(struct mayfly_control, 56);
MAYFLY_SIZE(struct mayfly_run, 48);
MAYFLY_SIZE(struct mayfly_state, 48);
MAYFLY_SIZE(struct mayfly_vcpu_state, 464);
MAYFLY_SIZE(struct mayfly_memory, 56);
MAYFLY_SIZE(struct mayfly_snapshot, 88);
MAYFLY_SIZE(struct mayfly_extent, 24);
MAYFLY_SIZE(struct mayfly_extents, 48);
MAYFLY_SIZE(struct mayfly_arguments, 32);

/*
 * The calls. Besides the errors every call shares (above):
 *
 * INFO          0. -EINVAL row_size.
 * IMAGE_CREATE  0. -EINVAL segments unsorted, unaligned, overlapping, below
 *               MAYFLY_GPA_IMAGE or above MAYFLY_MEMORY_MAX, cr3 or rip bad,
 *               memory_min unaligned, memory_default unaligned or less than what a
 *               VM needs, label bad;
 *               -EOPNOTSUPP a profile that this module, or a CPU level that this
 *               host does not have; -EDQUOT more bytes than the caller or all may
 *               have; -ENOMEM; -EINTR; -EMFILE, -ENFILE.
 * IMAGE_LIST    as LIST.
 * IMAGE_OPEN    as OPEN.
 * IMAGE_TAG     0. -EINVAL name; -EEXIST another image of the caller has it;
 *               -EPERM someone else's image; -ENOMEM.
 * IMAGE_REMOVE  0: the image has no name any more, and goes when nobody uses it.
 *               -EPERM someone else's image; -ENOENT it had no name.
 * SPAWN         0. -EBADF, -EINVAL image is not one, count or memory or name
 *               bad, memory smaller than the image, an attachment's address not of
 *               its subnet; -EOPNOTSUPP an attachment of a type that this module does
 *               not know, or too many; -ENODEV no such network device, -EPERM not the
 *               caller's, or a router without CAP_NET_ADMIN, -EADDRINUSE, -EADDRNOTAVAIL no address is free there, or it
 *               has none itself; -EEXIST name taken; -EDQUOT
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
 * LIST          0. -EINVAL count or row_size; -EINTR.
 * OPEN          0. -EINVAL not exactly one of id and name; -ENOENT, -EPERM,
 *               -ENOMEM, -EMFILE, -ENFILE.
 * CONTROL       0 when every id was tried. -EINVAL op, port or count; -EINTR
 *               while waiting. After -EFAULT an operation may be done although its
 *               result could not be written: ask again; -EALREADY, -ESRCH or -ENOENT
 *               then says so.
 * STAT          0. -EINVAL row_size.
 * RUN           0. -EBUSY, -EINTR, -ESRCH the VM had ended before.
 * GET_STATE     0. -EINVAL vcpu or a size; -EBUSY when it belongs to the workers or to
 *               a thread in RUN, unless it is paused; -ESRCH after the end; -ENOMEM.
 * SET_STATE     0. -EINVAL, -E2BIG, -EOPNOTSUPP tsc_khz; else as GET_STATE. What the guest waits for is
 *               part of the state.
 * MEMORY        0. -EINVAL; -EBUSY, -ESRCH as GET_STATE; -EFAULT also for what is not
 *               the VM's memory, and to read what the host has found broken;
 *               -EHWPOISON to write that; -EDQUOT more bytes than the owner may have;
 *               -ENOMEM; -EINTR.
 * SNAPSHOT      0. -EINVAL flags or name; -EEXIST another image of the caller has the
 *               name; -ESRCH the VM has ended; -EDQUOT more bytes than the caller, the
 *               VM's owner or all may have; -ENOMEM; -EINTR; -EMFILE, -ENFILE. With
 *               WHEN_READY also -EBUSY somebody else waits for that already; -EINTR
 *               when a signal's handler has run.
 * EXTENTS       0. -EINVAL gpa not a page's, count, or base is no image; -EBADF; -EINTR.
 * ARGUMENTS     0. -EINVAL size is less than what there is, which it then says.
 */
#define MAYFLY_IOC		0xBE
#define MAYFLY_INFO		_IOWR(MAYFLY_IOC, 0x00, struct mayfly_row)
#define MAYFLY_IMAGE_CREATE	_IOWR(MAYFLY_IOC, 0x01, struct mayfly_image_create)
#define MAYFLY_SPAWN		_IOWR(MAYFLY_IOC, 0x02, struct mayfly_spawn)
#define MAYFLY_LIST		_IOWR(MAYFLY_IOC, 0x03, struct mayfly_list)
#define MAYFLY_OPEN		_IOWR(MAYFLY_IOC, 0x04, struct mayfly_open)
#define MAYFLY_CONTROL		_IOWR(MAYFLY_IOC, 0x05, struct mayfly_control)
#define MAYFLY_STAT		_IOWR(MAYFLY_IOC, 0x06, struct mayfly_row)
#define MAYFLY_RUN		_IOWR(MAYFLY_IOC, 0x07, struct mayfly_run)
#define MAYFLY_GET_STATE	_IOWR(MAYFLY_IOC, 0x08, struct mayfly_state)
#define MAYFLY_SET_STATE	_IOWR(MAYFLY_IOC, 0x09, struct mayfly_state)
#define MAYFLY_IMAGE_LIST	_IOWR(MAYFLY_IOC, 0x0a, struct mayfly_list)
#define MAYFLY_IMAGE_OPEN	_IOWR(MAYFLY_IOC, 0x0b, struct mayfly_open)
#define MAYFLY_IMAGE_TAG	_IOW(MAYFLY_IOC, 0x0c, struct mayfly_tag)
#define MAYFLY_IMAGE_REMOVE	_IO(MAYFLY_IOC, 0x0d)
#define MAYFLY_MEMORY		_IOWR(MAYFLY_IOC, 0x0e, struct mayfly_memory)
#define MAYFLY_SNAPSHOT		_IOWR(MAYFLY_IOC, 0x0f, struct mayfly_snapshot)
#define MAYFLY_EXTENTS		_IOWR(MAYFLY_IOC, 0x10, struct mayfly_extents)
#define MAYFLY_ARGUMENTS	_IOWR(MAYFLY_IOC, 0x11, struct mayfly_arguments)

#endif /* MAYFLY_H */
