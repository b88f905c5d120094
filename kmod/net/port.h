/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * port.h - a VM's place on a switch: its addresses, and the packets that wait for it.
 */
#ifndef MAYFLY_PORT_H
#define MAYFLY_PORT_H

#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <net/ipv6.h>

#include "net/place.h"
#include "net/switch.h"

struct owner;
struct port;
struct vm;

/*
 * It is being closed, under its lock. Something has come for it that nobody will read, or nothing
 * has come at all; or neither.
 */
typedef void port_closed_fn(struct port *port, bool unread);

/*
 * Who protects a field:
 *   I  immutable once it can be found
 *   l  @lock, taken with bottom halves off; pool->lock may be taken inside
 *   C  the VM's claimant
 *   r  the lock of the range
 */
struct port {
	struct net_switch *net;		/* [I] has a reference */
	struct port *next;		/* [I] of the VM, or NULL */
	struct net_subnet subnet;	/* [I] as it was when the VM was made */
	__be32 ip4;			/* [I] */
	__be32 dns4;			/* [I] */
	struct in6_addr ip6;		/* [I] or all zero */
	u32 event;			/* [I] of the device on the device page: there are packets */
	bool router;			/* [I] may send with any source */
	u64 rate;			/* [I] bytes a second each way, or 0 */
	u64 sent;			/* [C] bucket of @rate */
	u64 received;			/* [l] bucket of @rate */
	u64 rings;			/* [I] GPA of the guest's page for them */
	struct owner *owner;		/* [I] the VM's, until it is closed */
	port_closed_fn *on_close;	/* [l] or NULL */
	void *range;			/* [I] whose packet has made it; or NULL */
	struct list_head by_range;	/* [r] */
	unsigned long look_at;		/* [r] jiffies: whether it is idle */
	bool counted;			/* [r] as one of the range's, until it is closed */
	u32 open;			/* connections, says the guest; stale is fine */
	unsigned long active;		/* jiffies of the last packet; stale is fine */
	spinlock_t lock;
	struct vm *vm;			/* [l] NULL before it is made, and after its end */
	bool expects_vm;		/* [l] packets wait for it */
	bool admitted;			/* [l] one has come */
	bool closed;			/* [l] for good: it gets no packets, and is not found */
	struct sk_buff_head queue;	/* [l] for the guest */
	u32 bytes;			/* [l] that @queue takes of the host's memory */
	bool shut;			/* [l, read by C] see port_shut() */
	struct rcu_head rcu;
};

/* A VM without an IPv6 address has all zero there, which is nobody's. */
static inline bool port_has_ip6(const struct port *port, const struct in6_addr *address)
{
	return port->subnet.prefix6 && ipv6_addr_equal(&port->ip6, address);
}

typedef void port_arrived_fn(struct vm *vm, u32 port);

struct port *port_open(const struct port_place *place, unsigned int i, struct vm *vm,
		       struct owner *owner);
struct port *port_prepare(const struct port_place *place, struct owner *owner,
			  port_closed_fn *on_close, void *range);
void port_discard(struct port *port);
struct port *port_insert(struct port *port);
__be32 port_next_hop(const struct sk_buff *skb);
bool port_is_for(const struct port *port, const struct sk_buff *skb);
struct port *port_at(struct net_switch *net, __be32 address);
struct port *port_find(struct net_switch *net, const struct sk_buff *skb);
struct port *port_find_sender(struct net_switch *net, const struct sk_buff *skb);
void port_close_all(struct port *first);
struct vm *port_close_idle(struct port *port, bool (*claim)(struct vm *vm));
void port_shut(struct port *port);
void port_free_all(struct port *first);
enum switch_drop port_deliver(struct port *port, struct sk_buff *skb);
struct sk_buff *port_first(struct port *port);
void port_drop_first(struct port *port);

int port_setup(port_arrived_fn *arrived);
void port_teardown(void);

#endif
