/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mayfly_guest.h - the interface between a guest and Mayfly.
 *
 * This is the whole attack surface a guest sees: a handful of hypercalls, one
 * read-only device page and a fixed map of the first 64 KiB of guest-physical
 * memory. The header serves C, C++ and assembly; it includes nothing but
 * <linux/types.h>, and not even that for assembly.
 *
 * Hypercalls. The guest calls the stub at MAYFLY_GPA_STUB (the module fills it
 * with the VMMCALL or VMCALL that this CPU understands, then `ret`): number in
 * rax, arguments in rdi, rsi, rdx; the result comes back in rax and every other
 * register is preserved. Outside CPL 0 the stub raises #UD.
 */
#ifndef MAYFLY_GUEST_H
#define MAYFLY_GUEST_H

/* Guest-physical map. Mayfly reserves everything below MAYFLY_GPA_IMAGE. */
#define MAYFLY_GPA_STUB		0x1000	/* hypercall stub, read and execute */
#define MAYFLY_GPA_DEVICE	0x2000	/* struct mayfly_device_page, read-only */
#define MAYFLY_GPA_ARGS		0x3000	/* argument page, read-only */
#define MAYFLY_GPA_RINGS	0x4000	/* rings of devices, a page each */
#define MAYFLY_GPA_IMAGE	0x10000	/* lowest address a segment may use */

/*
 * exit(rdi = status): ends the VM; @status is kept as 32 bits. Never returns.
 */
#define MAYFLY_HC_EXIT		0
/*
 * console(rdi = gpa, rsi = length): appends bytes to the VM's console.
 * Returns the number of bytes taken, at most MAYFLY_CONSOLE_MAX a call;
 * -EFAULT (-14) when part of the range is not guest memory (nothing is taken).
 */
#define MAYFLY_HC_CONSOLE	1
/*
 * wait(rdi = deadline): blocks until an event is pending or the guest clock
 * (ns since the VM was made) reaches @deadline; MAYFLY_FOREVER has no deadline.
 * Returns the pending events as a bit mask and clears them; 0 means the deadline
 * has passed, or that a device whose rate is limited can send more.
 */
#define MAYFLY_HC_WAIT		2
/*
 * notify(rdi = port): Mayfly serves the devices, as at each wait. Of that with the port: returns 0;
 * -ENOENT (-2) when there is none; -EPIPE (-32) when it is shut.
 */
#define MAYFLY_HC_NOTIFY	3
/*
 * discard(rdi = gpa, rsi = pages): gives whole pages back to the host; they
 * read as zero (or as the image's bytes) afterwards. Returns the number of
 * pages handled, at most MAYFLY_DISCARD_MAX a call; -EINVAL (-22) when @gpa is
 * unaligned or part of the range is not the VM's memory.
 */
#define MAYFLY_HC_DISCARD	4
/* Number 5 is reserved for timer(deadline). */
/*
 * ready(): the guest is warm, and this is the moment for a snapshot of it, if somebody
 * wants one. Returns 0, in this VM and in every VM that is made from such a snapshot:
 * there with another generation, and other arguments.
 */
#define MAYFLY_HC_READY		6
/* Any other number returns -ENOSYS (-38). */

#define MAYFLY_CONSOLE_MAX	4096
#define MAYFLY_DISCARD_MAX	512
#define MAYFLY_FOREVER		0xffffffffffffffff

#define MAYFLY_EVENT_STOP	0	/* port 0: "please stop" */
#define MAYFLY_EVENT_PORTS	64

#define MAYFLY_DEVICE_MAGIC	0x796c6679616d0001	/* "mayfly", layout 1 */
#define MAYFLY_CLOCK_STABLE	1	/* clock.flags: the TSC may be trusted */

#define MAYFLY_MAX_DEVICES	32
#define MAYFLY_SEED_SIZE	32

/* CPUID leaf 0x40000000 answers with this signature in ebx, ecx, edx. */
#define MAYFLY_CPUID_BASE	0x40000000
#define MAYFLY_CPUID_SIGNATURE	"MayflyMayfly"

#ifndef __ASSEMBLY__
#include <linux/types.h>

/*
 * The guest clock: ns = (rdtsc * mult) >> shift, in 128-bit arithmetic, is the
 * guest's monotonic time (0 when the VM was made); adding wall_ns gives Unix
 * time. wall_ns follows the host's clock: when that is set at once, when it is slewed
 * within a second, and for a VM that waits before its next instruction. Readers retry while seq is odd or has changed. Without
 * MAYFLY_CLOCK_STABLE in flags the TSC may jump, and the time is only a hint.
 */
struct mayfly_clock {
	__u32 seq;
	__u32 flags;
	__u32 mult;
	__u32 shift;
	__u64 wall_ns;
	__u64 reserved[2];
};

/* One device. @type says what @config is and what is at @ring_gpa: see mayfly_net.h. */
struct mayfly_device {
	__u32 type;
	__u32 id;
	__u32 port;		/* event port */
	__u32 reserved;
	__u64 ring_gpa;
	__u8 config[40];
};

/*
 * The device page, at MAYFLY_GPA_DEVICE; rdi holds its virtual address at
 * entry. Written by Mayfly only, filled before the first instruction.
 *
 * @generation is higher in each VM that goes on from another one (clone, restore): then
 * reseed and re-read all fields, @vm_id included. @args_len bytes of NUL-terminated
 * strings (@argc of them) are at @args_gpa.
 */
struct mayfly_device_page {
	__u64 magic;
	__u32 size;		/* bytes of this structure that are valid */
	__u32 flags;		/* 0 */
	__u64 vm_id;
	__u64 generation;
	__u64 memory_bytes;	/* guest-physical addresses end here */
	__u64 args_gpa;
	__u32 args_len;
	__u32 argc;
	__u8 seed[MAYFLY_SEED_SIZE];
	struct mayfly_clock clock;
	__u32 upcall_vector;	/* 0: no upcall */
	__u32 nr_devices;
	char name[64];		/* NUL-terminated */
	__u64 reserved[4];
	struct mayfly_device devices[MAYFLY_MAX_DEVICES];
};

#ifdef __cplusplus
static_assert(sizeof(struct mayfly_clock) == 40, "layout is ABI");
static_assert(sizeof(struct mayfly_device) == 64, "layout is ABI");
static_assert(sizeof(struct mayfly_device_page) == 2280, "layout is ABI");
#else
_Static_assert(sizeof(struct mayfly_clock) == 40, "layout is ABI");
_Static_assert(sizeof(struct mayfly_device) == 64, "layout is ABI");
_Static_assert(sizeof(struct mayfly_device_page) == 2280, "layout is ABI");
#endif

#endif /* __ASSEMBLY__ */
#endif /* MAYFLY_GUEST_H */
