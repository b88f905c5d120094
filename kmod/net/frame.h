/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * frame.h - is a guest's packet one that the host's network may see?
 *
 * Pure logic on copied bytes, tested without a kernel.
 */
#ifndef MAYFLY_FRAME_H
#define MAYFLY_FRAME_H

#include <linux/types.h>

#include "uapi/mayfly_net.h"

#define FRAME_MIN	20	/* IPv4's header */
#define FRAME_MAX	65535
/* Of its first bytes, those that are judged: the longest headers of IP and TCP. */
#define FRAME_HEAD	120
/* The 536 bytes that TCP expects to get through (RFC 9293 3.7.1) less its longest options. */
#define FRAME_SEGMENT_MIN 496

/**
 * struct frame - a packet whose shape is right
 * @version: 4 or 6
 * @protocol: of IP's payload, if it is whole and that is known: IPPROTO_TCP, IPPROTO_UDP; 0
 * @transport: where that begins
 */
struct frame {
	u8 version;
	u8 protocol;
	u16 transport;
};

bool frame_judge(struct frame *frame, const struct mayfly_net_header *header,
		 const u8 *bytes, u32 length, u16 mtu);

#endif
