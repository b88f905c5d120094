// SPDX-License-Identifier: GPL-2.0-only
/*
 * nic.c - a guest's network devices: their rings, and the packets in its memory.
 *
 * Only the VM's claimant comes here, while the guest is out of guest mode. It copies
 * packets out of guest memory before it judges them, and into it from the port's queue. How
 * much it does at a time is bounded; where nothing is left to do it has cost a look at two
 * indices.
 */
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <net/ipv6.h>

#include "debug/mutation.h"
#include "guest/nic.h"
#include "guest/verdict.h"
#include "mem/memory.h"
#include "net/frame.h"
#include "net/pass.h"
#include "net/port.h"
#include "net/rate.h"
#include "net/ring.h"
#include "net/switch.h"
#include "vm/vm.h"

/* Of what one look at a guest sends, and gives it, by all of its networks. */
#define BATCH_PACKETS	32
#define BATCH_BYTES	(256 * 1024)
/* So much of a packet is in one piece, which its headers must be. */
#define LINEAR_BYTES	1024
#define HEADER		sizeof(struct mayfly_net_header)

static_assert(LINEAR_BYTES >= FRAME_HEAD);
static_assert(sizeof(struct mayfly_net_header) == sizeof(struct virtio_net_hdr_v1));
static_assert(offsetof(struct mayfly_net_header, num_buffers) ==
	      offsetof(struct virtio_net_hdr_v1, num_buffers));
static_assert(sizeof(struct mayfly_ring_desc) == sizeof(struct vring_desc));
static_assert(offsetof(struct mayfly_ring_avail, ring) == offsetof(struct vring_avail, ring));
static_assert(offsetof(struct mayfly_ring_used, ring) == offsetof(struct vring_used, ring));

/* --- what it sends ----------------------------------------------------------------- */

/* Where a chain is being read. */
struct reader {
	struct vm_memory *memory;
	const struct ring_chain *chain;
	unsigned int buffer;	/* the one that is being read */
	u32 offset;		/* in it */
	u64 gpa;		/* of what was looked up last */
	struct page *page;	/* that it is in, or NULL */
};

static void look_up(struct reader *from, u64 gpa)
{
	if (!from->page || (gpa ^ from->gpa) >> PAGE_SHIFT)
		from->page = memory_find_readable(from->memory, gpa);
	from->gpa = gpa;
}

/* The next @length bytes, which there are. Returns 0, or -EFAULT where the guest may not read. */
static int read_bytes(struct reader *from, void *to, u32 length)
{
	while (length) {
		const struct ring_buffer *buffer = &from->chain->buffers[from->buffer];
		u64 gpa = buffer->gpa + from->offset;
		u32 n = min3(length, buffer->length - from->offset,
			     (u32)(PAGE_SIZE - offset_in_page(gpa)));

		look_up(from, gpa);
		if (!from->page)
			return -EFAULT;
		pages_read(from->page, offset_in_page(gpa), to, n);
		to += n;
		length -= n;
		from->offset += n;
		if (from->offset == buffer->length) {
			from->buffer++;
			from->offset = 0;
		}
	}
	return 0;
}

static int read_packet(struct reader *from, struct sk_buff *skb)
{
	int ret = read_bytes(from, skb->data, skb_headlen(skb));
	unsigned int i;

	for (i = 0; !ret && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		ret = read_bytes(from, skb_frag_address(frag), skb_frag_size(frag));
	}
	return ret;
}

/* An empty one of that length, or NULL. */
static struct sk_buff *make_skb(u32 length)
{
	u32 linear = min_t(u32, length, LINEAR_BYTES);
	struct sk_buff *skb;
	int ret;

	skb = alloc_skb_with_frags(linear, length - linear, PAGE_ALLOC_COSTLY_ORDER, &ret,
				   MEMORY_ATOMIC);
	if (!skb)
		return NULL;
	skb_put(skb, linear);
	skb->data_len = length - linear;
	skb->len += length - linear;
	return skb;
}

