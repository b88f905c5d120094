/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * switch.h - which VM has which address behind a network device of the host's.
 */
#ifndef MAYFLY_SWITCH_H
#define MAYFLY_SWITCH_H

#include <linux/in6.h>
#include <linux/kref.h>
#include <linux/netdevice.h>
#include <linux/uidgid.h>
#include <linux/xarray.h>

/* Why packets went nowhere: as `ethtool -S` has it. */
enum switch_drop {
	SWITCH_DROP_FRAME,	/* sent by a guest, and malformed */
	SWITCH_DROP_SENDER,	/* sent by a guest, and by its source another's */
	SWITCH_DROP_MEMORY,	/* sent by a guest when the host had no memory */
	SWITCH_DROP_FULL,	/* for a guest that does not read, or has a shut device */
	SWITCH_DROP_NOBODY,	/* for an address that no VM has */
	SWITCH_DROP_RATE,	/* for a guest that receives more than its limit */
	SWITCH_DROP_POLICY,	/* from one guest to another, where the policy forbids it */
	SWITCH_DROP_BIRTH,	/* for an address that gets no VM, or none now */
	SWITCH_DROPS,
};

/* Of addresses that get their VMs when a packet comes. */
#define SWITCH_RANGES_MAX	16

/**
 * struct switch_range - addresses of a switch that get their VMs when a packet comes
 * @node: of its switch
 * @first: the lowest, in the host's byte order
 * @last: the highest
 */
struct switch_range {
	struct hlist_node node;
	u32 first;
	u32 last;
};

/*
 * Who protects a field:
 *   I  immutable
 *   R  RCU
 *   x  the lock of @ports, taken with bottom halves off
 *   g  @ranges_lock
 *   r  reference count
 */
struct net_switch {
	struct kref ref;		/* [r] the device, and ports */
	struct net_device __rcu *dev;	/* [R] NULL once it has been deleted */
	struct xarray ports;		/* [x, R] by IPv4 address, in the host's byte order */
	u32 next;			/* [x] where to look for a free address */
	spinlock_t ranges_lock;
	struct hlist_head ranges;	/* [g, R] of struct switch_range; none without @dev */
	kuid_t owner;			/* [I] may attach VMs, as the group may; or nobody */
	kgid_t group;			/* [I] */
	u32 policy;			/* [I] MAYFLY_POLICY_* */
	atomic_long_t drops[SWITCH_DROPS];
};

/**
 * struct net_subnet - the addresses behind a switch
 * @gateway: the host's, in network order
 * @mask: likewise
 * @ip6: the host's IPv6 address, or all zero
 * @prefix6: bits that it has in common with the VMs'
 * @mtu: bytes of a packet at most
 */
struct net_subnet {
	__be32 gateway;
	__be32 mask;
	struct in6_addr ip6;
	u8 prefix6;
	u16 mtu;
};

typedef void switch_range_fn(struct switch_range *range);

struct net_switch *switch_make(kuid_t owner, kgid_t group, u32 policy);
void switch_put(struct net_switch *net);
u32 switch_index(const struct net_switch *net);
int switch_read_subnet(const struct net_switch *net, struct net_subnet *subnet);
int switch_add_range(struct net_switch *net, struct switch_range *range);
void switch_remove_range(struct net_switch *net, struct switch_range *range);
void switch_close(struct net_switch *net, switch_range_fn *lost);
struct switch_range *switch_find_range(const struct net_switch *net, u32 address);
bool switch_skip_range(const struct net_switch *net, u32 *address);
void switch_receive(struct net_switch *net, struct list_head *skbs);
struct net_device *switch_device(const struct net_switch *net);
void switch_count_lost(struct net_switch *net, struct net_device *dev, enum switch_drop why);
void switch_count_passed(struct net_switch *net, struct net_device *dev, unsigned int length,
			 enum switch_drop why);
void switch_count_dropped(struct net_switch *net, enum switch_drop why);

#endif
