/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * range.h - addresses of a switch that get their VMs when a packet comes.
 */
#ifndef MAYFLY_RANGE_H
#define MAYFLY_RANGE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>

#include "net/place.h"
#include "net/switch.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_demand.h"

struct mem_cgroup;
struct owner;
struct port;
struct sk_buff;

/* Addresses that are remembered as refused. */
#define RANGE_REFUSED_BITS	10

/*
 * Who protects a field:
 *   I  immutable once it can be found
 *   l  @lock, taken with bottom halves off
 *   a  atomic
 *   r  reference count
 */
struct net_range {
	struct switch_range addresses;
	struct kref ref;		/* [r] whoever has made it, and its VMs */
	struct port_place place;	/* [I] of its VMs; its @net has a reference */
	struct owner *owner;		/* [I] of its VMs */
	struct mem_cgroup *memcg;	/* [I] charged for its ports, as for its VMs; or NULL */
	u32 rate;			/* [I] births a second */
	u32 max;			/* [I] VMs at once */
	u32 nr_services;		/* [I] 0: any */
	struct mayfly_service services[MAYFLY_DEMAND_SERVICES];	/* [I] */
	spinlock_t lock;
	bool closed;			/* [l] no VM is made any more */
	u64 births;			/* [l] bucket of @rate */
	u32 vms;			/* [l] that there are, or will be */
	struct list_head unborn;	/* [l] ports whose VMs will be made, in order */
	struct list_head living;	/* [l] ports with a VM, in the order to look at them */
	u64 refused[1 << RANGE_REFUSED_BITS]; /* [a] address, and until when it is left alone */
	atomic_long_t nr_born;		/* [a] */
	atomic_long_t nr_refused;	/* [a] packets */
};

/**
 * struct range_events - what a range tells a room above
 * @wanted: there is a port whose VM shall be made, see range_next(); bottom halves are off
 * @lost: its device has gone, so that range_close() is to be called; must not sleep
 * @unused: its last reference has gone; any context
 */
struct range_events {
	void (*wanted)(struct net_range *range);
	void (*lost)(struct net_range *range);
	void (*unused)(struct net_range *range);
};

void range_init(struct net_range *range);
int range_open(struct net_range *range);
void range_close(struct net_range *range);
void range_close_all(struct net_switch *net);
void range_put(struct net_range *range);

struct port *range_find_port(struct net_switch *net, const struct sk_buff *skb);
enum switch_drop range_deliver(struct port *port, struct sk_buff *skb);

struct port *range_next(struct net_range *range);
void range_born(struct net_range *range, struct port *port, unsigned long idle);
void range_failed(struct port *port);
struct port *range_look(struct net_range *range, unsigned long idle, long *later);

void range_setup(const struct range_events *what_happens);

#endif
