/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * place.h - where on a network a VM shall be.
 */
#ifndef MAYFLY_PLACE_H
#define MAYFLY_PLACE_H

#include <linux/types.h>

struct net_switch;
struct port;

/**
 * struct port_place - where a VM shall be
 * @net: the switch
 * @ip4: its address there, in network order; 0: any that is free
 * @dns4: of the name server that it is told; 0: the host's address
 * @rate: bytes a second each way; 0: no limit
 * @router: it may send with any source
 * @reserved: a port of that address, which becomes the VM's and is NULL then; or NULL
 */
struct port_place {
	struct net_switch *net;
	__be32 ip4;
	__be32 dns4;
	u64 rate;
	bool router;
	struct port **reserved;
};

#endif
