// SPDX-License-Identifier: GPL-2.0-only
/*
 * range.c - addresses of a switch that get their VMs when a packet comes.
 *
 * A packet for such an address makes a port there, waits at it, and asks for a VM. Nothing is
 * made in the sender's softirq but the port: so an address has one birth, however many
 * packets come for it. How many births there are is limited, and an address whose birth is
 * refused is left alone for a second.
 */
#include <linux/hash.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "mem/owner.h"
#include "net/port.h"
#include "net/range.h"
#include "net/rate.h"

/* Of VMs, at once. */
#define BURST		256
/* A user's ranges have so many births a second together. */
#define USER_RATE	MAYFLY_DEMAND_RATE_MAX
/* How long an address is left alone after a refusal. TCP asks again after a second, and is told then. */
#define REFUSAL		(HZ + HZ / 4)
/* How soon one is looked at again that has been idle, but could not be ended. */
#define LOOK_AGAIN	((unsigned long)HZ / 10)

static const struct range_events *events __ro_after_init;
/* For the buckets of users. */
static DEFINE_SPINLOCK(users_lock);

static struct net_range *range_of(struct switch_range *addresses)
{
	return container_of(addresses, struct net_range, addresses);
}

/**
 * range_init - prepare a range
 * @range: zero but for what is immutable
 */
void range_init(struct net_range *range)
{
	kref_init(&range->ref);
	spin_lock_init(&range->lock);
	INIT_LIST_HEAD(&range->unborn);
	INIT_LIST_HEAD(&range->living);
}

/**
 * range_open - from now on packets make VMs
 * @range: after range_init()
 *
 * Return: 0, or as switch_add_range().
 */
int range_open(struct net_range *range)
{
	return switch_add_range(range->place.net, &range->addresses);
}

static void unused(struct kref *ref)
{
	events->unused(container_of(ref, struct net_range, ref));
}

/**
 * range_put - give a reference back
 * @range: the range
 *
 * Context: any.
 */
void range_put(struct net_range *range)
{
	kref_put(&range->ref, unused);
}

/* --- who is refused ------------------------------------------------------------------ */

static u64 *refusal_of(struct net_range *range, u32 address)
{
	return &range->refused[hash_32(address, RANGE_REFUSED_BITS)];
}

/* One of the same hash is forgotten, and may try again. */
static void refuse(struct net_range *range, u32 address)
{
	WRITE_ONCE(*refusal_of(range, address),
		   (u64)address << 32 | (u32)(jiffies + REFUSAL));
}

static bool is_refused(struct net_range *range, u32 address)
{
	u64 refusal = READ_ONCE(*refusal_of(range, address));
	u32 left = (u32)refusal - (u32)jiffies;

	/* An old one stays there, and is more than any time that may be left. */
	return refusal >> 32 == address && left && left <= REFUSAL;
}

/* --- which packets make VMs ---------------------------------------------------------- */

/* Where the transport's header begins; or -1 for what has none, or one of no use here. */
static int find_transport(const struct sk_buff *skb, u8 *protocol)
{
	int start = skb_network_offset(skb);
	__be16 fragment;

	if (skb->protocol == htons(ETH_P_IP)) {
		const struct iphdr *ip = ip_hdr(skb);

		*protocol = ip->protocol;
		return ip->frag_off & htons(IP_OFFSET) ? -1 : start + ip->ihl * 4;
	}
	*protocol = ipv6_hdr(skb)->nexthdr;
	start = ipv6_skip_exthdr(skb, start + sizeof(struct ipv6hdr), protocol, &fragment);
	return fragment & htons(~0x7) ? -1 : start;
}

static bool has_service(const struct net_range *range, u8 protocol, __be16 port)
{
	u32 i;

	for (i = 0; i < range->nr_services; i++)
		if (range->services[i].protocol == protocol &&
		    range->services[i].port == ntohs(port))
			return true;
	return !range->nr_services;
}

