// SPDX-License-Identifier: BSD-2-Clause
//
// TCP connections. lwIP's callbacks only note what has happened: the application is never
// called from inside lwIP.

#include "connection.hpp"
#include "lwip/priv/tcp_priv.h"

#include <algorithm>
#include <new>
#include <string.h>
#include <utility>

using mayfly::net::endpoint;
using mayfly::net::stream;
using connection = stream::connection;

namespace
{

constexpr std::size_t longest_write = 0xffff; // of tcp_write()

}

struct connection::reference {
	std::uint64_t end; // bytes of the stream
	done_function done;
	void *cookie;
	reference *next;
};

// --- what lwIP calls ----------------------------------------------------------------------

struct connection::callbacks {
	static connection &of(void *argument) { return *static_cast<connection *>(argument); }

	static void tell(connection &c)
	{
		if (c.user != nullptr)
			c.user->become_ready();
	}

	// lwIP has a PCB for longer than we: it must not call for what is no more.
	static void clear(tcp_pcb *pcb)
	{
		tcp_arg(pcb, nullptr);
		tcp_sent(pcb, nullptr);
		tcp_err(pcb, nullptr);
	}

	static err_t received(void *argument, tcp_pcb *, pbuf *packet, err_t)
	{
		auto &c = of(argument);

		flush_later(c);
		if (packet == nullptr) {
			c.ended = true;
			if (c.finished)
				c.let_go();
		} else {
			(c.last_ != nullptr ? c.last_->next : c.first_) = packet;
			while (packet->next != nullptr)
				packet = packet->next;
			c.last_ = packet;
			c.drop_empty();
		}
		tell(c);
		return ERR_OK;
	}

	static err_t sent(void *argument, tcp_pcb *pcb, u16_t bytes)
	{
		auto &c = of(argument);

		c.acknowledged_ += bytes;
		if (c.pcb == nullptr && c.is_told())
			clear(pcb);
		if (c.references_ != nullptr)
			flush_later(c);
		if (c.blocked && c.has_room()) {
			c.blocked = false;
			tell(c);
		}
		return ERR_OK;
	}

	static err_t connected(void *argument, tcp_pcb *pcb, err_t)
	{
		auto &c = of(argument);

		c.own = endpoint_of(pcb->local_ip, pcb->local_port);
		c.connected = true;
		if (c.finished)
			tcp_shutdown(pcb, 0, 1);
		tell(c);
		return ERR_OK;
	}

	// The PCB is gone.
	static void failed(void *argument, err_t why)
	{
		auto &c = of(argument);
		const bool was_refused = why == ERR_RST && !c.connected;

		c.pcb = nullptr;
		c.acknowledged_ = c.written_;
		if (why == ERR_CLSD)
			c.ended = true;
		else
			c.error = was_refused ? -ECONNREFUSED : errno_of(why);
		flush_later(c);
		tell(c);
	}
};

connection::connection(tcp_pcb *p)
	: pcb(p), own(endpoint_of(p->local_ip, p->local_port)), peer(endpoint_of(p->remote_ip, p->remote_port))
{
	tcp_arg(p, this);
	tcp_recv(p, callbacks::received);
	tcp_sent(p, callbacks::sent);
	tcp_err(p, callbacks::failed);
	tcp_nagle_disable(p); // what is written before a poll() leaves in one piece anyway
}

// --- how it ends --------------------------------------------------------------------------

// lwIP ends it alone. Of what is sent by reference it still tells.
void connection::let_go()
{
	tcp_recv(pcb, nullptr);
	if (is_told())
		callbacks::clear(pcb);
	pcb = nullptr;
}

void connection::drop_received()
{
	while (first_ != nullptr)
		consume(peek().size());
}

// What is unread is taken first: otherwise lwIP would reset the connection, and what was sent
// would be lost.
void connection::close()
{
	user = nullptr;
	drop_received();
	flush_later(*this);
	if (auto *closed = pcb; closed != nullptr) {
		let_go();
		tcp_close(closed);
	}
}

// The application may do anything when it is called, also close this stream.
void connection::call_done()
{
	while (references_ != nullptr && references_->end <= acknowledged_) {
		auto *r = references_;
		references_ = r->next;
		if (references_ == nullptr)
			last_reference_ = &references_;
		if (r->done != nullptr) {
			r->done(r->cookie);
			application_was_called();
		}
		delete r;
	}
}

void connection::flush()
{
	if (pcb != nullptr) {
		if ((pcb->flags & TF_ACK_DELAY) != 0) {
			tcp_clear_flags(pcb, TF_ACK_DELAY);
			tcp_ack_now(pcb);
		}
		tcp_output(pcb);
	}
	call_done();
	if (user == nullptr && where == nullptr && references_ == nullptr && !wants_flush) {
		drop_received();
		delete this;
	}
}

// --- sending ------------------------------------------------------------------------------

bool connection::has_room() const
{
	return pcb != nullptr && connected && !finished && pcb->snd_buf >= longest_write &&
	       tcp_sndqueuelen(pcb) < TCP_SND_QUEUELEN / 2;
}

// Returns 0, or why nothing can be sent.
int connection::refusal() const
{
	if (error != 0)
		return error;
	if (finished || pcb == nullptr)
		return -EPIPE;
	return connected ? 0 : -EAGAIN;
}

