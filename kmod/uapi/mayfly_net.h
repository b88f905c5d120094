/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mayfly_net.h - a guest's network device.
 *
 * A device of type MAYFLY_DEVICE_NET on the device page carries IP packets, without any
 * link layer. Its queue page has two split virtqueues (virtio 1.2, 2.7) in fixed places, and
 * each packet begins with a header as virtio's network device has it (5.1.6). There is no
 * negotiation: VIRTIO_F_VERSION_1, and of the network device CSUM, GUEST_CSUM, HOST_TSO4 and 6,
 * GUEST_TSO4 and 6, and MRG_RXBUF, are the contract; indirect descriptors, packed rings and
 * event indices are not.
 */
#ifndef MAYFLY_NET_H
#define MAYFLY_NET_H

#include <linux/types.h>

#define MAYFLY_DEVICE_NET	1	/* struct mayfly_device, type */

#define MAYFLY_RING_SIZE	64	/* entries of each ring */
#define MAYFLY_RING_CHAIN	18	/* descriptors of a packet at most */

/**
 * struct mayfly_ring_desc - a buffer in guest memory, of virtio 2.7.5
 * @gpa: of its first byte
 * @length: in bytes, not 0
 * @flags: MAYFLY_DESC_*
 * @next: index of the next one of the packet, with MAYFLY_DESC_NEXT
 */
struct mayfly_ring_desc {
	__u64 gpa;
	__u32 length;
	__u16 flags;
	__u16 next;
};

#define MAYFLY_DESC_NEXT	1
#define MAYFLY_DESC_WRITE	2	/* Mayfly writes into it: in the receive ring all, else none */

/**
 * struct mayfly_ring_avail - what the guest has for Mayfly, of virtio 2.7.6
 * @flags: not used
 * @idx: goes up by one with each entry
 * @ring: indices of packets' first descriptors, @idx modulo their number
 * @unused: not used
 */
struct mayfly_ring_avail {
	__u16 flags;
	__u16 idx;
	__u16 ring[MAYFLY_RING_SIZE];
	__u16 unused;
};

/**
 * struct mayfly_ring_done - a packet that Mayfly has done with
 * @id: index of its first descriptor
 * @length: bytes that Mayfly has written
 */
struct mayfly_ring_done {
	__u32 id;
	__u32 length;
};

/**
 * struct mayfly_ring_used - what Mayfly has done with, of virtio 2.7.8
 * @flags: not used
 * @idx: goes up by one with each entry
 * @ring: in the order of the other ring
 * @unused: not used
 *
 * How far Mayfly has come in the other ring is @idx, and kept nowhere else.
 */
struct mayfly_ring_used {
	__u16 flags;
	__u16 idx;
	struct mayfly_ring_done ring[MAYFLY_RING_SIZE];
	__u16 unused;
};

/**
 * struct mayfly_net_page - the queue page of a network device, in guest memory
 * @tx_desc: buffers of the packets that the guest sends
 * @rx_desc: buffers for the packets that it receives
 * @tx_avail: what it sends
 * @reserved1: zero, as all of these
 * @rx_avail: where it receives
 * @reserved2: zero
 * @tx_used: what has been sent
 * @reserved3: zero
 * @rx_used: what has been received
 * @reserved4: zero
 * @open: connections that are open: the guest's own word
 * @link: 1 while the device can carry packets. It is 0 after a mistake in a ring, too
 * @reserved5: zero
 */
struct mayfly_net_page {
	struct mayfly_ring_desc tx_desc[MAYFLY_RING_SIZE];
	struct mayfly_ring_desc rx_desc[MAYFLY_RING_SIZE];
	struct mayfly_ring_avail tx_avail;
	__u8 reserved1[58];
	struct mayfly_ring_avail rx_avail;
	__u8 reserved2[58];
	struct mayfly_ring_used tx_used;
	__u8 reserved3[56];
	struct mayfly_ring_used rx_used;
	__u8 reserved4[56];
	__u32 open;
	__u32 link;
	__u8 reserved5[504];
};

/**
 * struct mayfly_net_header - what is in front of each packet, of virtio 5.1.6
 * @flags: MAYFLY_NET_*
 * @gso_type: MAYFLY_GSO_*
 * @hdr_len: a hint, not used
 * @gso_size: bytes of payload in each segment, with a @gso_type; in those sent at least 496
 * @csum_start: where the sum that is wanted begins, from the packet's first byte
 * @csum_offset: where it is put, from there
 * @num_buffers: entries of the receive ring that the packet takes; 0 in those sent
 *
 * A packet sent has its header whole in its first buffer.
 */
struct mayfly_net_header {
	__u8 flags;
	__u8 gso_type;
	__u16 hdr_len;
	__u16 gso_size;
	__u16 csum_start;
	__u16 csum_offset;
	__u16 num_buffers;
};

#define MAYFLY_NET_NEEDS_CSUM	1	/* the transport's checksum is only its pseudo-header's */
#define MAYFLY_NET_DATA_VALID	2	/* received: the checksums are right */

#define MAYFLY_GSO_NONE		0
#define MAYFLY_GSO_TCPV4	1
#define MAYFLY_GSO_TCPV6	4

/**
 * struct mayfly_net_config - struct mayfly_device, config: the guest's addresses
 * @mac: zero
 * @mtu: bytes of a packet at most, unless it is to be segmented
 * @ip4: its IPv4 address, in network order as all of these; 0: none
 * @gw4: the host's
 * @dns4: of the name server
 * @prefix4: bits of the subnet's number
 * @prefix6: likewise
 * @flags: zero
 * @ip6: its IPv6 address; all zero: none. There is no neighbour to ask for: what is not for the
 *	guest itself goes to the device
 */
struct mayfly_net_config {
	__u8 mac[6];
	__u16 mtu;
	__u32 ip4;
	__u32 gw4;
	__u32 dns4;
	__u8 prefix4;
	__u8 prefix6;
	__u16 flags;
	__u8 ip6[16];
};

#ifdef __cplusplus
static_assert(sizeof(struct mayfly_net_page) == 4096, "layout is ABI");
static_assert(sizeof(struct mayfly_net_header) == 12, "layout is ABI");
static_assert(sizeof(struct mayfly_net_config) == 40, "layout is ABI");
#else
_Static_assert(sizeof(struct mayfly_net_page) == 4096, "layout is ABI");
_Static_assert(sizeof(struct mayfly_net_header) == 12, "layout is ABI");
_Static_assert(sizeof(struct mayfly_net_config) == 40, "layout is ABI");
#endif

#endif /* MAYFLY_NET_H */
