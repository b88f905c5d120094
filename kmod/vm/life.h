/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * life.h - what happens to a VM between its creation and its end.
 */
#ifndef MAYFLY_LIFE_H
#define MAYFLY_LIFE_H

#include <linux/types.h>

struct pool;
struct task_struct;
struct vm;

/* How a claimed VM's last slice, or its last exit, ended. */
enum verdict {
	VERDICT_ENTER,		/* enter again */
	VERDICT_PARK,		/* the guest waits */
	VERDICT_OUTPUT,		/* enter again, but the console has grown */
	VERDICT_READY,		/* enter again, but the guest is ready for a snapshot */
	VERDICT_FAULT,		/* memory is needed that may take time to get */
	VERDICT_SPLIT_LOCK,	/* a locked access across two cache lines */
	VERDICT_END,		/* vm->end says why */
	VERDICT_LEAVE,		/* nothing wrong; its time is up or somebody asked */
	VERDICT_MOVE,		/* this CPU cannot run guests now */
};

/* What is left to do for a VM whose claim has been handed back. */
enum life_rest {
	LIFE_DONE,
	LIFE_AWAITED,	/* there is a reference to put */
	LIFE_ENDS,	/* it ends, and is still claimed */
};

/* With pool->lock held. */
void life_claim(struct vm *vm, struct task_struct *runner);
void life_settle(struct vm *vm);
int life_stands_still(const struct vm *vm);

enum life_rest life_hand_back(struct vm *vm, enum verdict verdict);
void life_finish(struct vm *vm, enum life_rest rest);
void life_release(struct vm *vm, enum verdict verdict);
struct vm *life_take_starved(struct pool *pool);

int life_attach(struct vm *vm);
void life_detach(struct vm *vm);
bool life_try_claim(struct vm *vm);

int life_borrow(struct vm *vm);
int life_hold(struct vm *vm);
void life_give_back(struct vm *vm);

int life_start(struct vm *vm);
int life_pause(struct vm *vm, const void *holder);
int life_resume(struct vm *vm);
void life_let_go(struct vm *vm, const void *holder);
int life_notify(struct vm *vm, u32 port);
void life_packet_arrived(struct vm *vm, u32 port);
int life_kill(struct vm *vm);
int life_remove(struct vm *vm);
void life_close(struct vm *vm);
bool life_claim_parked(struct vm *vm);
void life_end_claimed(struct vm *vm);

void life_on_deadline(struct pool *pool);

u64 life_parked_count(void);

#endif
