// SPDX-License-Identifier: BSD-2-Clause
//
// The rings of network devices (mayfly_net.h). The host looks at them while this VM waits or
// notifies, and only then: so nothing here is ordered, and after a notify() all that was
// queued has been sent, unless this VM's rate has a limit.
//
// A buffer for packets is longer than any packet, so each takes one. It is address space at
// first: the host makes the pages that a packet needs, when one comes.

#include "driver.hpp"

#include "lwip/pbuf.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/tcp.h"
#include "lwip/prot/udp.h"
#include "ticks.hpp"

#include <algorithm>
#include <mayfly/clock.hpp>
#include <mayfly/events.hpp>
#include <mayfly/memory.hpp>
#include <new>
#include <stdlib.h>
#include <string.h>
#include <utility>

namespace
{

constexpr std::size_t header_size = sizeof(mayfly_net_header);
constexpr std::size_t slot_size = 0x11000; // a packet of 65,535 bytes and its header, in whole pages
constexpr std::size_t smallest_packet = 20;
constexpr std::size_t share_of_memory = 4; // buffers are this part of it at most

static_assert(PBUF_LINK_ENCAPSULATION_HLEN == header_size);

std::uint16_t index_of(std::uint16_t entry)
{
	return entry % MAYFLY_RING_SIZE;
}

bool is_ip6(const void *packet)
{
	return *static_cast<const std::uint8_t *>(packet) >> 4 == 6;
}

// What a packet's transport is, and the sum of the addresses that its own sum covers.
struct transport {
	std::uint8_t protocol; // 0: a part of a packet
	std::uint16_t start;
	std::uint64_t addresses;
};

transport transport_of(const ip_hdr &ip)
{
	const bool is_part = (IPH_OFFSET(&ip) & PP_HTONS(IP_MF | IP_OFFMASK)) != 0;

	return {
		.protocol = is_part ? std::uint8_t{0} : IPH_PROTO(&ip),
		.start = IPH_HL_BYTES(&ip),
		.addresses = std::uint64_t{ip.src.addr} + ip.dest.addr,
	};
}

// lwIP sends no extension headers.
transport transport_of(const ip6_hdr &ip)
{
	transport found = {.protocol = IP6H_NEXTH(&ip), .start = IP6_HLEN, .addresses = 0};

	for (unsigned i = 0; i < 4; ++i)
		found.addresses += std::uint64_t{ip.src.addr[i]} + ip.dest.addr[i];
	return found;
}

// The sum of 16-bit words that the host goes on from. It is in network order, as they are.
std::uint16_t sum_of_pseudo_header(const transport &in, std::size_t length)
{
	auto sum = in.addresses + lwip_htons(in.protocol) + lwip_htons(static_cast<std::uint16_t>(length));

	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return static_cast<std::uint16_t>(sum);
}

// Leaves the sums of TCP and UDP to the host.
void ask_for_sum(mayfly_net_header &header, void *ip, std::size_t length)
{
	const auto in = is_ip6(ip) ? transport_of(*static_cast<const ip6_hdr *>(ip))
				   : transport_of(*static_cast<const ip_hdr *>(ip));
	auto *bytes = static_cast<char *>(ip) + in.start;
	const auto sum = sum_of_pseudo_header(in, length - in.start);

	if (in.protocol == IP_PROTO_TCP) {
		reinterpret_cast<tcp_hdr *>(bytes)->chksum = sum;
		header.csum_offset = offsetof(tcp_hdr, chksum);
	} else if (in.protocol == IP_PROTO_UDP) {
		reinterpret_cast<udp_hdr *>(bytes)->chksum = sum;
		header.csum_offset = offsetof(udp_hdr, chksum);
	} else {
		return;
	}
	header.flags = MAYFLY_NET_NEEDS_CSUM;
	header.csum_start = in.start;
}

constexpr auto checks = NETIF_CHECKSUM_GEN_IP | NETIF_CHECKSUM_GEN_ICMP | NETIF_CHECKSUM_CHECK_ICMP |
			NETIF_CHECKSUM_GEN_ICMP6 | NETIF_CHECKSUM_CHECK_ICMP6;

// Of packets with that header: those of this host are right, and what it has from elsewhere it
// has checked.
std::uint16_t checks_of(const mayfly_net_header &header)
{
	constexpr auto never_seen = NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP;
	const bool is_right = (header.flags & (MAYFLY_NET_NEEDS_CSUM | MAYFLY_NET_DATA_VALID)) != 0;

	return is_right ? checks : checks | never_seen;
}

// Whether lwIP shall see it. Pieces of packets without a byte are of no use, and end in chains
// with empty parts.
bool is_worth_it(const void *packet)
{
	const auto &ip = *static_cast<const ip_hdr *>(packet);

	if (is_ip6(packet) || (IPH_OFFSET(&ip) & PP_HTONS(IP_MF | IP_OFFMASK)) == 0)
		return true;
	expect_fragments(mayfly::now_ns());
	return lwip_ntohs(IPH_LEN(&ip)) > IPH_HL_BYTES(&ip);
}

}

