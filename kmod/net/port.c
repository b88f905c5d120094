// SPDX-License-Identifier: GPL-2.0-only
/*
 * port.c - a VM's place on a switch: its addresses, and the packets that wait for it.
 *
 * Packets come from any CPU, in softirqs. They wait here until the VM's claimant copies
 * them into guest memory, and the first one is an event for the guest.
 */
#include <linux/err.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jiffies.h>
#include <linux/percpu_counter.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <net/ip6_route.h>
#include <net/route.h>

#include "mem/owner.h"
#include "mem/pages.h"
#include "net/port.h"
#include "net/rate.h"
#include "uapi/mayfly.h"
#include "uapi/mayfly_guest.h"

/* For one VM. */
#define QUEUE_PACKETS	64
#define QUEUE_BYTES	(256 * 1024)
/* For one that is not there yet. */
#define UNBORN_PACKETS	8
#define UNBORN_BYTES	(64 * 1024)
/* Somebody else would have to close his port, or to take it away, as often in between. */
#define INSERT_TRIES	4
/* For all, about: what VMs that do not read can cost the host, whoever has made them. */
#define QUEUED_MAX	(64 << 20)
/* For the VMs of any user but root, so that one cannot take it all. */
#define QUEUED_USER_MAX	(16 << 20)
/* So far each CPU may be wrong. */
#define COUNT_BATCH	(64 << 10)

static struct percpu_counter queued;	/* bytes, of all ports */
static port_arrived_fn *port_arrived;

static void count_bytes(struct port *port, s64 bytes)
{
	port->bytes += bytes;
	atomic_long_add(bytes, &port->owner->queued);
	percpu_counter_add_batch(&queued, bytes, COUNT_BATCH);
}

static bool all_have_room(const struct port *port)
{
	if (percpu_counter_read_positive(&queued) >= QUEUED_MAX)
		return false;
	return !port->owner->uid || atomic_long_read(&port->owner->queued) < QUEUED_USER_MAX;
}

static bool has_room(const struct port *port, const struct sk_buff *skb)
{
	u32 packets = port->vm ? QUEUE_PACKETS : UNBORN_PACKETS;
	u32 bytes = port->vm ? QUEUE_BYTES : UNBORN_BYTES;

	if (port->shut || !all_have_room(port))
		return false;
	/* One of any size. */
	return skb_queue_empty(&port->queue) ||
	       (skb_queue_len(&port->queue) < packets &&
		port->bytes + skb->truesize <= bytes);
}

/* Returns SWITCH_DROPS, or why it must be dropped. */
static enum switch_drop admit(struct port *port, const struct sk_buff *skb)
{
	u64 now;

	if (port->closed)
		return SWITCH_DROP_NOBODY;
	if ((!port->vm && !port->expects_vm) || !has_room(port, skb))
		return SWITCH_DROP_FULL;
	if (likely(!port->rate))
		return SWITCH_DROPS;
	now = ktime_get_ns();
	if (rate_wait(port->received, now, RATE_BURST))
		return SWITCH_DROP_RATE;
	rate_take(&port->received, now, skb->len, port->rate);
	return SWITCH_DROPS;
}

static void drop_queue(struct port *port)
{
	__skb_queue_purge(&port->queue);
	count_bytes(port, -(s64)port->bytes);
}

static bool is_of_subnet(u32 address, u32 gateway, u32 mask)
{
	return !((address ^ gateway) & mask) && address != gateway &&
	       address & ~mask && ~(address | mask);
}

/* Where it was somebody else may be by now. */
static void withdraw(struct port *port)
{
	xa_cmpxchg_bh(&port->net->ports, ntohl(port->ip4), port, NULL, 0);
}

/*
 * The next free one, so that an address is not used again soon. Those of ranges get their VMs
 * when a packet comes.
 */
static int insert_anywhere(struct net_switch *net, struct port *port)
{
	u32 gateway = ntohl(port->subnet.gateway), mask = ntohl(port->subnet.mask), address;
	struct xa_limit limit = XA_LIMIT((gateway & mask) + 1, (gateway | ~mask) - 1);
	u32 tries = SWITCH_RANGES_MAX + 2;
	int ret;

	if (limit.min > limit.max)
		return -EADDRNOTAVAIL;
	ret = xa_reserve_bh(&net->ports, gateway, MEMORY_SLEEP);
	while (!ret && tries--) {
		ret = xa_alloc_cyclic_bh(&net->ports, &address, port, limit, &net->next,
					 MEMORY_SLEEP);
		if (ret < 0)
			break;
		port->ip4 = htonl(address);
		if (!switch_skip_range(net, &address))
			return 0;
		withdraw(port);
		xa_lock_bh(&net->ports);
		net->next = address;
		xa_unlock_bh(&net->ports);
		ret = 0;
	}
	return ret && ret != -EBUSY ? ret : -EADDRNOTAVAIL;
}

