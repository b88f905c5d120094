/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trap.h - what Mayfly does for a guest.
 */
#ifndef MAYFLY_TRAP_H
#define MAYFLY_TRAP_H

struct vm;
struct vm_exit;

/* What the run function does after an exit. */
enum verdict {
	VERDICT_ENTER,		/* enter again */
	VERDICT_PARK,		/* the guest waits */
	VERDICT_OUTPUT,		/* enter again, but the console has grown */
	VERDICT_FAULT,		/* memory is needed that may take time to get */
	VERDICT_END,		/* vm->end says why */
	VERDICT_LEAVE,		/* nothing wrong; time is up or somebody asks */
	VERDICT_MOVE,		/* this CPU cannot run guests now */
};

enum verdict trap_handle(struct vm *vm, const struct vm_exit *exit);
void trap_finish_wait(struct vm *vm);

#endif
