/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * net.h - a network device of the host's, behind which VMs have addresses.
 */
#ifndef MAYFLY_NET_DEVICE_H
#define MAYFLY_NET_DEVICE_H

#include <linux/types.h>

struct net_switch;

struct net_switch *net_get_by_index(u32 ifindex, bool router);

int net_setup(void);
void net_teardown(void);

#endif