/* A reset wants no answer. */
static bool is_wanted_tcp(const struct net_range *range, const struct sk_buff *skb, int at)
{
	struct tcphdr copy;
	const struct tcphdr *tcp = skb_header_pointer(skb, at, sizeof(copy), &copy);

	return tcp && !tcp->rst && has_service(range, IPPROTO_TCP, tcp->dest);
}

static bool is_wanted_udp(const struct net_range *range, const struct sk_buff *skb, int at)
{
	struct udphdr copy;
	const struct udphdr *udp = skb_header_pointer(skb, at, sizeof(copy), &copy);

	return udp && has_service(range, IPPROTO_UDP, udp->dest);
}

static bool is_ping(const struct sk_buff *skb, int at, u8 type)
{
	u8 copy;
	const u8 *icmp = skb_header_pointer(skb, at, sizeof(copy), &copy);

	return icmp && *icmp == type;
}

static bool is_wanted(const struct net_range *range, const struct sk_buff *skb)
{
	u8 protocol;
	int at = find_transport(skb, &protocol);

	if (at < 0)
		return false;
	switch (protocol) {
	case IPPROTO_TCP:
		return is_wanted_tcp(range, skb, at);
	case IPPROTO_UDP:
		return is_wanted_udp(range, skb, at);
	case IPPROTO_ICMP:
		return !range->nr_services && is_ping(skb, at, ICMP_ECHO);
	case IPPROTO_ICMPV6:
		return !range->nr_services && is_ping(skb, at, ICMPV6_ECHO_REQUEST);
	default:
		return false;
	}
}

/* --- births -------------------------------------------------------------------------- */

static bool has_room(u64 bucket, u64 now, u32 rate)
{
	return !rate_wait(bucket, now, BURST * RATE_SECOND / rate);
}

static bool take_from_both(struct net_range *range, u64 now)
{
	u64 *user = &range->owner->births;
	bool may;

	lockdep_assert_held(&range->lock);
	spin_lock(&users_lock);
	may = has_room(range->births, now, range->rate) && has_room(*user, now, USER_RATE);
	if (may) {
		rate_take(&range->births, now, 1, range->rate);
		rate_take(user, now, 1, USER_RATE);
	}
	spin_unlock(&users_lock);
	return may;
}

/* Counts one more VM, unless there may be none now. */
static bool begin_birth(struct net_range *range, struct port *port)
{
	bool may;

	spin_lock(&range->lock);
	may = !range->closed && range->vms < range->max &&
	      owner_may_have(range->owner, 1) && take_from_both(range, ktime_get_ns());
	if (may) {
		kref_get(&range->ref);
		range->vms++;
		port->counted = true;
	}
	spin_unlock(&range->lock);
	return may;
}

/* Under the range's lock. */
static void count_out(struct net_range *range, struct port *port)
{
	list_del_init(&port->by_range);
	port->counted = false;
	range->vms--;
}

static void take_birth_back(struct net_range *range, struct port *port)
{
	spin_lock(&range->lock);
	count_out(range, port);
	spin_unlock(&range->lock);
	range_put(range);
}

static void on_close(struct port *port, bool unread)
{
	struct net_range *range = port->range;

	spin_lock(&range->lock);
	count_out(range, port);
	spin_unlock(&range->lock);
	/* Whoever has sent that would only ask for the next. */
	if (unread)
		refuse(range, ntohl(port->ip4));
	range_put(range);
}

/* Returns false when the range has been closed. */
static bool ask_for_vm(struct net_range *range, struct port *port)
{
	bool open;

	spin_lock(&range->lock);
	open = !range->closed;
	if (open)
		list_add_tail(&port->by_range, &range->unborn);
	spin_unlock(&range->lock);
	/* The range may be closed now, but is there as long as RCU is held. */
	if (open)
		events->wanted(range);
	return open;
}