// No room now; it may be memory that is missing, and then no acknowledgement helps.
int connection::block()
{
	if (pcb->unacked == nullptr && pcb->unsent == nullptr)
		return -ENOMEM;
	blocked = true;
	return -EAGAIN;
}

std::ptrdiff_t connection::send(std::span<const std::byte> bytes)
{
	std::size_t done = 0;

	if (const auto why = refusal(); why != 0)
		return why;
	while (done != bytes.size()) {
		const auto n = std::min({bytes.size() - done, longest_write, std::size_t{pcb->snd_buf}});
		if (n == 0 || tcp_write(pcb, &bytes[done], static_cast<u16_t>(n), TCP_WRITE_FLAG_COPY) != ERR_OK)
			break;
		done += n;
	}
	written_ += done;
	flush_later(*this);
	const auto why = done != bytes.size() ? block() : 0;
	return done != 0 ? static_cast<std::ptrdiff_t>(done) : why;
}

int connection::send_reference(std::span<const std::byte> bytes, done_function done, void *cookie)
{
	if (const auto why = refusal(); why != 0)
		return why;
	if (bytes.size() > longest_write)
		return -EMSGSIZE;
	if (bytes.size() > pcb->snd_buf)
		return block();
	auto *r = new (std::nothrow) reference{written_ + bytes.size(), done, cookie, nullptr};
	if (r == nullptr)
		return -ENOMEM;
	if (tcp_write(pcb, bytes.data(), static_cast<u16_t>(bytes.size()), 0) != ERR_OK) {
		delete r;
		return block();
	}
	written_ += bytes.size();
	last_end_ = written_;
	*last_reference_ = r;
	last_reference_ = &r->next;
	flush_later(*this);
	return 0;
}

void connection::finish()
{
	if (finished || pcb == nullptr)
		return;
	finished = true;
	flush_later(*this);
	if (connected)
		tcp_shutdown(pcb, 0, 1);
	if (ended)
		let_go();
}

// --- receiving ----------------------------------------------------------------------------

std::span<const std::byte> connection::peek() const
{
	if (first_ == nullptr)
		return {};
	return std::span(static_cast<const std::byte *>(first_->payload), first_->len).subspan(consumed_);
}

// The chain is ours, whatever lwIP thinks that its parts' lengths are together.
void connection::consume(std::size_t size)
{
	const auto taken = static_cast<std::uint16_t>(std::min(size, peek().size()));

	consumed_ = static_cast<std::uint16_t>(consumed_ + taken);
	drop_empty();
	if (pcb != nullptr)
		tcp_recved(pcb, taken);
}

// What has been consumed, and parts of packets that came without a byte.
void connection::drop_empty()
{
	while (first_ != nullptr && consumed_ == first_->len) {
		auto *empty = first_;
		first_ = empty->next;
		if (first_ == nullptr)
			last_ = nullptr;
		consumed_ = 0;
		empty->next = nullptr;
		empty->tot_len = empty->len;
		pbuf_free(empty);
	}
}

// --- what the application calls -----------------------------------------------------------

stream::stream(connection &c) : connection_(&c)
{
	c.user = this;
}

stream::~stream()
{
	connection_->close();
}

std::unique_ptr<stream> stream::connect(endpoint peer)
{
	start_network();
	const auto address = lwip_address(peer.address);
	auto *pcb = tcp_new_ip_type(IP_GET_TYPE(&address));
	if (pcb == nullptr)
		return nullptr;
	auto *c = new (std::nothrow) connection(pcb);
	if (c == nullptr) {
		tcp_close(pcb);
		return nullptr;
	}
	c->peer = peer;
	std::unique_ptr<stream> made(new stream(*c));
	return tcp_connect(pcb, &address, peer.port, connection::callbacks::connected) == ERR_OK ? std::move(made)
												 : nullptr;
}

std::ptrdiff_t stream::receive(std::span<std::byte> bytes)
{
	std::size_t done = 0;

	while (done != bytes.size()) {
		const auto there = peek();
		const auto n = std::min(there.size(), bytes.size() - done);
		if (n == 0)
			break;
		memcpy(&bytes[done], there.data(), n);
		consume(n);
		done += n;
	}
	if (done != 0 || bytes.empty() || connection_->ended)
		return static_cast<std::ptrdiff_t>(done);
	return connection_->error != 0 ? connection_->error : -EAGAIN;
}

std::span<const std::byte> stream::peek() const
{
	return connection_->peek();
}

void stream::consume(std::size_t size)
{
	connection_->consume(size);
}

std::ptrdiff_t stream::send(std::span<const std::byte> bytes)
{
	return connection_->send(bytes);
}

int stream::send_reference(std::span<const std::byte> bytes, done_function done, void *cookie)
{
	return connection_->send_reference(bytes, done, cookie);
}

void stream::finish()
{
	connection_->finish();
}

endpoint stream::peer() const
{
	return connection_->peer;
}

endpoint stream::own() const
{
	return connection_->own;
}

bool stream::has_ended() const
{
	return peek().empty() && (connection_->ended || connection_->error != 0);
}

int stream::error() const
{
	return connection_->error;
}

bool stream::is_readable() const
{
	return !peek().empty() || has_ended();
}

bool stream::is_writable() const
{
	return connection_->has_room() || connection_->error != 0;
}
