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
	if (!port->vm || port->shut || !all_have_room(port))
		return false;
	/* One of any size. */
	return skb_queue_empty(&port->queue) ||
	       (skb_queue_len(&port->queue) < QUEUE_PACKETS &&
		port->bytes + skb->truesize <= QUEUE_BYTES);
}

/* Returns SWITCH_DROPS, or why it must be dropped. */
static enum switch_drop admit(struct port *port, const struct sk_buff *skb)
{
	u64 now;

	if (!has_room(port, skb))
		return SWITCH_DROP_FULL;
	if (likely(!port->rate))
		return SWITCH_DROPS;
	now = ktime_get_ns();
	if (rate_wait(port->received, now))
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

/* The next free one, so that an address is not used again soon. */
static int insert_anywhere(struct xarray *ports, struct port *port, u32 *next)
{
	u32 gateway = ntohl(port->subnet.gateway), mask = ntohl(port->subnet.mask), address;
	struct xa_limit limit = XA_LIMIT((gateway & mask) + 1, (gateway | ~mask) - 1);
	int ret;

	if (limit.min > limit.max)
		return -EADDRNOTAVAIL;
	ret = xa_reserve(ports, gateway, MEMORY_SLEEP);
	if (!ret)
		ret = xa_alloc_cyclic(ports, &address, port, limit, next, MEMORY_SLEEP);
	if (ret < 0)
		return ret == -EBUSY ? -EADDRNOTAVAIL : ret;
	port->ip4 = htonl(address);
	return 0;
}

static int insert_at(struct xarray *ports, struct port *port, u32 address)
{
	int ret;

	if (!is_of_subnet(address, ntohl(port->subnet.gateway), ntohl(port->subnet.mask)))
		return -EINVAL;
	ret = xa_insert(ports, address, port, MEMORY_SLEEP);
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

/**
 * port_open - give a VM a place on a switch
 * @place: where
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
	struct port *port = kzalloc(sizeof(*port), MEMORY_SLEEP);
	int ret;

	if (!port)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&port->lock);
	__skb_queue_head_init(&port->queue);
	port->ip4 = place->ip4;
	port->event = 1 + i;
	port->rings = MAYFLY_GPA_RINGS + i * PAGE_SIZE;
	port->rate = place->rate;
	port->router = place->router;
	port->vm = vm;
	port->owner = owner;
	ret = switch_read_subnet(net, &port->subnet);
	port->dns4 = place->dns4 ?: port->subnet.gateway;
	if (!ret && port->ip4)
		ret = insert_at(&net->ports, port, ntohl(port->ip4));
	else if (!ret)
		ret = insert_anywhere(&net->ports, port, &net->next);
	if (ret) {
		kfree(port);
		return ERR_PTR(ret);
	}
	take_ip6(port);
	kref_get(&net->ref);
	port->net = net;
	return port;
}

static bool has_route(const struct sk_buff *skb, unsigned short family)
{
	return skb_dst(skb) && skb_dst(skb)->ops->family == family;
}

static struct port *find_ip4(struct net_switch *net, __be32 address)
{
	return xa_load(&net->ports, ntohl(address));
}

static struct port *find_ip6(struct net_switch *net, const struct in6_addr *address)
{
	struct port *port = find_ip4(net, address->s6_addr32[3]);

	return port && port_has_ip6(port, address) ? port : NULL;
}

/* Where it goes next: its destination, or the VM that its route leads by. */
static struct port *find_next_ip4(struct net_switch *net, const struct sk_buff *skb)
{
	__be32 to = ip_hdr(skb)->daddr;

	return find_ip4(net, has_route(skb, AF_INET) ? rt_nexthop(skb_rtable(skb), to) : to);
}

static struct port *find_next_ip6(struct net_switch *net, const struct sk_buff *skb)
{
	struct in6_addr *to = &ipv6_hdr(skb)->daddr;

	return find_ip6(net, has_route(skb, AF_INET6) ?
				     rt6_nexthop((struct rt6_info *)skb_dst(skb), to) :
				     to);
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
	return skb->protocol == htons(ETH_P_IP) ? find_next_ip4(net, skb) :
						  find_next_ip6(net, skb);
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
	return skb->protocol == htons(ETH_P_IP) ? find_ip4(net, ip_hdr(skb)->saddr) :
						  find_ip6(net, &ipv6_hdr(skb)->saddr);
}

static void close(struct port *port)
{
	/* The second time somebody else may be there. */
	xa_cmpxchg(&port->net->ports, ntohl(port->ip4), port, NULL, 0);
	spin_lock_bh(&port->lock);
	port->vm = NULL;
	drop_queue(port);
	spin_unlock_bh(&port->lock);
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
		switch_put(first->net);
		kfree_rcu(first, rcu);
	}
}

/**
 * port_deliver - let a packet wait for the guest
 * @port: found under RCU
 * @skb: the packet, which is not the caller's any more
 *
 * Context: bottom halves off.
 * Return: SWITCH_DROPS; or why it was dropped.
 */
enum switch_drop port_deliver(struct port *port, struct sk_buff *skb)
{
	enum switch_drop why;

	spin_lock(&port->lock);
	why = admit(port, skb);
	if (why == SWITCH_DROPS) {
		__skb_queue_tail(&port->queue, skb);
		count_bytes(port, skb->truesize);
		port_arrived(port->vm, port->event);
	}
	spin_unlock(&port->lock);
	if (why != SWITCH_DROPS)
		kfree_skb(skb);
	return why;
}

/* What captures packets on the device sees this one too. */
static void show(struct net_device *dev, struct sk_buff *skb)
{
	if (!dev_nit_active(dev))
		return;
	skb->dev = dev;
	dev_queue_xmit_nit(skb, dev);
	skb->dev = NULL;
}

static enum switch_drop pass(const struct net_switch *net, struct port *to,
			     struct sk_buff *skb)
{
	if (net->policy == MAYFLY_POLICY_DIRECT)
		return port_deliver(to, skb);
	kfree_skb(skb);
	return SWITCH_DROP_POLICY;
}

/* Those for VMs of the same network do not come to the host's stack. Bottom halves are off. */
static void deliver_inside(struct net_switch *net, struct net_device *dev,
			   struct list_head *skbs)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, skbs, list) {
		struct port *to = port_find(net, skb);
		unsigned int length = skb->len;

		if (!to)
			continue;
		skb_list_del_init(skb);
		show(dev, skb);
		switch_count_passed(net, dev, length, pass(net, to, skb));
	}
}

/**
 * port_send - pass on what a guest has sent
 * @port: the claimant's
 * @skbs: judged packets, linked by skb->list; they are dropped if the device is down
 *	or deleted
 *
 * Context: task, interrupts on. The host's protocols run here, in the sender's time.
 */
void port_send(struct port *port, struct list_head *skbs)
{
	struct net_switch *net = port->net;
	struct net_device *dev;

	rcu_read_lock();
	local_bh_disable();
	dev = net->policy == MAYFLY_POLICY_HOST ? NULL : switch_device(net);
	if (dev)
		deliver_inside(net, dev, skbs);
	local_bh_enable();
	rcu_read_unlock();
	if (!list_empty(skbs))
		switch_receive(net, skbs);
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
