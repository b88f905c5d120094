// SPDX-License-Identifier: GPL-2.0-only
/*
 * mutation.c - the module parameter of mutation.h (DEBUG builds only).
 */
#include <linux/compiler.h>
#include <linux/moduleparam.h>

#include "mutation.h"

static unsigned int mutation;
module_param(mutation, uint, 0600);
MODULE_PARM_DESC(mutation, "rule to break on purpose, see mutation.h (0: none)");

/**
 * mutation_is - is this rule to be broken?
 * @which: the rule
 *
 * Return: true while root wants it so.
 */
bool mutation_is(enum mutation which)
{
	return unlikely(READ_ONCE(mutation) == which);
}