static struct port *begin_with(struct net_range *range, struct port *port,
			       const struct sk_buff *skb)
{
	struct port *there;

	if (!begin_birth(range, port)) {
		port_discard(port);
		return ERR_PTR(-EBUSY);
	}
	there = port_insert(port);
	if (there == port) {
		if (ask_for_vm(range, port))
			return port;
		range_failed(port);
		return NULL;
	}
	take_birth_back(range, port);
	port_discard(port);
	if (!there)
		return ERR_PTR(-ENOMEM);
	return port_is_for(there, skb) ? there : NULL;
}

/* For whoever has made the range, not for who sends the packet. */
static struct port *prepare(struct net_range *range, u32 address)
{
	struct mem_cgroup *old = set_active_memcg(range->memcg);
	struct port_place place = range->place;
	struct port *port;

	place.ip4 = htonl(address);
	port = port_prepare(&place, range->owner, on_close, range);
	set_active_memcg(old);
	return port;
}

/* As range_find_port(), for an address where there is none. -EAGAIN: it is left alone. */
static struct port *conceive(struct net_range *range, const struct sk_buff *skb, u32 address)
{
	struct port *port;

	if (!is_wanted(range, skb))
		return NULL;
	if (is_refused(range, address))
		return ERR_PTR(-EAGAIN);
	if (READ_ONCE(range->vms) >= range->max)
		return ERR_PTR(-EBUSY);
	port = prepare(range, address);
	if (IS_ERR_OR_NULL(port))
		return port;
	if (port_is_for(port, skb))
		return begin_with(range, port, skb);
	port_discard(port);
	return NULL;
}

static struct port *find_or_conceive(struct net_switch *net, const struct sk_buff *skb,
				     __be32 to)
{
	struct switch_range *addresses = switch_find_range(net, ntohl(to));
	struct net_range *range;
	struct port *port;

	/* One that is there has another IPv6 address. */
	if (!addresses || port_at(net, to))
		return NULL;
	range = range_of(addresses);
	port = conceive(range, skb, ntohl(to));
	if (IS_ERR(port))
		atomic_long_inc(&range->nr_refused);
	if (IS_ERR(port) && PTR_ERR(port) != -EAGAIN)
		refuse(range, ntohl(to));
	return port;
}

static struct port *find_at(struct net_switch *net, const struct sk_buff *skb, __be32 to)
{
	struct port *port = port_at(net, to);

	if (likely(port && port_is_for(port, skb)))
		return port;
	return hlist_empty(&net->ranges) ? NULL : find_or_conceive(net, skb, to);
}

/**
 * range_find_port - which VM gets a packet, now or when it has been made?
 * @net: where the packet is
 * @skb: the packet, with its network header in one piece
 *
 * Context: bottom halves off, under RCU.
 * Return: a port; NULL when nobody has the address, nor will; ERR_PTR when a VM would have been
 * made, but may not now.
 */
struct port *range_find_port(struct net_switch *net, const struct sk_buff *skb)
{
	return find_at(net, skb, port_next_hop(skb));
}

/**
 * range_deliver - let a packet wait for the guest
 * @port: from range_find_port()
 * @skb: the packet, which need not have its route any more, and is not the caller's if it waits
 *
 * Where the port is closed in this moment, the next one gets it.
 *
 * Context: bottom halves off, under RCU.
 * Return: SWITCH_DROPS if it waits, or why it must be dropped.
 */
enum switch_drop range_deliver(struct port *port, struct sk_buff *skb)
{
	enum switch_drop why = port_deliver(port, skb);

	while (unlikely(why == SWITCH_DROP_NOBODY)) {
		port = find_at(port->net, skb, port->ip4);
		if (IS_ERR_OR_NULL(port))
			return port ? SWITCH_DROP_BIRTH : SWITCH_DROP_NOBODY;
		why = port_deliver(port, skb);
	}
	return why;
}

/**
 * range_next - take the port that has waited longest for its VM
 * @range: the range
 *
 * Return: the port, for range_born() or range_failed(); or NULL.
 */