static bool has_place_in_subnet(const struct port *port)
{
	const struct net_subnet *subnet = &port->subnet;

	return is_of_subnet(ntohl(port->ip4), ntohl(subnet->gateway), ntohl(subnet->mask));
}

static int insert_at(struct xarray *ports, struct port *port)
{
	int ret;

	if (!has_place_in_subnet(port))
		return -EINVAL;
	ret = xa_insert_bh(ports, ntohl(port->ip4), port, MEMORY_SLEEP);
	return ret == -EBUSY ? -EADDRINUSE : ret;
}

/* Its IPv4 address after the host's prefix; none where that is the host's own. */
static void take_ip6(struct port *port)
{
	struct net_subnet *subnet = &port->subnet;

	port->ip6 = subnet->ip6;
	port->ip6.s6_addr32[3] = port->ip4;
	if (!subnet->prefix6 || ipv6_addr_equal(&port->ip6, &subnet->ip6)) {
		subnet->prefix6 = 0;
		port->ip6 = in6addr_any;
	}
}

/* Without what depends on its address. */
static struct port *make_port(const struct port_place *place, unsigned int i,
			      struct owner *owner, gfp_t gfp)
{
	struct port *port = kzalloc(sizeof(*port), gfp);
	int ret;

	if (!port)
		return ERR_PTR(-ENOMEM);
	ret = switch_read_subnet(place->net, &port->subnet);
	if (ret) {
		kfree(port);
		return ERR_PTR(ret);
	}
	spin_lock_init(&port->lock);
	__skb_queue_head_init(&port->queue);
	INIT_LIST_HEAD(&port->by_range);
	kref_get(&place->net->ref);
	port->net = place->net;
	port->ip4 = place->ip4;
	port->dns4 = place->dns4 ?: port->subnet.gateway;
	port->event = 1 + i;
	port->rings = MAYFLY_GPA_RINGS + i * PAGE_SIZE;
	port->rate = place->rate;
	port->router = place->router;
	port->owner = owner;
	port->active = jiffies;
	return port;
}

/* A port that has nobody's packets. */
static void drop_port(struct port *port)
{
	switch_put(port->net);
	kfree_rcu(port, rcu);
}

/* From now on packets that come for it are the VM's. */
static void adopt(struct port *port, struct vm *vm)
{
	spin_lock_bh(&port->lock);
	port->vm = vm;
	spin_unlock_bh(&port->lock);
}

static struct port *take_reserved(const struct port_place *place, struct vm *vm)
{
	struct port *port = *place->reserved;

	*place->reserved = NULL;
	adopt(port, vm);
	return port;
}

/**
 * port_open - give a VM a place on a switch
 * @place: where; a port that has been reserved there becomes the VM's
 * @i: which one of the VM's it is
 * @vm: the VM, which may be found already, or will be
 * @owner: the VM's
 *
 * Context: may sleep.
 * Return: the port, or ERR_PTR: -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL, -ENOMEM, -ENODEV.
 */
struct port *port_open(const struct port_place *place, unsigned int i, struct vm *vm,
		       struct owner *owner)
{
	struct net_switch *net = place->net;
	struct port *port;
	int ret;

	if (place->reserved)
		return take_reserved(place, vm);
	port = make_port(place, i, owner, MEMORY_SLEEP);
	if (IS_ERR(port))
		return port;
	ret = port->ip4 ? insert_at(&net->ports, port) : insert_anywhere(net, port);
	if (ret) {
		drop_port(port);
		return ERR_PTR(ret);
	}
	take_ip6(port);
	adopt(port, vm);
	return port;
}

/**
 * port_prepare - a port whose VM will be made
 * @place: where, with the address
 * @owner: who will be the VM's
 * @on_close: called once, when it is closed
 * @range: for the caller
 *
 * Context: under RCU.
 * Return: the port, which is in no table; NULL when no VM can have that address; or ERR_PTR(-ENOMEM).
 */
struct port *port_prepare(const struct port_place *place, struct owner *owner,
			  port_closed_fn *on_close, void *range)
{
	struct port *port = make_port(place, 0, owner, MEMORY_ATOMIC);

	if (IS_ERR(port))
		return PTR_ERR(port) == -ENOMEM ? port : NULL;
	port->on_close = on_close;
	port->range = range;
	port->expects_vm = true;
	take_ip6(port);
	if (has_place_in_subnet(port))
		return port;
	port_discard(port);
	return NULL;
}

