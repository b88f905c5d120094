// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "lwip/err.h"
#include "lwip/ip_addr.h"

#include <mayfly/net.hpp>

/// lwIP with the VM's network, from the first call on. It costs nothing before.
void start_network();

/// What the application wanted to send, and acknowledgements, of one connection.
struct flushable {
	flushable *next_flush = nullptr;
	bool wants_flush = false;

	virtual void flush() = 0;

protected:
	~flushable() = default;
};

/// Has @p f flushed before the VM sleeps.
void flush_later(flushable &f);

/// Has poll() come back: a function of the application's may have changed what it waits for.
void application_was_called();

/// The negative errno of lwIP's @p error.
int errno_of(err_t error);

/// Between our form of addresses and lwIP's.
ip_addr_t lwip_address(const mayfly::net::address &address);
mayfly::net::endpoint endpoint_of(const ip_addr_t &address, std::uint16_t port);

/// What lwIP calls those that may be a port's peers.
inline std::uint8_t lwip_type(mayfly::net::peers from)
{
	return from == mayfly::net::peers::ip4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_ANY;
}