struct port *range_next(struct net_range *range)
{
	struct port *port;

	spin_lock_bh(&range->lock);
	port = list_first_entry_or_null(&range->unborn, struct port, by_range);
	if (port)
		list_del_init(&port->by_range);
	spin_unlock_bh(&range->lock);
	return port;
}

/**
 * range_born - a port has its VM
 * @range: the range
 * @port: from range_next(); it may have been closed meanwhile, but is not gone
 * @idle: in jiffies: look at it after that
 */
void range_born(struct net_range *range, struct port *port, unsigned long idle)
{
	atomic_long_inc(&range->nr_born);
	spin_lock_bh(&range->lock);
	if (port->counted) {
		port->look_at = jiffies + idle;
		list_add_tail(&port->by_range, &range->living);
	}
	spin_unlock_bh(&range->lock);
}

/**
 * range_failed - there is no VM for a port
 * @port: of no VM
 *
 * What waits there is dropped, and the address is left alone.
 *
 * Context: any but hard interrupts.
 */
void range_failed(struct port *port)
{
	refuse(port->range, ntohl(port->ip4));
	port_close_all(port);
	port_free_all(port);
}

/* --- ends ---------------------------------------------------------------------------- */

static unsigned long idle_from(const struct port *port, unsigned long idle)
{
	/* Connections that are open may be used again. */
	return READ_ONCE(port->active) + (READ_ONCE(port->open) ? 10 : 1) * idle;
}

/* Puts a port last. False when it is not idle. */
static bool is_idle(struct net_range *range, struct port *port, unsigned long idle)
{
	unsigned long due = idle_from(port, idle), next = jiffies + max(idle, LOOK_AGAIN);
	bool now = time_after_eq(jiffies, due);

	lockdep_assert_held(&range->lock);
	/* No later than the others that come after it. */
	port->look_at = !now && time_before(due, next) ? due : next;
	list_move_tail(&port->by_range, &range->living);
	return now;
}

/**
 * range_look - look at the port whose turn it is
 * @range: the range
 * @idle: in jiffies: nothing shall have come or gone for so long
 * @later: out: 0 when one has been looked at; or in how many jiffies one can be; or -1 when
 *	the range has no VMs
 *
 * Context: under RCU.
 * Return: the port if it is idle, or NULL.
 */
struct port *range_look(struct net_range *range, unsigned long idle, long *later)
{
	struct port *port;

	spin_lock_bh(&range->lock);
	port = list_first_entry_or_null(&range->living, struct port, by_range);
	*later = port ? max_t(long, port->look_at - jiffies, 0) : -1;
	if (*later || !is_idle(range, port, idle))
		port = NULL;
	spin_unlock_bh(&range->lock);
	return port;
}

static void fail_all(struct net_range *range)
{
	struct port *port;

	while ((port = range_next(range)))
		range_failed(port);
}

static void stop_births(struct net_range *range)
{
	spin_lock_bh(&range->lock);
	range->closed = true;
	spin_unlock_bh(&range->lock);
}

/**
 * range_close - no VM is made any more
 * @range: after range_open(); its device may have gone
 *
 * Packets that wait for VMs that have not been made are dropped.
 *
 * Context: task.
 */
void range_close(struct net_range *range)
{
	/* Before: whoever opens it in this moment sees that, and closes it again. */
	stop_births(range);
	switch_remove_range(range->place.net, &range->addresses);
	fail_all(range);
}

static void on_lost(struct switch_range *addresses)
{
	struct net_range *range = range_of(addresses);

	stop_births(range);
	events->lost(range);
}

/**
 * range_close_all - the end of a switch's device
 * @net: the switch
 */
void range_close_all(struct net_switch *net)
{
	switch_close(net, on_lost);
}

/**
 * range_setup - at load
 * @what_happens: what ranges call
 */
void __init range_setup(const struct range_events *what_happens)
{
	events = what_happens;
}