static bool is_from(const struct sk_buff *skb, const struct port *port)
{
	if (port->router || mutation_is(MUTATION_SENDER))
		return true;
	if (skb->protocol == htons(ETH_P_IP))
		return ip_hdr(skb)->saddr == port->ip4;
	return port_has_ip6(port, &ipv6_hdr(skb)->saddr);
}

/* Where route_localnet is set, as for published ports, the host would take it. */
static bool is_for_loopback(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP) && ipv4_is_loopback(ip_hdr(skb)->daddr);
}

/*
 * Only what frame_judge() has let pass is told to the host's stack, and no false sender.
 * Returns SWITCH_DROPS, or why it must not be passed on.
 */
static enum switch_drop dress(struct sk_buff *skb, const struct mayfly_net_header *header,
			      const struct port *port)
{
	struct frame frame;

	if (!frame_judge(&frame, header, skb->data, skb->len, port->subnet.mtu))
		return SWITCH_DROP_FRAME;
	skb->protocol = htons(frame.version == 4 ? ETH_P_IP : ETH_P_IPV6);
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, frame.transport);
	if (!is_from(skb, port))
		return SWITCH_DROP_SENDER;
	if (is_for_loopback(skb))
		return SWITCH_DROP_FRAME;
	return virtio_net_hdr_to_skb(skb, (const struct virtio_net_hdr *)header, true) ?
		       SWITCH_DROP_FRAME : SWITCH_DROPS;
}

/*
 * A packet, or NULL: then it is not passed on. Returns 0; -EFAULT with @gpa for a buffer that
 * the guest could not read itself.
 */
static int take_packet(struct vm_memory *memory, const struct ring_chain *chain,
		       const struct port *port, struct sk_buff **taken, u64 *gpa)
{
	struct reader from = { .memory = memory, .chain = chain };
	enum switch_drop why = SWITCH_DROP_MEMORY;
	struct mayfly_net_header header;
	struct sk_buff *skb;
	int ret = 0;

	skb = make_skb(chain->bytes - HEADER);
	if (skb) {
		ret = read_bytes(&from, &header, HEADER) ?: read_packet(&from, skb);
		if (!ret)
			why = dress(skb, &header, port);
	}
	if (!ret && why == SWITCH_DROPS) {
		*taken = skb;
		return 0;
	}
	*gpa = from.gpa;
	kfree_skb(skb);
	if (!ret)
		switch_count_dropped(port->net, why);
	return ret;
}

/* Before anything is done for it that takes as long as it is. */
static bool has_size_of_packet(const struct ring_chain *chain)
{
	return chain->buffers[0].length >= HEADER && chain->bytes >= HEADER + FRAME_MIN &&
	       chain->bytes <= HEADER + FRAME_MAX;
}

/* For each of a VM's networks. */
static u32 share_of(const struct vm *vm, u32 batch)
{
	return batch / vm->memory.rings;
}

static u64 time_until_send(const struct port *port)
{
	return likely(!port->rate) ? 0 : rate_wait(port->sent, ktime_get_ns(), RATE_BURST);
}

static void count_sent(struct port *port, u32 bytes)
{
	if (unlikely(port->rate))
		rate_take(&port->sent, ktime_get_ns(), bytes, port->rate);
}

