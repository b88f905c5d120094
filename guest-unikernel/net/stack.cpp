// SPDX-License-Identifier: BSD-2-Clause
//
// lwIP, its interfaces to the VM's networks, and the loop that everything happens in: what came
// is taken in; the application looks at it; what it answers, and acknowledgements of what it
// did not answer, leave together when it asks for more.

#include "stack.hpp"

#include "driver.hpp"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/ip6_addr.h"
#include "lwip/priv/tcp_priv.h"
#include "ready_list.hpp"
#include "ticks.hpp"

#include <algorithm>
#include <array>
#include <mayfly/clock.hpp>
#include <mayfly/net.hpp>
#include <mayfly/ready.hpp>
#include <mayfly_net.h>
#include <stdlib.h>
#include <string.h>
#include <utility>

namespace
{

constexpr std::uint16_t mtu_most = TCP_MSS + 40; // two headers without options
constexpr std::uint64_t burst_end = 20'000'000;  // ns without a packet
constexpr std::size_t idle_bytes_most = 32 * 1024;

// A network: its device, and what lwIP has for it.
struct network {
	driver *device = nullptr;
	netif interface = {};
};

struct {
	bool is_up;
	bool is_renumbered;               // why connections end
	network *networks[most_networks]; // in the order of the devices, without gaps
	mayfly::generation_hook next_hook;
	flushable *flushables;
	bool has_called; // a function of the application's
} the_stack;

mayfly_net_config config_of(const volatile mayfly_device &device)
{
	mayfly_net_config config;

	std::ranges::copy(device.config, reinterpret_cast<std::uint8_t *>(&config));
	return config;
}

err_t output(netif *interface, pbuf *packet, const ip4_addr_t *)
{
	return static_cast<network *>(interface->state)->device->send(packet);
}

err_t output_ip6(netif *interface, pbuf *packet, const ip6_addr_t *)
{
	return static_cast<network *>(interface->state)->device->send(packet);
}

err_t set_up(netif *interface)
{
	interface->name[0] = 'm';
	interface->name[1] = 'f';
	interface->output = output;
	interface->output_ip6 = output_ip6;
	return ERR_OK;
}

void set_ip6(netif &interface, const mayfly_net_config &config)
{
	const auto told = mayfly::net::address(std::to_array(config.ip6));
	const auto address = lwip_address(told);

	if (config.prefix6 == 0) {
		netif_ip6_addr_set_state(&interface, 0, IP6_ADDR_INVALID);
		return;
	}
	netif_ip6_addr_set(&interface, 0, ip_2_ip6(&address));
	netif_ip6_addr_set_state(&interface, 0, IP6_ADDR_PREFERRED);
}

void reset_connections(const ip_addr_t *address)
{
	tcp_netif_ip_addr_changed(address, address);
}

// The interface's addresses. Connections of those that it had are reset, even if they are the same:
// whom this VM goes on from may have said more in them since.
void set_addresses(netif &interface, const mayfly_net_config &config)
{
	const ip4_addr_t address = {config.ip4};
	const ip4_addr_t gateway = {config.gw4};
	const ip4_addr_t mask = {lwip_htonl(static_cast<std::uint32_t>(0xffffffff00000000 >> config.prefix4))};

	interface.mtu = std::min(config.mtu, mtu_most);
	the_stack.is_renumbered = true;
	reset_connections(netif_ip_addr4(&interface));
	reset_connections(netif_ip_addr6(&interface, 0));
	netif_set_addr(&interface, &address, &mask, &gateway);
	set_ip6(interface, config);
	the_stack.is_renumbered = false;
}

network *attach(const volatile mayfly_device &device)
{
	auto *made = new network;

	made->device = driver::create(device);
	if (made->device == nullptr) {
		delete made;
		return nullptr;
	}
	netif_add_noaddr(&made->interface, made, set_up, ip_input);
	set_addresses(made->interface, config_of(device));
	netif_set_link_up(&made->interface);
	netif_set_up(&made->interface);
	return made;
}

// For each network that there is.
void for_each_network(auto visit)
{
	for (auto *there : the_stack.networks)
		if (there != nullptr)
			visit(*there);
}

void attach_new()
{
	for (unsigned i = 0; i < most_networks; ++i) {
		const auto *device = find_network(i);

		if (device != nullptr && the_stack.networks[i] == nullptr)
			the_stack.networks[i] = attach(*device);
	}
	if (the_stack.networks[0] != nullptr)
		netif_set_default(&the_stack.networks[0]->interface);
}

// This VM goes on from another one: it has other addresses, or networks.
void become_another()
{
	for (unsigned i = 0; i < most_networks; ++i) {
		const auto *device = find_network(i);
		auto *there = the_stack.networks[i];

		if (there == nullptr)
			continue;
		there->device->begin_again(device != nullptr);
		set_addresses(there->interface, device != nullptr ? config_of(*device) : mayfly_net_config{});
	}
	attach_new();
	if (the_stack.next_hook != nullptr)
		the_stack.next_hook();
}

void flush_all()
{
	while (the_stack.flushables != nullptr) {
		auto &f = *the_stack.flushables;
		the_stack.flushables = f.next_flush;
		f.wants_flush = false;
		f.flush();
	}
}

// Packets to 127.0.0.1, and to ourselves, may make others.
void receive_all()
{
	for_each_network([](network &there) {
		there.device->reclaim();
		there.device->receive(there.interface);
	});
	netif_poll_all();
}

// What was written leaves, and peers are told that nothing more comes. Nobody is here any
// more to send it again if it is lost.
void say_good_bye()
{
	flush_all();
	for (auto *pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next)
		if (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT)
			tcp_shutdown(pcb, 0, 1);
	for_each_network([](const network &there) { mayfly::notify(there.device->port()); });
}

void tell_open_connections()
{
	std::uint32_t count = 0;

	for (const auto *pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next)
		++count;
	for_each_network([=](const network &there) { there.device->tell_open(count); });
}

bool has_burst_behind()
{
	std::size_t idle = 0;

	for_each_network([&](const network &there) { idle += there.device->idle_bytes(); });
	return idle > idle_bytes_most;
}

void give_back_buffers()
{
	for_each_network([](const network &there) { there.device->give_back(); });
}

// Events that say that packets have come.
std::uint64_t ports_of_networks()
{
	std::uint64_t ports = 0;

	for_each_network([&](const network &there) { ports |= 1UL << there.device->port(); });
	return ports;
}

}

