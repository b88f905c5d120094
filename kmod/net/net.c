// SPDX-License-Identifier: GPL-2.0-only
/*
 * net.c - a network device of the host's, behind which VMs have addresses.
 *
 * It carries IP packets without a link layer, as a tunnel does: `ip link add type mayfly`
 * makes one, the address that it is given says where the VMs are, and a packet is looked up
 * by where it goes to. So there is no ARP, no bridge, and nothing to configure for each VM.
 */
#include <linux/err.h>
#include <linux/ethtool.h>
#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/nsproxy.h>
#include <net/icmp.h>
#include <net/ip_tunnels.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "compat.h"
#include "net/frame.h"
#include "net/net.h"
#include "net/port.h"
#include "net/range.h"
#include "net/switch.h"
#include "uapi/mayfly.h"

/* As large as sixteen buffers of 4 KiB hold with their header. */
#define MTU_DEFAULT	65520
#define MTU_MIN		576
#define FEATURES	(NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HW_CSUM | NETIF_F_RXCSUM | \
			 NETIF_F_TSO | NETIF_F_TSO6)

static struct net_switch *switch_of(const struct net_device *dev)
{
	return *(struct net_switch **)netdev_priv(dev);
}

/* What depends on where it came from is nothing that the guest may see, or keep. */
static void strip(struct sk_buff *skb)
{
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	/* No socket waits for a guest that does not read. */
	skb_orphan(skb);
	skb->dev = NULL;
}

/* Broadcasts and multicasts of IPv4 find nobody by their address. */
static bool is_for_one(struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		return pskb_may_pull(skb, sizeof(struct iphdr));
	return skb->protocol == htons(ETH_P_IPV6) &&
	       pskb_may_pull(skb, sizeof(struct ipv6hdr)) &&
	       !ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
}

static void tell_unreachable(struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
	else
		icmpv6_ndo_send(skb, ICMPV6_DEST_UNREACH, ICMPV6_ADDR_UNREACH, 0);
}

/*
 * From one VM to another, by the host's routes or by a published port. The host forgets where
 * some of what it forwards has come from, and changes the sender of some.
 */
static bool is_forbidden(const struct sk_buff *skb, const struct net_device *dev)
{
	struct net_switch *net = switch_of(dev);

	return net->policy == MAYFLY_POLICY_ISOLATED &&
	       (skb->skb_iif == dev->ifindex || port_find_sender(net, skb));
}

/* Returns SWITCH_DROPS, or why it was dropped. */
static enum switch_drop pass_to_vm(struct sk_buff *skb, struct net_device *dev)
{
	struct net_switch *net = switch_of(dev);
	bool forbidden = is_forbidden(skb, dev);
	struct port *port = forbidden ? port_find(net, skb) : range_find_port(net, skb);

	if (IS_ERR_OR_NULL(port)) {
		tell_unreachable(skb);
		return port ? SWITCH_DROP_BIRTH : SWITCH_DROP_NOBODY;
	}
	if (forbidden)
		return SWITCH_DROP_POLICY;
	strip(skb);
	return range_deliver(port, skb);
}

/* Bottom halves are off, so under RCU. */
static netdev_tx_t net_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	unsigned int length = skb->len;
	enum switch_drop why;

	if (!is_for_one(skb) || skb_orphan_frags_rx(skb, GFP_ATOMIC))
		goto drop;
	why = pass_to_vm(skb, dev);
	if (why == SWITCH_DROPS) {
		dev_sw_netstats_tx_add(dev, 1, length);
	} else {
		kfree_skb(skb);
		switch_count_lost(switch_of(dev), dev, why);
	}
	return NETDEV_TX_OK;
drop:
	DEV_STATS_INC(dev, tx_dropped);
	kfree_skb(skb);
	return NETDEV_TX_OK;
}