/* Returns 0; -EFAULT with @gpa for a buffer that the guest could not read itself. */
static int send_all(struct vm *vm, struct port *port, struct mayfly_net_page *page, u64 *gpa,
		    u64 *again)
{
	struct ring ring = ring_tx(page);
	unsigned int done = 0;
	struct ring_chain chain;
	LIST_HEAD(batch);
	u64 later = 0;
	u32 bytes = 0;
	int ret = 1;

	while (done < share_of(vm, BATCH_PACKETS) && bytes < share_of(vm, BATCH_BYTES)) {
		struct sk_buff *skb = NULL;

		ret = ring_look(&ring, done, &chain);
		if (ret <= 0)
			break;
		later = time_until_send(port);
		if (unlikely(later))
			break;
		if (has_size_of_packet(&chain)) {
			ret = take_packet(&vm->memory, &chain, port, &skb, gpa);
			if (ret)
				break;
			bytes += chain.bytes;
			count_sent(port, chain.bytes);
			ret = 1;
		} else {
			switch_count_dropped(port->net, SWITCH_DROP_FRAME);
		}
		if (skb)
			list_add_tail(&skb->list, &batch);
		ring_finish(&ring, done++, chain.head, 0);
	}
	ring_publish(&ring, done);
	if (!list_empty(&batch))
		pass_on(port, &batch);
	if (ret == -EPROTO)
		port_shut(port);
	if (ret > 0)
		*again = min(*again, later);
	return ret == -EFAULT ? ret : 0;
}

/* --- what it receives -------------------------------------------------------------- */

/* A packet, with the header in front of it. */
struct packet {
	struct mayfly_net_header header;
	const struct sk_buff *skb;
	u32 length;		/* of both */
	void *begin;		/* where its header is, if that is in one page */
};

static void copy_packet(const struct packet *packet, u32 at, void *to, u32 length)
{
	if (at < HEADER) {
		u32 n = min_t(u32, length, HEADER - at);

		memcpy(to, (const u8 *)&packet->header + at, n);
		at += n;
		to += n;
		length -= n;
	}
	if (length)
		skb_copy_bits(packet->skb, at - HEADER, to, length);
}

/* Writes what is at @at of the packet to @gpa. Returns 0, or as memory_touch(), with @gpa. */
static int write_bytes(struct vm_memory *memory, struct packet *packet, u32 at, u64 *gpa,
		       u32 length)
{
	while (length) {
		u32 n = min_t(u32, length, PAGE_SIZE - offset_in_page(*gpa));
		void *to;
		int ret = memory_touch(memory, *gpa, &to);

		if (ret)
			return ret;
		if (!at && n >= HEADER)
			packet->begin = to;
		copy_packet(packet, at, to, n);
		*gpa += n;
		at += n;
		length -= n;
	}
	return 0;
}

/* How much of the packet a chain takes, from @at on; or as write_bytes(), with @gpa. */
static int fill_chain(struct vm_memory *memory, const struct ring_chain *chain,
		      struct packet *packet, u32 at, u64 *gpa)
{
	u32 begin = at;
	unsigned int i;

	for (i = 0; i < chain->count && at < packet->length; i++) {
		u32 n = min(chain->buffers[i].length, packet->length - at);
		int ret;

		*gpa = chain->buffers[i].gpa;
		ret = write_bytes(memory, packet, at, gpa, n);
		if (ret)
			return ret;
		at += n;
	}
	return at - begin;
}

/*
 * Entries of the ring that the packet has taken, 0 when there are not enough; or as
 * write_bytes(), -EPROTO.
 */
static int fill_ring(struct vm_memory *memory, const struct ring *ring, unsigned int ahead,
		     struct packet *packet, u64 *gpa)
{
	unsigned int taken = 0;
	struct ring_chain chain;
	u64 first = 0;
	u32 at = 0;
	int ret;

	while (at < packet->length) {
		ret = ring_look(ring, ahead + taken, &chain);
		if (ret <= 0)
			return ret;
		if (!taken)
			first = chain.buffers[0].gpa;
		if (!taken && chain.buffers[0].length < HEADER)
			return -EPROTO;
		ret = fill_chain(memory, &chain, packet, at, gpa);
		if (ret < 0)
			return ret;
		ring_finish(ring, ahead + taken++, chain.head, ret);
		at += ret;
	}
	packet->header.num_buffers = taken;
	if (packet->begin) {
		memcpy(packet->begin, &packet->header, HEADER);
		return taken;
	}
	*gpa = first;
	ret = write_bytes(memory, packet, 0, gpa, HEADER);
	return ret ?: taken;
}

