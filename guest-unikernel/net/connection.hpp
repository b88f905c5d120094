// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "lwip/tcp.h"
#include "stack.hpp"

/// What of a TCP connection outlives its stream, and comes before it: lwIP's PCB, what has
/// come, and what is sent by reference. It deletes itself, in flush(), when nobody needs it.
struct mayfly::net::stream::connection final : flushable {
	/// Takes a PCB, whose callbacks it sets.
	explicit connection(tcp_pcb *p);

	struct callbacks;

	void flush() override;

	/// The application does not want it any more.
	void close();

	std::ptrdiff_t send(std::span<const std::byte> bytes);
	int send_reference(std::span<const std::byte> bytes, done_function done, void *cookie);
	void finish();
	std::span<const std::byte> peek() const;
	void consume(std::size_t size);

	bool has_room() const;

	tcp_pcb *pcb;              // null when lwIP has it no more
	stream *user = nullptr;    // null before accept(), and after close()
	listener *where = nullptr; // it waits
	connection *next = nullptr;
	endpoint own, peer;
	int error = 0; // why there is no PCB, as an errno
	bool connected = false;
	bool ended = false;    // the peer sends nothing more
	bool finished = false; // we do not
	bool blocked = false;  // the application shall send later

private:
	struct reference;

	int refusal() const;
	int block();
	bool is_told() const { return acknowledged_ >= last_end_; }
	void let_go();
	void drop_empty();
	void drop_received();
	void call_done();

	pbuf *first_ = nullptr; // what has come, in a chain of all of it
	pbuf *last_ = nullptr;
	std::uint16_t consumed_ = 0; // of the first
	std::uint64_t written_ = 0;  // bytes that lwIP has got, and that the peer has
	std::uint64_t acknowledged_ = 0;
	std::uint64_t last_end_ = 0;      // of references
	reference *references_ = nullptr; // by what they end with
	reference **last_reference_ = &references_;
};