// A buffer, and the pbuf that it is while lwIP has it.
struct driver::slot {
	pbuf_custom custom; // first, for release() to find the slot
	driver *owner;
	char *memory;
	std::uint16_t number; // its descriptor
	bool is_held;         // by lwIP
	std::size_t pages;    // of it that packets have made
};

const volatile mayfly_device *find_network(unsigned number)
{
	const auto &page = mayfly::device_page();
	const auto count = std::min(std::uint32_t{page.nr_devices}, std::uint32_t{MAYFLY_MAX_DEVICES});

	for (std::uint32_t i = 0; i < count; ++i)
		if (page.devices[i].type == MAYFLY_DEVICE_NET && number-- == 0)
			return &page.devices[i];
	return nullptr;
}

driver *driver::create(const volatile mayfly_device &device)
{
	auto *made = new driver;

	made->port_ = device.port;
	made->rings_ = reinterpret_cast<mayfly_net_page *>(mayfly::window + device.ring_gpa);
	if (made->add_slots(slots_at_first))
		return made;
	delete made;
	return nullptr;
}

// --- what is sent -----------------------------------------------------------------------

void driver::drop_sending()
{
	for (auto &packet : sending_)
		if (packet != nullptr)
			pbuf_free(std::exchange(packet, nullptr));
	free_descs_ = MAYFLY_RING_SIZE;
	next_desc_ = 0;
}

void driver::reclaim()
{
	if (!there_)
		return;
	for (const auto &used = rings().tx_used; sent_ != used.idx; ++sent_) {
		const auto head = rings().tx_avail.ring[index_of(sent_)];
		free_descs_ = static_cast<std::uint16_t>(free_descs_ + descs_of_[head]);
		pbuf_free(std::exchange(sending_[head], nullptr));
	}
}

bool driver::make_room(unsigned descriptors)
{
	if (free_descs_ >= descriptors)
		return true;
	// A device that is shut keeps what it has, and one that has sent enough for now.
	mayfly::notify(port_);
	reclaim();
	return free_descs_ >= descriptors;
}

err_t driver::send(pbuf *packet)
{
	const auto count = pbuf_clen(packet);

	// A descriptor without a byte would be a mistake.
	for (const auto *part = packet; part != nullptr; part = part->next)
		if (part->len == 0)
			return ERR_VAL;
	if (!there_)
		return ERR_IF;
	if (count > MAYFLY_RING_CHAIN) {
		auto *whole = pbuf_clone(PBUF_LINK, PBUF_RAM, packet);
		if (whole == nullptr)
			return ERR_MEM;
		const auto result = send(whole);
		pbuf_free(whole);
		return result;
	}
	if (!make_room(count))
		return rings().link != 0 ? ERR_MEM : ERR_IF;

	const auto length = packet->tot_len;
	auto *ip = packet->payload;
	if (pbuf_add_header(packet, header_size) != 0)
		return ERR_BUF;
	auto *header = new (packet->payload) mayfly_net_header{};
	ask_for_sum(*header, ip, length);

	auto &queues = rings();
	const auto head = next_desc_;
	for (const auto *part = packet; part != nullptr; part = part->next) {
		const auto next = index_of(static_cast<std::uint16_t>(next_desc_ + 1));
		queues.tx_desc[next_desc_] = {
			.gpa = mayfly::gpa_of(part->payload),
			.length = part->len,
			.flags = static_cast<std::uint16_t>(part->next != nullptr ? MAYFLY_DESC_NEXT : 0),
			.next = next,
		};
		next_desc_ = next;
	}
	pbuf_remove_header(packet, header_size);
	pbuf_ref(packet);
	sending_[head] = packet;
	descs_of_[head] = static_cast<std::uint8_t>(count);
	free_descs_ = static_cast<std::uint16_t>(free_descs_ - count);
	queues.tx_avail.ring[index_of(queues.tx_avail.idx)] = head;
	++queues.tx_avail.idx;
	return ERR_OK;
}