void start_network()
{
	if (the_stack.is_up)
		return;
	the_stack.is_up = true;
	lwip_init();
	advance_ticks(mayfly::now_ns());
	attach_new();
	the_stack.next_hook = mayfly::set_generation_hook(become_another);
	atexit(say_good_bye);
}

void flush_later(flushable &f)
{
	if (f.wants_flush)
		return;
	f.wants_flush = true;
	f.next_flush = the_stack.flushables;
	the_stack.flushables = &f;
}

void application_was_called()
{
	the_stack.has_called = true;
}

int errno_of(err_t error)
{
	switch (error) {
	case ERR_OK:
		return 0;
	case ERR_MEM:
	case ERR_BUF:
		return -ENOMEM;
	case ERR_TIMEOUT:
		return -ETIMEDOUT;
	case ERR_RTE:
	case ERR_IF:
		return -ENETUNREACH;
	case ERR_USE:
		return -EADDRINUSE;
	case ERR_RST:
		return -ECONNRESET;
	case ERR_ABRT:
		return the_stack.is_renumbered ? -ECONNRESET : -ETIMEDOUT;
	case ERR_CLSD:
	case ERR_CONN:
		return -ENOTCONN;
	default:
		return -EINVAL;
	}
}

ip_addr_t lwip_address(const mayfly::net::address &address)
{
	ip_addr_t made = IPADDR4_INIT(lwip_htonl(address.ip4()));

	if (address.is_ip4())
		return made;
	IP_SET_TYPE_VAL(made, IPADDR_TYPE_V6);
	memcpy(made.u_addr.ip6.addr, address.bytes().data(), address.bytes().size());
	return made;
}

mayfly::net::endpoint endpoint_of(const ip_addr_t &address, std::uint16_t port)
{
	std::array<std::uint8_t, 16> bytes;

	if (IP_IS_V4_VAL(address))
		return {.address = lwip_ntohl(address.u_addr.ip4.addr), .port = port};
	memcpy(bytes.data(), address.u_addr.ip6.addr, bytes.size());
	return {.address = mayfly::net::address(bytes), .port = port};
}

namespace
{

// VMs of one network differ in the last 32 bits.
bool has_prefix_of(const ip6_addr_t &one, const ip6_addr_t &other)
{
	return std::equal(one.addr, one.addr + 3, other.addr);
}

}

extern "C" {

netif *net_route_ip4(const ip4_addr_t *source, const ip4_addr_t *)
{
	if (source == nullptr || ip4_addr_isany_val(*source))
		return nullptr;
	for (auto *there : the_stack.networks)
		if (there != nullptr && ip4_addr_cmp(source, netif_ip4_addr(&there->interface)))
			return &there->interface;
	return nullptr;
}

// lwIP would compare 64 bits, of which the first networks may have more in common.
netif *net_route_ip6(const ip6_addr_t *source, const ip6_addr_t *to)
{
	const bool is_bound = source != nullptr && !ip6_addr_isany_val(*source);
	netif *first = nullptr;

	for (auto *there : the_stack.networks) {
		if (there == nullptr || !ip6_addr_isvalid(netif_ip6_addr_state(&there->interface, 0)))
			continue;
		const auto *own = netif_ip6_addr(&there->interface, 0);
		if (is_bound ? ip6_addr_cmp(source, own) : has_prefix_of(*to, *own))
			return &there->interface;
		if (first == nullptr)
			first = &there->interface;
	}
	return is_bound || ip6_addr_isloopback(to) ? nullptr : first;
}
}

bool mayfly::net::is_there()
{
	return find_network(0) != nullptr;
}

std::uint32_t mayfly::net::own_address(unsigned i)
{
	const auto *device = find_network(i);

	return device != nullptr ? lwip_ntohl(config_of(*device).ip4) : 0;
}

std::uint32_t mayfly::net::name_server()
{
	const auto *device = find_network(0);

	return device != nullptr ? lwip_ntohl(config_of(*device).dns4) : 0;
}

// One exit each time around: it sends, sleeps and receives.
mayfly::events mayfly::net::poll(std::uint64_t deadline)
{
	start_network();
	for (;;) {
		do {
			flush_all();
			netif_poll_all();
		} while (the_stack.flushables != nullptr);
		const bool is_due = some_are_ready() || std::exchange(the_stack.has_called, false);
		const bool burst_is_behind = has_burst_behind();
		auto until = std::min(deadline, next_tick());
		const auto end_of_burst = burst_is_behind ? now_ns() + burst_end : MAYFLY_FOREVER;
		until = std::min(until, end_of_burst);
		tell_open_connections();
		auto came = wait_until(is_due ? 0 : until);

		const auto now = now_ns();
		advance_ticks(now);
		receive_all();
		if (came.ports == 0 && now >= end_of_burst)
			give_back_buffers();
		came.ports &= ~ports_of_networks();
		if (came || is_due || some_are_ready() || now >= deadline)
			return came;
	}
}
