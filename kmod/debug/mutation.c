// SPDX-License-Identifier: GPL-2.0-only
/*
 * mutation.c - the module parameter of mutation.h (DEBUG builds only).
 */
#include <linux/compiler.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>

#include "debug/mutation.h"

static unsigned int mutation;
module_param(mutation, uint, 0600);
MODULE_PARM_DESC(mutation, "rule to break on purpose, see mutation.h (0: none)");

static DEFINE_PER_CPU(unsigned int, seen);

/**
 * mutation_is - should this rule be broken now?
 * @which: the rule
 *
 * Return: true while root wants it broken.
 */
bool mutation_is(enum mutation which)
{
	return unlikely(READ_ONCE(mutation) == which);
}

/**
 * mutation_is_new - has root chosen another rule since the last call on this CPU?
 *
 * Context: preemption off.
 * Return: true when everything made once from constants must be rebuilt.
 */
bool mutation_is_new(void)
{
	unsigned int now = READ_ONCE(mutation);

	if (likely(now == this_cpu_read(seen)))
		return false;
	this_cpu_write(seen, now);
	return true;
}