// --- what is received -------------------------------------------------------------------

bool driver::add_slots(unsigned count)
{
	const auto bytes = count * slot_size;

	if (slots_ + count > slots_at_most || (slots_ + count) * slot_size > mayfly::memory_bytes() / share_of_memory)
		return false;
	auto *memory = static_cast<char *>(aligned_alloc(page, bytes));
	if (memory == nullptr)
		return false;
	for (unsigned i = 0; i < count; ++i) {
		auto *s = new slot{};
		s->owner = this;
		s->memory = memory + i * slot_size;
		s->number = static_cast<std::uint16_t>(slots_);
		s->custom.custom_free_function = release;
		slot_[slots_++] = s;
		describe(*s);
		post(*s);
	}
	return true;
}

void driver::describe(const slot &s)
{
	rings().rx_desc[s.number] = {
		.gpa = mayfly::gpa_of(s.memory), .length = slot_size, .flags = MAYFLY_DESC_WRITE, .next = 0};
}

// After it, the host may write to the buffer in each exit that asks it to.
void driver::post(slot &s)
{
	auto &avail = rings().rx_avail;

	avail.ring[index_of(avail.idx)] = s.number;
	++avail.idx;
	++posted_;
	idle_pages_ += s.pages;
}

// lwIP is done with the packet in a buffer.
void driver::release(pbuf *packet)
{
	auto &s = *reinterpret_cast<slot *>(packet);

	s.is_held = false;
	if (s.owner->there_)
		s.owner->post(s);
}

pbuf *driver::copy_of(slot &s, std::uint16_t length)
{
	auto *copy = pbuf_alloc(PBUF_LINK, length, PBUF_RAM);

	if (copy != nullptr)
		memcpy(copy->payload, s.memory + header_size, length);
	post(s);
	return copy;
}

// Half of the buffers are never in the hands of applications that do not read: others, and
// acknowledgements, still come in.
void driver::hand_over(slot &s, std::uint32_t length, netif &interface)
{
	const auto &header = *reinterpret_cast<const mayfly_net_header *>(s.memory);
	auto *bytes = s.memory + header_size;
	const auto size = static_cast<std::uint16_t>(length - header_size);
	const bool is_scarce = 2 * posted_ < slots_;
	pbuf *packet;

	if (!is_worth_it(bytes))
		return post(s);
	NETIF_SET_CHECKSUM_CTRL(&interface, checks_of(header));
	if (is_scarce) {
		packet = copy_of(s, size);
	} else {
		packet = pbuf_alloced_custom(PBUF_RAW, size, PBUF_RAM, &s.custom, bytes, size);
		s.is_held = true;
	}
	if (packet != nullptr && interface.input(packet, &interface) != ERR_OK)
		pbuf_free(packet);
	NETIF_SET_CHECKSUM_CTRL(&interface, checks); // for what we send to ourselves
}

void driver::receive(netif &interface)
{
	if (!there_)
		return;
	const auto came = static_cast<std::uint16_t>(rings().rx_used.idx - received_);
	const bool all = came != 0 && came == posted_;

	for (std::uint16_t i = 0; i < came; ++i, ++received_) {
		const auto done = rings().rx_used.ring[index_of(received_)];
		auto &s = *slot_[done.id];
		--posted_;
		idle_pages_ -= s.pages;
		s.pages = std::max<std::size_t>(s.pages, (done.length + page - 1) / page);
		if (done.length < header_size + smallest_packet)
			post(s);
		else
			hand_over(s, done.length, interface);
	}
	if (all)
		add_slots(slots_);
}

// Only buffers that are free may go: they are those that nobody holds.
void driver::give_back()
{
	if (!there_)
		return;
	for (auto entry = received_; entry != rings().rx_avail.idx; ++entry) {
		auto &s = *slot_[rings().rx_avail.ring[index_of(entry)]];
		mayfly::discard(s.memory, s.pages);
		s.pages = 0;
	}
	idle_pages_ = 0;
}

// The rings may be a copy of the other VM's, or all zero. In either case the page has all that the
// host knows of them.
void driver::begin_again(bool there)
{
	there_ = there;
	drop_sending();
	sent_ = 0;
	received_ = 0;
	posted_ = 0;
	idle_pages_ = 0;
	if (!there_)
		return;
	memset(&rings(), 0, sizeof(mayfly_net_page));
	for (unsigned i = 0; i < slots_; ++i) {
		auto &s = *slot_[i];
		describe(s);
		if (!s.is_held)
			post(s);
	}
}
