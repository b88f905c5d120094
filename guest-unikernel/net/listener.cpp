// SPDX-License-Identifier: BSD-2-Clause
//
// Connections that come in, until the application accepts them.

#include "connection.hpp"

#include <new>

using mayfly::net::listener;
using mayfly::net::stream;

struct listener::callbacks {
	static err_t accepted(void *argument, tcp_pcb *pcb, err_t)
	{
		auto &where = *static_cast<listener *>(argument);

		if (pcb == nullptr) // lwIP had no memory for one
			return ERR_VAL;
		auto *c = new (std::nothrow) connection(pcb);
		if (c == nullptr)
			return ERR_MEM;
		c->connected = true;
		c->where = &where;
		tcp_backlog_delayed(pcb);
		(where.last_ != nullptr ? where.last_->next : where.first_) = c;
		where.last_ = c;
		where.become_ready();
		return ERR_OK;
	}
};

std::unique_ptr<listener> listener::listen(std::uint16_t port, std::uint8_t backlog, peers from)
{
	start_network();
	auto *pcb = tcp_new_ip_type(lwip_type(from));
	if (pcb == nullptr)
		return nullptr;
	std::unique_ptr<listener> made(new listener);
	auto *listening = tcp_bind(pcb, from == peers::ip4 ? IP4_ADDR_ANY : IP_ANY_TYPE, port) == ERR_OK
				  ? tcp_listen_with_backlog(pcb, backlog)
				  : nullptr;
	if (listening == nullptr) {
		tcp_close(pcb);
		return nullptr;
	}
	tcp_arg(listening, made.get());
	tcp_accept(listening, callbacks::accepted);
	made->pcb_ = listening;
	return made;
}

// One that has been lost since is accepted too: its stream says why.
std::unique_ptr<stream> listener::accept()
{
	auto *c = first_;

	if (c == nullptr)
		return nullptr;
	first_ = c->next;
	if (first_ == nullptr)
		last_ = nullptr;
	c->where = nullptr;
	if (c->pcb != nullptr)
		tcp_backlog_accepted(c->pcb);
	std::unique_ptr<stream> made(new stream(*c));
	made->become_ready();
	return made;
}

std::uint16_t listener::port() const
{
	return static_cast<const tcp_pcb *>(pcb_)->local_port;
}

listener::~listener()
{
	while (first_ != nullptr)
		accept();
	if (pcb_ != nullptr)
		tcp_close(static_cast<tcp_pcb *>(pcb_));
}