/* Returns false for what no guest can be told. */
static bool undress(struct packet *packet, const struct sk_buff *skb)
{
	*packet = (struct packet){ .skb = skb, .length = HEADER + skb->len };
	return !virtio_net_hdr_from_skb(skb, (struct virtio_net_hdr *)&packet->header, true,
					true, 0);
}

/* Returns 0, or as write_bytes(), with @gpa. */
static int receive_all(struct vm *vm, struct port *port, struct mayfly_net_page *page, u64 *gpa)
{
	struct ring ring = ring_rx(page);
	unsigned int done = 0, received = 0;
	struct packet packet;
	struct sk_buff *skb;
	int ret = 0;

	for (; received < share_of(vm, BATCH_PACKETS) && (skb = port_first(port)); port_drop_first(port)) {
		if (!undress(&packet, skb))
			continue;
		ret = fill_ring(&vm->memory, &ring, done, &packet, gpa);
		if (ret <= 0)
			break;
		done += ret;
		received++;
	}
	ring_publish(&ring, done);
	/* Whatever happens now, the guest will look. */
	if (received)
		atomic64_or(BIT_ULL(port->event), &vm->pending);
	if (ret == -EPROTO)
		port_shut(port);
	return ret < 0 && ret != -EPROTO ? ret : 0;
}

/* --- both -------------------------------------------------------------------------- */

/* NULL where there is nothing to do, or no memory. Returns 0, or as memory_touch_rings(). */
static int find_page(struct vm *vm, const struct port *port, struct mayfly_net_page **page)
{
	void *address = NULL;
	int ret = 0;

	if (!port->shut)
		ret = memory_touch_rings(&vm->memory, port->rings, &address);
	*page = address;
	return ret;
}

/* Both ways; without @again only what has come. */
static int serve(struct vm *vm, struct port *port, u64 *gpa, u64 *again)
{
	struct mayfly_net_page *page;
	int ret;

	*gpa = port->rings;
	ret = find_page(vm, port, &page);
	if (!page)
		return ret;
	if (again)
		ret = send_all(vm, port, page, gpa, again);
	if (!ret && !port->shut)
		ret = receive_all(vm, port, page, gpa);
	WRITE_ONCE(page->link, !port->shut);
	WRITE_ONCE(port->open, READ_ONCE(page->open));
	return ret;
}

static enum verdict serve_all(struct vm *vm, u64 *again)
{
	struct port *port;
	int ret = 0;
	u64 gpa;

	for (port = vm->ports; port && !ret; port = port->next)
		ret = serve(vm, port, &gpa, again);
	if (ret)
		vm->fault = (struct vm_fault_info){ .gpa = gpa, .write = true };
	return judge_fault(vm, ret, 0);
}

/**
 * nic_serve - send what a guest has for its networks, and give it what has come
 * @vm: claimed, warm, out of guest mode
 * @again: out: after so many nanoseconds there is more to send; 0: it must come again before
 *	it waits; or MAYFLY_FOREVER
 *
 * What it has got is an event.
 *
 * Context: preemption may be off, interrupts are on.
 * Return: VERDICT_ENTER; VERDICT_FAULT when there is no memory for what has come, VERDICT_END.
 */
enum verdict nic_serve(struct vm *vm, u64 *again)
{
	*again = MAYFLY_FOREVER;
	return serve_all(vm, again);
}

/**
 * nic_receive - give a guest that has waited what has come
 * @vm: claimed, warm, out of guest mode
 *
 * Context: preemption may be off, interrupts are on.
 * Return: as nic_serve().
 */
enum verdict nic_receive(struct vm *vm)
{
	return serve_all(vm, NULL);
}