/**
 * port_discard - undo port_prepare()
 * @port: has never been in the table
 */
void port_discard(struct port *port)
{
	switch_put(port->net);
	kfree(port);
}

/* Returns @port, the one that is there, or NULL; ERR_PTR(-EAGAIN) if that has changed meanwhile. */
static struct port *try_insert(struct xarray *ports, struct port *port)
{
	u32 address = ntohl(port->ip4);
	struct port *old = xa_load(ports, address);
	void *before;
	int ret;

	if (!old) {
		/* Not in the place of one that is reserved. */
		ret = xa_insert_bh(ports, address, port, MEMORY_ATOMIC);
		return !ret ? port : ret == -EBUSY ? ERR_PTR(-EAGAIN) : NULL;
	}
	if (!READ_ONCE(old->closed))
		return old;
	before = xa_cmpxchg_bh(ports, address, old, port, MEMORY_ATOMIC);
	if (before == old)
		return port;
	return xa_is_err(before) ? NULL : ERR_PTR(-EAGAIN);
}

/**
 * port_insert - from now on a port is found
 * @port: after port_prepare()
 *
 * Context: bottom halves off, under RCU.
 * Return: @port; the one that is there already; or NULL when there can be none.
 */
struct port *port_insert(struct port *port)
{
	struct port *there = ERR_PTR(-EAGAIN);
	int tries;

	for (tries = 0; tries < INSERT_TRIES && IS_ERR(there); tries++)
		there = try_insert(&port->net->ports, port);
	return IS_ERR(there) ? NULL : there;
}

static bool has_route(const struct sk_buff *skb, unsigned short family)
{
	return skb_dst(skb) && skb_dst(skb)->ops->family == family;
}

/**
 * port_at - which VM has an address?
 * @net: the switch
 * @address: IPv4, in network order
 *
 * Context: under RCU.
 * Return: the VM's port, or NULL. One that is closed may still be in the table.
 */
struct port *port_at(struct net_switch *net, __be32 address)
{
	struct port *port = xa_load(&net->ports, ntohl(address));

	return port && !READ_ONCE(port->closed) ? port : NULL;
}

static struct port *find_ip6(struct net_switch *net, const struct in6_addr *address)
{
	struct port *port = port_at(net, address->s6_addr32[3]);

	return port && port_has_ip6(port, address) ? port : NULL;
}

static __be32 next_ip4(const struct sk_buff *skb)
{
	__be32 to = ip_hdr(skb)->daddr;

	return has_route(skb, AF_INET) ? rt_nexthop(skb_rtable(skb), to) : to;
}

static const struct in6_addr *next_ip6(const struct sk_buff *skb)
{
	struct in6_addr *to = &ipv6_hdr(skb)->daddr;

	return has_route(skb, AF_INET6) ? rt6_nexthop((struct rt6_info *)skb_dst(skb), to) : to;
}

/**
 * port_next_hop - where does a packet go next?
 * @skb: the packet, with its network header in one piece
 *
 * Context: under RCU.
 * Return: its destination, or the VM that its route leads by: an IPv4 address, or what an IPv6
 * address ends with.
 */
__be32 port_next_hop(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP) ? next_ip4(skb) : next_ip6(skb)->s6_addr32[3];
}

/**
 * port_is_for - is a packet for a port?
 * @port: has the IPv4 address that port_next_hop() says
 * @skb: the packet
 *
 * Context: under RCU.
 * Return: false if its IPv6 address is another one.
 */
bool port_is_for(const struct port *port, const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP) || port_has_ip6(port, next_ip6(skb));
}

/**
 * port_find - which VM gets a packet?
 * @net: where it is
 * @skb: the packet, with its network header in one piece
 *
 * Context: under RCU.
 * Return: the VM's port, or NULL.
 */
struct port *port_find(struct net_switch *net, const struct sk_buff *skb)
{
	struct port *port = port_at(net, port_next_hop(skb));

	return port && port_is_for(port, skb) ? port : NULL;
}

/**
 * port_find_sender - which VM says that it has sent a packet?
 * @net: where it is
 * @skb: the packet, with its network header in one piece
 *
 * Context: under RCU.
 * Return: the VM's port, or NULL.
 */
struct port *port_find_sender(struct net_switch *net, const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP) ? port_at(net, ip_hdr(skb)->saddr) :
						  find_ip6(net, &ipv6_hdr(skb)->saddr);
}

