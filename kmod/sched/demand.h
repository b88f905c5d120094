/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * demand.h - VMs that are made when a packet comes for them, and end when none does.
 */
#ifndef MAYFLY_SCHED_DEMAND_H
#define MAYFLY_SCHED_DEMAND_H

#include <linux/types.h>

struct demand;
struct mayfly_attach_demand;
struct mayfly_demand_info;
struct range_events;
struct vm_template;

int demand_add(const struct vm_template *template, const struct mayfly_attach_demand *wanted);
int demand_remove(u64 id);
struct demand *demand_find_from(u64 *id);
uid_t demand_uid(const struct demand *demand);
void demand_put(struct demand *demand);
void demand_inspect(struct demand *demand, struct mayfly_demand_info *info);

extern const struct range_events demand_events;

int demand_setup(void);
void demand_teardown(void);

#endif
