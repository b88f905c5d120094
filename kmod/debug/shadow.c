// SPDX-License-Identifier: GPL-2.0-only
/*
 * shadow.c - where the checks of shadow.h report (DEBUG builds only).
 */
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "cpu/vcpu.h"
#include "debug/mutation.h"
#include "debug/shadow.h"

static const char *const names[SHADOW_CHECKS] = {
	[SHADOW_HOST_MSR] = "host-msr",
	[SHADOW_HOST_CR] = "host-cr",
	[SHADOW_HOST_DR] = "host-dr",
	[SHADOW_HOST_TABLE] = "host-table",
	[SHADOW_HOST_SEGMENT] = "host-segment",
	[SHADOW_HOST_XSTATE] = "host-xstate",
	[SHADOW_HOST_FLAGS] = "host-flags",
	[SHADOW_HOST_FPU] = "host-fpu",
	[SHADOW_HOST_FIELD] = "host-field",
	[SHADOW_CONTROL] = "control",
	[SHADOW_INTERCEPT] = "intercept",
	[SHADOW_MSR_BITMAP] = "msr-bitmap",
	[SHADOW_IO_BITMAP] = "io-bitmap",
	[SHADOW_GUEST_STATE] = "guest-state",
	[SHADOW_TAG] = "tag",
	[SHADOW_ROOT] = "root",
	[SHADOW_STALE] = "stale",
	[SHADOW_FREED_MAPPED] = "freed-mapped",
	[SHADOW_FREED_INSIDE] = "freed-inside",
	[SHADOW_FROZEN] = "frozen",
	[SHADOW_FOLDED] = "folded",
	[SHADOW_NODE] = "node",
};

static atomic_t hits[SHADOW_CHECKS];
static unsigned long warned;
static DEFINE_RAW_SPINLOCK(last_lock);
static char last[160];	/* text of the last report */

static void record_hit(enum shadow_check check, const char *text)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&last_lock, flags);
	strscpy(last, text, sizeof(last));
	raw_spin_unlock_irqrestore(&last_lock, flags);
	atomic_inc(&hits[check]);
}

/**
 * shadow_report - a check has found something
 * @check: the check
 * @format: what it found, as for printf()
 *
 * Context: any but NMI.
 */
void shadow_report(enum shadow_check check, const char *format, ...)
{
	char text[sizeof(last)];
	va_list args;

	va_start(args, format);
	vscnprintf(text, sizeof(text), format, args);
	va_end(args);
	record_hit(check, text);
	/* WARN once per check: one that fires does so at every entry. */
	if (!mutation_is(MUTATION_NONE) || test_and_set_bit(check, &warned))
		return;
	WARN(1, "mayfly: %s: %s\n", names[check], text);
}

/**
 * shadow_guest_state - a guest is about to be entered in a state hardware refuses
 * @vcpu: the guest's
 * @wrong: the rule that is broken
 *
 * If it is the guest's first state, we are at fault, and it is reported. Later ones
 * are only counted: emulators let guests reach states that no CPU would (decision
 * 36), and a fuzzed guest reaches all of them.
 *
 * Context: claimed; any but NMI.
 */
void shadow_guest_state(const struct vcpu *vcpu, const char *wrong)
{
	if (memchr_inv(vcpu->exits, 0, sizeof(vcpu->exits)))
		record_hit(SHADOW_GUEST_STATE, wrong);
	else
		shadow_report(SHADOW_GUEST_STATE, "%s", wrong);
}

static int show_hits(char *buffer, const struct kernel_param *parameter)
{
	int i, n = 0;

	for (i = 0; i < SHADOW_CHECKS; i++)
		n += sysfs_emit_at(buffer, n, "%s=%d\n", names[i],
				   atomic_read(&hits[i]));
	return n;
}

static int show_last(char *buffer, const struct kernel_param *parameter)
{
	unsigned long flags;
	int n;

	raw_spin_lock_irqsave(&last_lock, flags);
	n = sysfs_emit(buffer, "%s\n", last);
	raw_spin_unlock_irqrestore(&last_lock, flags);
	return n;
}

static const struct kernel_param_ops hits_ops = { .get = show_hits };
static const struct kernel_param_ops last_ops = { .get = show_last };

module_param_cb(shadow_hits, &hits_ops, NULL, 0400);
MODULE_PARM_DESC(shadow_hits, "how often each check has fired, see shadow.h");
module_param_cb(shadow_last, &last_ops, NULL, 0400);
MODULE_PARM_DESC(shadow_last, "what the last one has found");