/* Under its lock. Who counts it knows before anybody can find out that it is closed. */
static void mark_closed(struct port *port)
{
	port_closed_fn *on_close = port->on_close;

	port->on_close = NULL;
	if (on_close)
		on_close(port, !port->admitted || !skb_queue_empty(&port->queue));
	port->vm = NULL;
	WRITE_ONCE(port->closed, true);
}

static void close(struct port *port)
{
	spin_lock_bh(&port->lock);
	mark_closed(port);
	drop_queue(port);
	spin_unlock_bh(&port->lock);
	withdraw(port);
}

/**
 * port_close_idle - close a port whose VM does nothing
 * @port: of a VM, or of one that has ended
 * @claim: called with the VM, which is alive, and with the port's lock held; true: it has seen
 *	all that has come, and does nothing any more
 *
 * What comes from now on is nobody's. What the VM has not read, although it has seen it, is lost.
 *
 * Context: under RCU.
 * Return: the VM that has been claimed, or NULL.
 */
struct vm *port_close_idle(struct port *port, bool (*claim)(struct vm *vm))
{
	struct vm *vm;

	spin_lock_bh(&port->lock);
	vm = port->vm;
	if (vm && claim(vm))
		mark_closed(port);
	else
		vm = NULL;
	spin_unlock_bh(&port->lock);
	return vm;
}

/**
 * port_close_all - their VM has ended
 * @first: of the VM's ports, or NULL
 *
 * Packets that waited are dropped, and none come any more. May be called again.
 *
 * Context: task.
 */
void port_close_all(struct port *first)
{
	for (; first; first = first->next)
		close(first);
}

/**
 * port_shut - the guest has made a mistake in a ring: nothing goes through any more
 * @port: the claimant's
 */
void port_shut(struct port *port)
{
	spin_lock_bh(&port->lock);
	port->shut = true;
	WRITE_ONCE(port->open, 0);
	drop_queue(port);
	spin_unlock_bh(&port->lock);
}

/**
 * port_free_all - their VM is gone
 * @first: of its ports, after port_close_all(); or NULL
 *
 * Context: any.
 */
void port_free_all(struct port *first)
{
	struct port *next;

	for (; first; first = next) {
		next = first->next;
		drop_port(first);
	}
}

/**
 * port_deliver - let a packet wait for the guest
 * @port: found under RCU
 * @skb: the packet, which is not the caller's any more if it waits
 *
 * Context: bottom halves off.
 * Return: SWITCH_DROPS if it waits; SWITCH_DROP_NOBODY: the port has been closed, so look for
 * another one; or else why it must be dropped.
 */
enum switch_drop port_deliver(struct port *port, struct sk_buff *skb)
{
	enum switch_drop why;

	spin_lock(&port->lock);
	why = admit(port, skb);
	if (why == SWITCH_DROPS) {
		__skb_queue_tail(&port->queue, skb);
		count_bytes(port, skb->truesize);
		port->admitted = true;
		WRITE_ONCE(port->active, jiffies);
		if (likely(port->vm))
			port_arrived(port->vm, port->event);
	}
	spin_unlock(&port->lock);
	return why;
}

/**
 * port_first - the packet that has waited longest
 * @port: the claimant's
 *
 * Return: it, until port_drop_first(); or NULL. Nobody else takes packets away.
 */
struct sk_buff *port_first(struct port *port)
{
	struct sk_buff *skb;

	spin_lock_bh(&port->lock);
	skb = skb_peek(&port->queue);
	spin_unlock_bh(&port->lock);
	return skb;
}

/**
 * port_drop_first - the guest has it, or cannot have it
 * @port: the claimant's, after port_first()
 */
void port_drop_first(struct port *port)
{
	struct sk_buff *skb;

	spin_lock_bh(&port->lock);
	skb = __skb_dequeue(&port->queue);
	count_bytes(port, -(s64)skb->truesize);
	spin_unlock_bh(&port->lock);
	consume_skb(skb);
}

/**
 * port_setup - at load
 * @arrived: a guest's first packet has come, with the port of its event; bottom halves are
 *	off and the port's lock held
 *
 * Return: 0 or -ENOMEM.
 */
int port_setup(port_arrived_fn *arrived)
{
	port_arrived = arrived;
	return percpu_counter_init(&queued, 0, GFP_KERNEL);
}

/**
 * port_teardown - at unload: there are no ports
 */
void port_teardown(void)
{
	WARN_ON_ONCE(percpu_counter_sum(&queued));
	percpu_counter_destroy(&queued);
}
