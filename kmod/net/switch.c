// SPDX-License-Identifier: GPL-2.0-only
/*
 * switch.c - which VM has which address behind a network device of the host's.
 *
 * It lives as long as there is a VM on it. Its device may be deleted before, after which
 * packets go nowhere.
 */
#include <linux/inetdevice.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>

#include "net/switch.h"

/* A VM's IPv4 address is what its IPv6 address ends with. */
#define IP6_PREFIX_MAX	96

/**
 * switch_make - make a switch, for a device that will be its own
 * @owner: who may attach VMs, besides those with CAP_NET_ADMIN; or INVALID_UID
 * @group: likewise, or INVALID_GID
 * @policy: MAYFLY_POLICY_*
 *
 * Context: may sleep.
 * Return: the switch with a reference, or NULL without memory.
 */
struct net_switch *switch_make(kuid_t owner, kgid_t group, u32 policy)
{
	struct net_switch *net = kzalloc(sizeof(*net), GFP_KERNEL_ACCOUNT);

	if (!net)
		return NULL;
	kref_init(&net->ref);
	xa_init_flags(&net->ports, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH);
	spin_lock_init(&net->ranges_lock);
	INIT_HLIST_HEAD(&net->ranges);
	net->owner = owner;
	net->group = group;
	net->policy = policy;
	return net;
}

static void free_switch(struct kref *ref)
{
	struct net_switch *net = container_of(ref, struct net_switch, ref);

	xa_destroy(&net->ports);
	kfree(net);
}

/**
 * switch_put - give a reference back
 * @net: the switch
 */
void switch_put(struct net_switch *net)
{
	kref_put(&net->ref, free_switch);
}

/**
 * switch_index - the index of a switch's device
 * @net: the switch
 *
 * Return: as the caller's network namespace has it; 0 if that has none, or it was deleted.
 */
u32 switch_index(const struct net_switch *net)
{
	const struct net_device *dev;
	u32 index = 0;

	rcu_read_lock();
	dev = rcu_dereference(net->dev);
	if (dev && net_eq(dev_net(dev), current->nsproxy->net_ns))
		index = READ_ONCE(dev->ifindex);
	rcu_read_unlock();
	return index;
}

/* Under RCU. The first address but the link's own; all zero without one, or where VMs find no room. */
static void read_ip6(const struct net_device *dev, struct net_subnet *subnet)
{
	struct inet6_dev *in = __in6_dev_get(dev);
	const struct inet6_ifaddr *one;

	if (!in)
		return;
	read_lock_bh(&in->lock);
	/* The newest of a scope comes first. */
	list_for_each_entry_reverse(one, &in->addr_list, if_list) {
		if (one->scope == IFA_LINK || one->prefix_len > IP6_PREFIX_MAX)
			continue;
		subnet->ip6 = one->addr;
		subnet->prefix6 = one->prefix_len;
		break;
	}
	read_unlock_bh(&in->lock);
}

/* Under RCU. The first address that it was given says it. */
static int read_subnet(const struct net_device *dev, struct net_subnet *subnet)
{
	const struct in_device *in = dev ? __in_dev_get_rcu(dev) : NULL;
	const struct in_ifaddr *first = in ? rcu_dereference(in->ifa_list) : NULL;

	if (!dev)
		return -ENODEV;
	if (!first)
		return -EADDRNOTAVAIL;
	*subnet = (struct net_subnet){
		.gateway = first->ifa_local,
		.mask = first->ifa_mask,
		.mtu = READ_ONCE(dev->mtu),
	};
	read_ip6(dev, subnet);
	return 0;
}

/**
 * switch_read_subnet - which addresses are behind a switch
 * @net: the switch
 * @subnet: to fill
 *
 * Return: 0, -ENODEV after the end of its device, -EADDRNOTAVAIL when that has no address.
 */
int switch_read_subnet(const struct net_switch *net, struct net_subnet *subnet)
{
	int ret;

	rcu_read_lock();
	ret = read_subnet(rcu_dereference(net->dev), subnet);
	rcu_read_unlock();
	return ret;
}

/**
 * switch_device - what a switch passes packets on by
 * @net: the switch
 *
 * Context: under RCU.
 * Return: its device, or NULL when that is down or deleted.
 */
struct net_device *switch_device(const struct net_switch *net)
{
	struct net_device *dev = rcu_dereference(net->dev);

	return dev && netif_running(dev) ? dev : NULL;
}

static int check_range(const struct net_switch *net, const struct switch_range *range)
{
	const struct switch_range *other;
	unsigned int count = 0;

	lockdep_assert_held(&net->ranges_lock);
	if (!rcu_access_pointer(net->dev))
		return -ENODEV;
	hlist_for_each_entry(other, &net->ranges, node) {
		if (range->first <= other->last && other->first <= range->last)
			return -EEXIST;
		count++;
	}
	return count < SWITCH_RANGES_MAX ? 0 : -ENOSPC;
}

