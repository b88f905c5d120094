// SPDX-License-Identifier: GPL-2.0-only
/*
 * state.c - the calls GET_STATE and SET_STATE, on whatever has a state.
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "call/row.h"
#include "call/state.h"
#include "mem/pages.h"
#include "vm/access.h"

static bool state_is_sane(const struct mayfly_state *args)
{
	if (args->vcpu || args->flags ||
	    memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return false;
	if (args->extended_size && (args->extended_size < MAYFLY_FXSAVE_SIZE ||
				    !row_size_is_sane(args->extended_size)))
		return false;
	return row_size_is_sane(args->registers_size);
}

/**
 * state_put - give a state to the caller
 * @args: a copy of his argument
 * @state: the state
 *
 * Context: may sleep.
 * Return: 0 or -EFAULT.
 */
int state_put(const struct mayfly_state *args, const struct access_state *state)
{
	int ret = row_put(args->registers, args->registers_size, &state->registers,
			  sizeof(state->registers));

	if (!ret && args->extended_size)
		ret = row_put(args->extended, args->extended_size, state->fpu,
			      sizeof(state->fpu));
	return ret;
}

/**
 * state_take - take a state from the caller
 * @args: a copy of his argument
 * @state: to fill, as far as he gives it
 *
 * Context: may sleep.
 * Return: 0, -EFAULT, -E2BIG.
 */
int state_take(const struct mayfly_state *args, struct access_state *state)
{
	int ret = row_take(&state->registers, sizeof(state->registers), args->registers,
			   args->registers_size);

	if (!ret && args->extended_size)
		ret = row_take(state->fpu, sizeof(state->fpu), args->extended,
			       args->extended_size);
	return ret;
}

/**
 * state_call - GET_STATE or SET_STATE
 * @user: the caller's argument
 * @get_or_set: does it, with room for a state
 * @object: for @get_or_set
 *
 * Context: may sleep.
 * Return: as @get_or_set, -EINVAL, -EFAULT, -ENOMEM.
 */
long state_call(void __user *user, state_call_fn *get_or_set, void *object)
{
	struct access_state *state;
	struct mayfly_state args;
	long ret;

	if (copy_from_user(&args, user, sizeof(args)))
		return -EFAULT;
	if (!state_is_sane(&args))
		return -EINVAL;
	state = kmalloc(sizeof(*state), MEMORY_SLEEP);
	if (!state)
		return -ENOMEM;
	ret = get_or_set(object, &args, state);
	kfree(state);
	args.registers_size = sizeof(struct mayfly_vcpu_state);
	args.extended_size = MAYFLY_FXSAVE_SIZE;
	if (!ret && copy_to_user(user, &args, sizeof(args)))
		ret = -EFAULT;
	return ret;
}