static int net_init(struct net_device *dev)
{
	struct net_switch *net = switch_of(dev);

	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!dev->tstats)
		return -ENOMEM;
	rcu_assign_pointer(net->dev, dev);
	return 0;
}

/* No packet is on its way to a guest any more, and none will come from one. */
static void net_uninit(struct net_device *dev)
{
	range_close_all(switch_of(dev));
}

static const struct net_device_ops device_ops = {
	.ndo_init = net_init,
	.ndo_uninit = net_uninit,
	.ndo_start_xmit = net_start_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
};

static const char drop_names[SWITCH_DROPS][ETH_GSTRING_LEN] = {
	[SWITCH_DROP_FRAME] = "from_vm_malformed",
	[SWITCH_DROP_SENDER] = "from_vm_false_sender",
	[SWITCH_DROP_MEMORY] = "from_vm_no_memory",
	[SWITCH_DROP_FULL] = "to_vm_queue_full",
	[SWITCH_DROP_NOBODY] = "to_vm_no_such_address",
	[SWITCH_DROP_RATE] = "to_vm_over_rate",
	[SWITCH_DROP_POLICY] = "from_vm_to_vm_forbidden",
	[SWITCH_DROP_BIRTH] = "to_vm_not_made",
};

static int count_statistics(struct net_device *dev, int set)
{
	return set == ETH_SS_STATS ? SWITCH_DROPS : -EOPNOTSUPP;
}

static void name_statistics(struct net_device *dev, u32 set, u8 *names)
{
	memcpy(names, drop_names, sizeof(drop_names));
}

static void read_statistics(struct net_device *dev, struct ethtool_stats *stats, u64 *values)
{
	int i;

	for (i = 0; i < SWITCH_DROPS; i++)
		values[i] = atomic_long_read(&switch_of(dev)->drops[i]);
}

static const struct ethtool_ops ethtool_ops = {
	.get_sset_count = count_statistics,
	.get_strings = name_statistics,
	.get_ethtool_stats = read_statistics,
	.get_link = ethtool_op_get_link,
};

static void destroy(struct net_device *dev)
{
	free_percpu(dev->tstats);
	switch_put(switch_of(dev));
}

static void set_up(struct net_device *dev)
{
	dev->netdev_ops = &device_ops;
	dev->ethtool_ops = &ethtool_ops;
	dev->header_ops = &ip_tunnel_header_ops;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_POINTOPOINT | IFF_NOARP;
	dev->priv_flags |= IFF_NO_QUEUE | IFF_DISABLE_NETPOLL;
	dev->mtu = MTU_DEFAULT;
	dev->min_mtu = MTU_MIN;
	dev->max_mtu = FRAME_MAX;
	dev->features = dev->hw_features = FEATURES;
	compat_no_tx_lock(dev);
	netif_keep_dst(dev);
	netif_set_tso_max_size(dev, FRAME_MAX);
	dev->needs_free_netdev = true;
}

static const struct nla_policy policy[MAYFLY_LINK_MAX + 1] = {
	[MAYFLY_LINK_OWNER] = { .type = NLA_U32 },
	[MAYFLY_LINK_GROUP] = { .type = NLA_U32 },
	[MAYFLY_LINK_POLICY] = NLA_POLICY_MAX(NLA_U32, MAYFLY_POLICY_ISOLATED),
};

static kuid_t owner_of(struct nlattr **data)
{
	if (!data || !data[MAYFLY_LINK_OWNER])
		return INVALID_UID;
	return make_kuid(current_user_ns(), nla_get_u32(data[MAYFLY_LINK_OWNER]));
}

static kgid_t group_of(struct nlattr **data)
{
	if (!data || !data[MAYFLY_LINK_GROUP])
		return INVALID_GID;
	return make_kgid(current_user_ns(), nla_get_u32(data[MAYFLY_LINK_GROUP]));
}

static u32 policy_of(struct nlattr **data)
{
	if (!data || !data[MAYFLY_LINK_POLICY])
		return MAYFLY_POLICY_DIRECT;
	return nla_get_u32(data[MAYFLY_LINK_POLICY]);
}

