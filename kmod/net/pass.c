// SPDX-License-Identifier: GPL-2.0-only
/*
 * pass.c - packets from one guest to another, and to the host.
 */
#include <linux/err.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "net/pass.h"
#include "net/port.h"
#include "net/range.h"
#include "net/switch.h"
#include "uapi/mayfly.h"

/* What captures packets on the device sees this one too. */
static void show(struct net_device *dev, struct sk_buff *skb)
{
	if (!dev_nit_active(dev))
		return;
	skb->dev = dev;
	dev_queue_xmit_nit(skb, dev);
	skb->dev = NULL;
}

/* Nobody makes a VM where he may not reach it. The host's stack answers to what is for none. */
static struct port *find_peer(struct net_switch *net, const struct sk_buff *skb)
{
	struct port *port = net->policy == MAYFLY_POLICY_DIRECT ? range_find_port(net, skb) :
								  port_find(net, skb);

	return IS_ERR(port) ? NULL : port;
}

/* Returns SWITCH_DROPS, or why it was dropped. */
static enum switch_drop pass(const struct net_switch *net, struct port *to, struct sk_buff *skb)
{
	enum switch_drop why = SWITCH_DROP_POLICY;

	if (net->policy == MAYFLY_POLICY_DIRECT)
		why = range_deliver(to, skb);
	if (why != SWITCH_DROPS)
		kfree_skb(skb);
	return why;
}

/* Those for VMs of the same network do not come to the host's stack. Bottom halves are off. */
static void deliver_inside(struct net_switch *net, struct net_device *dev,
			   struct list_head *skbs)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, skbs, list) {
		struct port *to = find_peer(net, skb);
		unsigned int length = skb->len;

		if (!to)
			continue;
		skb_list_del_init(skb);
		show(dev, skb);
		switch_count_passed(net, dev, length, pass(net, to, skb));
	}
}

/**
 * pass_on - pass on what a guest has sent
 * @port: the claimant's
 * @skbs: judged packets, linked by skb->list; they are dropped if the device is down
 *	or deleted
 *
 * Context: task, interrupts on. The host's protocols run here, in the sender's time.
 */
void pass_on(struct port *port, struct list_head *skbs)
{
	struct net_switch *net = port->net;
	struct net_device *dev;

	WRITE_ONCE(port->active, jiffies);
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