/**
 * switch_add_range - from now on a range is found
 * @net: the switch
 * @range: until switch_remove_range(), and an RCU grace period later
 *
 * Return: 0, -ENODEV after the end of its device, -EEXIST when there is one with some of its
 * addresses, -ENOSPC when there are too many.
 */
int switch_add_range(struct net_switch *net, struct switch_range *range)
{
	int ret;

	spin_lock(&net->ranges_lock);
	ret = check_range(net, range);
	if (!ret)
		hlist_add_head_rcu(&range->node, &net->ranges);
	spin_unlock(&net->ranges_lock);
	return ret;
}

/**
 * switch_remove_range - a range is not found any more, but under RCU
 * @net: the switch
 * @range: after switch_add_range(); it may have been removed already
 */
void switch_remove_range(struct net_switch *net, struct switch_range *range)
{
	spin_lock(&net->ranges_lock);
	hlist_del_init_rcu(&range->node);
	spin_unlock(&net->ranges_lock);
}

/**
 * switch_close - the end of a switch's device
 * @net: the switch
 * @lost: called for each of its ranges, which has been removed; does not sleep
 */
void switch_close(struct net_switch *net, switch_range_fn *lost)
{
	struct switch_range *range;
	struct hlist_node *next;

	RCU_INIT_POINTER(net->dev, NULL);
	spin_lock(&net->ranges_lock);
	hlist_for_each_entry_safe(range, next, &net->ranges, node) {
		hlist_del_init_rcu(&range->node);
		lost(range);
	}
	spin_unlock(&net->ranges_lock);
}

/**
 * switch_find_range - which range is an address of?
 * @net: the switch
 * @address: in the host's byte order
 *
 * Context: under RCU.
 * Return: the range, or NULL.
 */
struct switch_range *switch_find_range(const struct net_switch *net, u32 address)
{
	struct switch_range *range;

	hlist_for_each_entry_rcu(range, &net->ranges, node)
		if (address >= range->first && address <= range->last)
			return range;
	return NULL;
}

/**
 * switch_skip_range - if an address is one of a range's, go on after that
 * @net: the switch
 * @address: in the host's byte order; out: one that is not this range's
 *
 * Return: false when it is not.
 */
bool switch_skip_range(const struct net_switch *net, u32 *address)
{
	const struct switch_range *range;

	rcu_read_lock();
	range = switch_find_range(net, *address);
	if (range)
		*address = range->last + 1;
	rcu_read_unlock();
	return range;
}

static void drop_all(struct list_head *skbs)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, skbs, list) {
		skb_list_del_init(skb);
		kfree_skb(skb);
	}
}

static void receive(struct net_device *dev, struct list_head *skbs)
{
	struct sk_buff *skb;

	list_for_each_entry(skb, skbs, list) {
		skb->dev = dev;
		dev_sw_netstats_rx_add(dev, skb->len);
	}
	local_bh_disable();
	netif_receive_skb_list(skbs);
	local_bh_enable();
}

/**
 * switch_receive - give the host packets that a guest has sent
 * @net: the guest's switch
 * @skbs: judged, and linked by skb->list; they are dropped if the device is down or deleted
 *
 * Context: task, interrupts on. The host's protocols run here, in the sender's time.
 */
void switch_receive(struct net_switch *net, struct list_head *skbs)
{
	struct net_device *dev;

	rcu_read_lock();
	dev = switch_device(net);
	if (dev)
		receive(dev, skbs);
	else
		drop_all(skbs);
	rcu_read_unlock();
}

/**
 * switch_count_lost - a packet did not get to a guest
 * @net: the switch
 * @dev: its device
 * @why: the reason
 */
void switch_count_lost(struct net_switch *net, struct net_device *dev, enum switch_drop why)
{
	atomic_long_inc(&net->drops[why]);
	DEV_STATS_INC(dev, tx_dropped);
}

/**
 * switch_count_passed - a guest has sent another one something
 * @net: their switch
 * @dev: its device
 * @length: bytes
 * @why: it did not arrive; or SWITCH_DROPS
 *
 * Context: bottom halves off.
 */
void switch_count_passed(struct net_switch *net, struct net_device *dev, unsigned int length,
			 enum switch_drop why)
{
	dev_sw_netstats_rx_add(dev, length);
	if (why == SWITCH_DROPS)
		dev_sw_netstats_tx_add(dev, 1, length);
	else
		switch_count_lost(net, dev, why);
}

/**
 * switch_count_dropped - a guest has sent something that is not passed on
 * @net: its switch
 * @why: the reason
 */
void switch_count_dropped(struct net_switch *net, enum switch_drop why)
{
	struct net_device *dev;

	atomic_long_inc(&net->drops[why]);
	rcu_read_lock();
	dev = rcu_dereference(net->dev);
	if (dev)
		DEV_STATS_INC(dev, rx_errors);
	rcu_read_unlock();
}