static int register_link(struct net_device *dev, struct nlattr **data)
{
	struct net_switch *net = switch_make(owner_of(data), group_of(data), policy_of(data));
	int ret;

	if (!net)
		return -ENOMEM;
	*(struct net_switch **)netdev_priv(dev) = net;
	ret = register_netdevice(dev);
	if (ret) {
		destroy(dev);
		return ret;
	}
	/* Or else a registration that fails would call it, but not always. */
	dev->priv_destructor = destroy;
	return 0;
}

#ifdef HAS_NEWLINK_PARAMS
static int new_link(struct net_device *dev, struct rtnl_newlink_params *params,
		    struct netlink_ext_ack *extack)
{
	return register_link(dev, params->data);
}
#else
static int new_link(struct net *net, struct net_device *dev, struct nlattr *tb[],
		    struct nlattr *data[], struct netlink_ext_ack *extack)
{
	return register_link(dev, data);
}
#endif

static size_t get_size(const struct net_device *dev)
{
	return 3 * nla_total_size(sizeof(u32));
}

static int fill_info(struct sk_buff *skb, const struct net_device *dev)
{
	const struct net_switch *net = switch_of(dev);
	struct user_namespace *user = current_user_ns();

	if ((uid_valid(net->owner) &&
	     nla_put_u32(skb, MAYFLY_LINK_OWNER, from_kuid_munged(user, net->owner))) ||
	    (gid_valid(net->group) &&
	     nla_put_u32(skb, MAYFLY_LINK_GROUP, from_kgid_munged(user, net->group))) ||
	    nla_put_u32(skb, MAYFLY_LINK_POLICY, net->policy))
		return -EMSGSIZE;
	return 0;
}

static struct rtnl_link_ops link_ops __read_mostly = {
	.kind = "mayfly",
	.priv_size = sizeof(struct net_switch *),
	.setup = set_up,
	.newlink = new_link,
	.get_size = get_size,
	.fill_info = fill_info,
	.policy = policy,
	.maxtype = MAYFLY_LINK_MAX,
};

static bool may_configure(const struct net_device *dev)
{
	return ns_capable(dev_net(dev)->user_ns, CAP_NET_ADMIN);
}

static bool may_attach(const struct net_switch *net, const struct net_device *dev)
{
	return uid_eq(net->owner, current_euid()) ||
	       (gid_valid(net->group) && in_egroup_p(net->group)) || may_configure(dev);
}

/* Under RCU. */
static struct net_switch *get_switch(const struct net_device *dev, bool router)
{
	struct net_switch *net;

	if (!dev || dev->rtnl_link_ops != &link_ops)
		return ERR_PTR(-ENODEV);
	net = switch_of(dev);
	if (router ? !may_configure(dev) : !may_attach(net, dev))
		return ERR_PTR(-EPERM);
	return kref_get_unless_zero(&net->ref) ? net : ERR_PTR(-ENODEV);
}

/**
 * net_get_by_index - find a switch in the caller's network namespace
 * @ifindex: of its device
 * @router: for a VM that may send with any source
 *
 * Return: the switch with a reference, or ERR_PTR: -ENODEV, or -EPERM when the caller may
 * not attach such VMs to it.
 */
struct net_switch *net_get_by_index(u32 ifindex, bool router)
{
	struct net_switch *net;

	rcu_read_lock();
	net = get_switch(dev_get_by_index_rcu(current->nsproxy->net_ns, ifindex), router);
	rcu_read_unlock();
	return net;
}

/**
 * net_setup - at load
 *
 * Return: 0 or -errno.
 */
int net_setup(void)
{
	return rtnl_link_register(&link_ops);
}

/**
 * net_teardown - at unload: all switches are deleted
 */
void net_teardown(void)
{
	rtnl_link_unregister(&link_ops);
}
