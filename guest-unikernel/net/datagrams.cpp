// SPDX-License-Identifier: BSD-2-Clause
//
// UDP. What waits is a chain of lwIP's packets, one behind the other; in front of each one's
// bytes, where its headers were, is who has sent it.

#include "lwip/udp.h"
#include "stack.hpp"

#include <algorithm>
#include <mayfly/net.hpp>
#include <new>
#include <string.h>

using mayfly::net::datagrams;
using mayfly::net::endpoint;

namespace
{

constexpr unsigned waiting_most = 64;

udp_pcb *pcb_of(void *pointer)
{
	return static_cast<udp_pcb *>(pointer);
}

static_assert(sizeof(endpoint) <= IP_HLEN + UDP_HLEN);

endpoint &sender_of(pbuf *packet)
{
	return *reinterpret_cast<endpoint *>(static_cast<char *>(packet->payload) - sizeof(endpoint));
}

// Its last part, of which the next packet hangs.
pbuf *end_of(pbuf *packet)
{
	auto left = packet->tot_len;

	while (left > packet->len) {
		left = static_cast<u16_t>(left - packet->len);
		packet = packet->next;
	}
	return packet;
}

}

struct datagrams::callbacks {
	static void received(void *argument, udp_pcb *, pbuf *packet, const ip_addr_t *address, u16_t port)
	{
		auto &to = *static_cast<datagrams *>(argument);

		if (to.waiting_ == waiting_most) {
			pbuf_free(packet);
			return;
		}
		sender_of(packet) = endpoint_of(*address, port);
		if (to.last_ != nullptr)
			end_of(static_cast<pbuf *>(to.last_))->next = packet;
		else
			to.first_ = packet;
		to.last_ = packet;
		++to.waiting_;
		to.become_ready();
	}
};

std::unique_ptr<datagrams> datagrams::bind(std::uint16_t port, peers from)
{
	start_network();
	auto *pcb = udp_new_ip_type(lwip_type(from));
	if (pcb == nullptr)
		return nullptr;
	if (udp_bind(pcb, from == peers::ip4 ? IP4_ADDR_ANY : IP_ANY_TYPE, port) != ERR_OK) {
		udp_remove(pcb);
		return nullptr;
	}
	std::unique_ptr<datagrams> made(new datagrams);
	made->pcb_ = pcb;
	udp_recv(pcb, callbacks::received, made.get());
	return made;
}

datagrams::~datagrams()
{
	endpoint from;

	while (first_ != nullptr)
		receive({}, from);
	udp_remove(pcb_of(pcb_));
}

std::ptrdiff_t datagrams::receive(std::span<std::byte> bytes, endpoint &from)
{
	auto *packet = static_cast<pbuf *>(first_);
	if (packet == nullptr)
		return -EAGAIN;

	auto *end = end_of(packet);
	first_ = end->next;
	end->next = nullptr;
	if (first_ == nullptr)
		last_ = nullptr;
	--waiting_;

	from = sender_of(packet);
	const auto n = std::min<std::size_t>(bytes.size(), packet->tot_len);
	pbuf_copy_partial(packet, bytes.data(), static_cast<u16_t>(n), 0);
	pbuf_free(packet);
	return static_cast<std::ptrdiff_t>(n);
}

int datagrams::send(std::span<const std::byte> bytes, endpoint to)
{
	constexpr std::size_t longest = 0xffff - IP_HLEN - UDP_HLEN;

	if (bytes.size() > longest)
		return -EMSGSIZE;
	auto *packet = pbuf_alloc(PBUF_TRANSPORT, static_cast<u16_t>(bytes.size()), PBUF_RAM);
	if (packet == nullptr)
		return -ENOMEM;
	memcpy(packet->payload, bytes.data(), bytes.size());
	const auto address = lwip_address(to.address);
	const auto error = udp_sendto(pcb_of(pcb_), packet, &address, to.port);
	pbuf_free(packet);
	return errno_of(error);
}

endpoint datagrams::own() const
{
	return {.address = own_address(), .port = pcb_of(pcb_)->local_port};
}
