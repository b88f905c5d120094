// SPDX-License-Identifier: BSD-2-Clause
//
// lwIP, its interface to the VM's network, and the loop that everything happens in: what came
// is taken in; the application looks at it; what it answers, and acknowledgements of what it
// did not answer, leave together when it asks for more.

#include "stack.hpp"

#include "driver.hpp"
#include "lwip/init.h"
#include "lwip/ip4.h"
#include "lwip/priv/tcp_priv.h"
#include "ready_list.hpp"
#include "ticks.hpp"

#include <algorithm>
#include <mayfly/clock.hpp>
#include <mayfly/net.hpp>
#include <mayfly/ready.hpp>
#include <mayfly_net.h>
#include <stdlib.h>
#include <utility>

namespace
{

constexpr std::uint16_t mtu_most = TCP_MSS + 40; // two headers without options
constexpr std::uint64_t burst_end = 20'000'000;  // ns without a packet
constexpr std::size_t idle_bytes_most = 32 * 1024;

struct {
	bool is_up;
	bool is_renumbered; // why connections end
	driver *device;
	netif interface;
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

err_t output(netif *, pbuf *packet, const ip4_addr_t *)
{
	return the_stack.device->send(packet);
}

err_t set_up(netif *interface)
{
	interface->name[0] = 'm';
	interface->name[1] = 'f';
	interface->output = output;
	return ERR_OK;
}

// The interface's address; connections of another one that it had are reset.
void set_address(const mayfly_net_config &config)
{
	const ip4_addr_t address = {config.ip4};
	const ip4_addr_t gateway = {config.gw4};
	const ip4_addr_t mask = {lwip_htonl(static_cast<std::uint32_t>(0xffffffff00000000 >> config.prefix4))};

	the_stack.interface.mtu = std::min(config.mtu, mtu_most);
	the_stack.is_renumbered = true;
	netif_set_addr(&the_stack.interface, &address, &mask, &gateway);
	the_stack.is_renumbered = false;
}

void attach(const volatile mayfly_device &device)
{
	the_stack.device = driver::create(device);
	if (the_stack.device == nullptr)
		return;
	netif_add_noaddr(&the_stack.interface, nullptr, set_up, ip4_input);
	set_address(config_of(device));
	netif_set_default(&the_stack.interface);
	netif_set_link_up(&the_stack.interface);
	netif_set_up(&the_stack.interface);
}

// This VM goes on from another one: it has another address, or no network.
void become_another()
{
	const auto *device = find_network();

	if (the_stack.device == nullptr) {
		if (device != nullptr)
			attach(*device);
	} else {
		the_stack.device->begin_again(device != nullptr);
		set_address(device != nullptr ? config_of(*device) : mayfly_net_config{});
	}
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
	if (the_stack.device != nullptr) {
		the_stack.device->reclaim();
		the_stack.device->receive(the_stack.interface);
	}
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
	if (the_stack.device != nullptr)
		mayfly::notify(the_stack.device->port());
}

bool has_burst_behind()
{
	return the_stack.device != nullptr && the_stack.device->idle_bytes() > idle_bytes_most;
}

}

void start_network()
{
	if (the_stack.is_up)
		return;
	the_stack.is_up = true;
	lwip_init();
	advance_ticks(mayfly::now_ns());
	if (const auto *device = find_network())
		attach(*device);
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

bool mayfly::net::is_there()
{
	return find_network() != nullptr;
}

std::uint32_t mayfly::net::own_address()
{
	const auto *device = find_network();

	return device != nullptr ? lwip_ntohl(config_of(*device).ip4) : 0;
}

std::uint32_t mayfly::net::name_server()
{
	const auto *device = find_network();

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
		if (burst_is_behind)
			until = std::min(until, now_ns() + burst_end);
		auto came = wait_until(is_due ? 0 : until);

		const auto now = now_ns();
		advance_ticks(now);
		receive_all();
		if (burst_is_behind && came.ports == 0)
			the_stack.device->give_back();
		if (the_stack.device != nullptr)
			came.ports &= ~(1UL << the_stack.device->port());
		if (came || is_due || some_are_ready() || now >= deadline)
			return came;
	}
}
