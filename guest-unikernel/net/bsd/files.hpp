// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <mayfly/net.hpp>
#include <memory>

/// What a descriptor of BSD's calls stands for.
struct file {
	enum class kind { tcp, listener, stream, datagrams }; // tcp: not connected, and does not listen

	kind what;
	std::unique_ptr<mayfly::net::socket> socket = {}; // null for tcp, and before datagrams are bound
	mayfly::net::endpoint bound = {}, peer = {};
	bool has_bound = false;
	bool blocks = true;
	bool reads = true; // no shutdown() of that side

	mayfly::net::stream &stream() const { return static_cast<mayfly::net::stream &>(*socket); }
	mayfly::net::listener &listener() const { return static_cast<mayfly::net::listener &>(*socket); }
	mayfly::net::datagrams &datagrams() const { return static_cast<mayfly::net::datagrams &>(*socket); }

	bool is_readable() const;
	bool is_writable() const;
};

/// The file behind @p fd; null if there is none.
file *find_file(int fd);

/// Gives @p f the lowest descriptor that is free. Returns it, or -EMFILE, -ENOMEM.
int add_file(std::unique_ptr<file> f);

/// Returns 0 or -EBADF.
int remove_file(int fd);

/// Sleeps until anything has happened, or @p deadline. A VM that is asked to stop ends here, as a
/// process does that gets SIGTERM.
void wait_for_anything(std::uint64_t deadline = MAYFLY_FOREVER);

/// Lets packets come and go, without sleeping.
inline void take_a_look()
{
	wait_for_anything(0);
}

/// What a call returns to its caller: negative ones are -1, with errno.
int result_of(std::ptrdiff_t result);
