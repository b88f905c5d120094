// SPDX-License-Identifier: GPL-2.0-only
/*
 * frame.c - is a guest's packet one that the host's network may see?
 *
 * The host's stack judges packets from outside again. But some of its parts trust what the
 * header in front of a packet says, because a driver has written it: offsets, sizes of
 * segments, and that lengths agree. So all of that is judged here.
 */
#include <linux/in.h>

#include "net/frame.h"

#define IP4_FRAGMENT	0x3fff	/* more fragments, or an offset. RFC 791 3.1 */
#define IP6_HEADER	40
#define TCP_HEADER	20
#define UDP_HEADER	8
#define TCP_SUM		16
#define UDP_SUM		6

static u16 read_u16(const u8 *bytes)
{
	return bytes[0] << 8 | bytes[1];
}

static bool is_transport(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static bool judge_ip4(struct frame *frame, const u8 *bytes, u32 length)
{
	frame->transport = (bytes[0] & 0xf) * 4;
	if (frame->transport < FRAME_MIN || frame->transport > length ||
	    read_u16(bytes + 2) != length)
		return false;
	if (!(read_u16(bytes + 6) & IP4_FRAGMENT) && is_transport(bytes[9]))
		frame->protocol = bytes[9];
	return true;
}

/* Behind extension headers nothing is segmented or summed up for a guest. */
static bool judge_ip6(struct frame *frame, const u8 *bytes, u32 length)
{
	frame->transport = IP6_HEADER;
	if (length < IP6_HEADER || read_u16(bytes + 4) != length - IP6_HEADER)
		return false;
	if (is_transport(bytes[6]))
		frame->protocol = bytes[6];
	return true;
}

static bool judge_ip(struct frame *frame, const u8 *bytes, u32 length)
{
	frame->version = bytes[0] >> 4;
	return (frame->version == 4 && judge_ip4(frame, bytes, length)) ||
	       (frame->version == 6 && judge_ip6(frame, bytes, length));
}

/* Only where TCP or UDP has its own, and there is room for all of their header. */
static bool judge_sum(const struct frame *frame, const struct mayfly_net_header *header,
		      u32 length)
{
	bool tcp = frame->protocol == IPPROTO_TCP;

	if (!(header->flags & MAYFLY_NET_NEEDS_CSUM))
		return true;
	return frame->protocol && header->csum_start == frame->transport &&
	       header->csum_offset == (tcp ? TCP_SUM : UDP_SUM) &&
	       length - frame->transport >= (tcp ? TCP_HEADER : UDP_HEADER);
}

static bool judge_segments(const struct frame *frame, const struct mayfly_net_header *header,
			   const u8 *bytes, u32 length, u16 mtu)
{
	u8 version = header->gso_type == MAYFLY_GSO_TCPV4 ? 4 : 6;
	u32 size;

	if (header->gso_type != MAYFLY_GSO_TCPV4 && header->gso_type != MAYFLY_GSO_TCPV6)
		return false;
	if (frame->version != version || frame->protocol != IPPROTO_TCP ||
	    !(header->flags & MAYFLY_NET_NEEDS_CSUM) || header->gso_size < FRAME_SEGMENT_MIN)
		return false;
	size = (bytes[frame->transport + 12] >> 4) * 4;
	return size >= TCP_HEADER && frame->transport + size < length &&
	       frame->transport + size + header->gso_size <= mtu;
}

/**
 * frame_judge - judge a packet
 * @frame: to fill
 * @header: what was in front of it, copied from the guest
 * @bytes: its first bytes, copied from the guest: all of them, or FRAME_HEAD
 * @length: of the packet
 * @mtu: of the guest's device
 *
 * Return: false for a packet that is not to be passed on. Addresses are not judged.
 */
bool frame_judge(struct frame *frame, const struct mayfly_net_header *header,
		 const u8 *bytes, u32 length, u16 mtu)
{
	*frame = (struct frame){ 0 };
	if (length < FRAME_MIN || length > FRAME_MAX ||
	    header->flags & ~MAYFLY_NET_NEEDS_CSUM || !judge_ip(frame, bytes, length) ||
	    !judge_sum(frame, header, length))
		return false;
	if (header->gso_type == MAYFLY_GSO_NONE)
		return length <= mtu;
	return judge_segments(frame, header, bytes, length, mtu);
}
