/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mayfly_demand.h - VMs that are made when a packet comes for them.
 *
 * SPAWN with an attachment of type MAYFLY_ATTACH_DEMAND makes no VM. It registers a range of
 * addresses of a network, and what VMs there are made of: the call's image, memory, arguments
 * and place. From then on a packet for one of these addresses makes its VM, waits for it, and is
 * delivered: there is no daemon. The registration goes with the network's device, or by
 * DEMAND_REMOVE; whoever has registered it owns the VMs, is charged for them, and his limits
 * and his cgroup's hold for them. It keeps the image.
 *
 * A VM so made is removed when it ends, or when its last descriptor is closed after that.
 *
 * mayfly.h comes before this.
 */
#ifndef MAYFLY_DEMAND_H
#define MAYFLY_DEMAND_H

#define MAYFLY_ATTACH_DEMAND		2	/* struct mayfly_attach_demand; one, and one network */

#define MAYFLY_DEMAND_SERVICES		16
#define MAYFLY_DEMAND_RATE_MAX		1000	/* births a second; a user's ranges together have as many */
#define MAYFLY_DEMAND_IDLE_MAX		86400000000000ull	/* a day */

/**
 * struct mayfly_service - a port that VMs are made for
 * @port: number
 * @protocol: 6 for TCP, 17 for UDP
 * @unused: zero
 */
struct mayfly_service {
	__u16 port;
	__u8 protocol;
	__u8 unused;
};

/**
 * struct mayfly_attach_demand - payload of MAYFLY_ATTACH_DEMAND
 * @first: the lowest IPv4 address, in network order; with its IPv6 address, if the network has
 *	such
 * @last: the highest. SPAWN with "any address" takes none of these
 * @idle: nanoseconds, at most MAYFLY_DEMAND_IDLE_MAX: a VM that waits, and for whose network
 *	nothing has come or gone for so long, is ended; for ten times as long while its guest
 *	says that connections are open. 0: never
 * @rate: VMs made a second, 1 to MAYFLY_DEMAND_RATE_MAX, with bursts of 256
 * @max: VMs at once, at least 1
 * @nr_services: of @services; 0: any packet of TCP or UDP makes a VM, but a reset, and a ping
 * @flags: zero
 * @services: no others than these make VMs
 *
 * With it in the call: MAYFLY_SPAWN_START and _DETACHED and no other flag, @count 1, no @name,
 * no @ids, and one network, without an address.
 *
 * While a VM is made, up to 8 packets and 64 KiB wait for it. A packet from outside whose VM
 * may not be made, for @rate or @max or the number of its owner's VMs, is answered by ICMP, as
 * where there is no VM, and counted (to_vm_not_made); its address is left alone for a second.
 * So is one whose VM could not be made, or ends while packets wait: then the next packet is answered.
 */
struct mayfly_attach_demand {
	__u32 first;
	__u32 last;
	__u64 idle;
	__u32 rate;
	__u32 max;
	__u32 nr_services;
	__u32 flags;
	struct mayfly_service services[MAYFLY_DEMAND_SERVICES];
};

/**
 * struct mayfly_demand_info - a registration: a row of DEMAND_LIST
 * @id: unique for the life of the module, from 1
 * @image_id: of what the VMs are made from
 * @memory: bytes of guest memory of each
 * @born: VMs made so far
 * @refused: packets whose VM was not made so far
 * @ifindex: of the network's device, in the caller's network namespace; else 0
 * @uid: owner, as the caller's user namespace sees it
 * @vms: that there are, or are being made
 * @unused: zero
 * @range: as it was registered
 * @image: the image's label, NUL-terminated
 */
struct mayfly_demand_info {
	__u64 id;
	__u64 image_id;
	__u64 memory;
	__u64 born;
	__u64 refused;
	__u32 ifindex;
	__u32 uid;
	__u32 vms;
	__u32 unused;
	struct mayfly_attach_demand range;
	char image[MAYFLY_NAME_SIZE];
};

/**
 * struct mayfly_demand_remove - argument of MAYFLY_DEMAND_REMOVE
 * @id: the registration
 * @flags: zero
 * @reserved: zero
 *
 * No VM is made any more. Those that there are live on, and end when they are idle.
 */
struct mayfly_demand_remove {
	__u64 id;
	__u64 flags;
	__u64 reserved[2];
};

MAYFLY_SIZE(struct mayfly_service, 4);
MAYFLY_SIZE(struct mayfly_attach_demand, 96);
MAYFLY_SIZE(struct mayfly_demand_info, 216);
MAYFLY_SIZE(struct mayfly_demand_remove, 32);

/*
 * The calls, on the device. Besides the errors every call shares:
 *
 * SPAWN          with MAYFLY_ATTACH_DEMAND: 0. -EINVAL also for a range, a rate, a time or a
 *                service that cannot be, or addresses that are not of the network's subnet;
 *                -EEXIST a range of the network has some of the addresses; -ENOSPC it has
 *                16 ranges.
 * DEMAND_LIST    as LIST.
 * DEMAND_REMOVE  0. -EINVAL; -ENOENT no such registration; -EPERM someone else's.
 */
#define MAYFLY_DEMAND_LIST	_IOWR(MAYFLY_IOC, 0x12, struct mayfly_list)
#define MAYFLY_DEMAND_REMOVE	_IOW(MAYFLY_IOC, 0x13, struct mayfly_demand_remove)

#endif /* MAYFLY_DEMAND_H */
