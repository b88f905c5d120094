/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * state.h - the calls GET_STATE and SET_STATE, on whatever has a state.
 */
#ifndef MAYFLY_CALL_STATE_H
#define MAYFLY_CALL_STATE_H

struct access_state;
struct mayfly_state;

typedef int state_call_fn(void *object, const struct mayfly_state *args,
			  struct access_state *state);

long state_call(void __user *user, state_call_fn *get_or_set, void *object);
int state_put(const struct mayfly_state *args, const struct access_state *state);
int state_take(const struct mayfly_state *args, struct access_state *state);

#endif
