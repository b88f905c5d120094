// SPDX-License-Identifier: BSD-2-Clause
//
// TCP and UDP over this VM's network. For programs that are made with NET=1.
//
// Nothing here blocks but poll(). A call that would have to wait returns -EAGAIN, and the socket
// is among those that next_ready() returns once it need not:
//
//	for (;;) {
//		while (auto *ready = mayfly::net::next_ready())
//			serve(*ready);
//		if (mayfly::net::poll().stop())
//			return 0;
//	}
//
// What is sent leaves with the next poll(). A VM that ends by exit(), or returns from main(),
// also sends what is left, once, and closes its connections. Errors are negative numbers of
// <errno.h>.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <errno.h>
#include <mayfly/events.hpp>
#include <memory>
#include <span>

namespace mayfly::net
{

/// An IPv6 address, or an IPv4 address in the form that RFC 4291 2.5.5.2 gives it there.
class address
{
public:
	/// 0.0.0.0
	constexpr address() : address(0) {}

	/// Of IPv4, as a number: 10.9.0.1 is 0x0a090001.
	constexpr address(std::uint32_t ip4)
		: bytes_{0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0,
			 0xff,
			 0xff,
			 byte(ip4 >> 24),
			 byte(ip4 >> 16),
			 byte(ip4 >> 8),
			 byte(ip4)}
	{
	}

	/// Of IPv6, as it is in a packet.
	constexpr explicit address(const std::array<std::uint8_t, 16> &bytes) : bytes_(bytes) {}

	/// Whether it is of IPv4.
	constexpr bool is_ip4() const
	{
		for (unsigned i = 0; i < 10; ++i)
			if (bytes_[i] != 0)
				return false;
		return bytes_[10] == 0xff && bytes_[11] == 0xff;
	}

	/// That one as a number; 0 of IPv6.
	constexpr std::uint32_t ip4() const
	{
		return is_ip4() ? std::uint32_t{bytes_[12]} << 24 | bytes_[13] << 16 | bytes_[14] << 8 | bytes_[15] : 0;
	}

	constexpr const std::array<std::uint8_t, 16> &bytes() const { return bytes_; }

	bool operator==(const address &) const = default;

private:
	static constexpr std::uint8_t byte(std::uint32_t number) { return static_cast<std::uint8_t>(number); }

	std::array<std::uint8_t, 16> bytes_;
};

/// An address and a port.
struct endpoint {
	net::address address{};
	std::uint16_t port = 0;

	bool operator==(const endpoint &) const = default;
};

/// Whether this VM has a network. Without one there is only 127.0.0.1.
bool is_there();

/// This VM's IPv4 address on network number @p i of its own, from 0; 0 without that one.
std::uint32_t own_address(unsigned i = 0);

/// The name server's; 0 without a network.
std::uint32_t name_server();

/// Who may send something to a port.
enum class peers { all, ip4 };

/// What can become ready. A socket that is destroyed is closed.
class socket
{
public:
	virtual ~socket();
	socket(const socket &) = delete;
	socket &operator=(const socket &) = delete;

	/// Whether the call that takes something in, or gives something out, would not return
	/// -EAGAIN.
	virtual bool is_readable() const = 0;
	virtual bool is_writable() const { return false; }

	/// Whatever the application wants to find with it.
	void *context = nullptr;

protected:
	socket() = default;
	void become_ready();

private:
	friend socket *next_ready();

	void leave_ready_list();

	socket *next_ready_ = nullptr;
	socket *previous_ready_ = nullptr;
	bool is_queued_ = false;
};

/// A TCP connection.
class stream : public socket
{
public:
	/// Begins to connect to @p peer, and becomes writable when it has, or with an error.
	/// Returns null if there is no memory or no way there.
	static std::unique_ptr<stream> connect(endpoint peer);

	/// Closes it: what was sent still arrives, what has come unread is lost.
	~stream() override;

	/// Takes up to @p bytes of what has come. Returns how many, 0 at its end; -EAGAIN;
	/// -ECONNRESET, -ECONNREFUSED, -ETIMEDOUT: there is no connection any more.
	std::ptrdiff_t receive(std::span<std::byte> bytes);

	/// What has come and can be looked at where it is, perhaps not all; empty if there is
	/// nothing. It stays there until it is consumed.
	std::span<const std::byte> peek() const;

	/// Takes @p size bytes of peek()'s.
	void consume(std::size_t size);

	/// Sends copies of the first of @p bytes. Returns how many; -EAGAIN; as receive();
	/// -EPIPE after finish(), -ENOMEM.
	std::ptrdiff_t send(std::span<const std::byte> bytes);

	/// What is called when bytes that were sent by reference are not needed any more.
	using done_function = void (*)(void *cookie);

	/// Sends all of @p bytes without a copy, or nothing: they must not change until
	/// @p done is called, which may be after the stream is closed. Null for bytes that never
	/// change. Returns 0; as send() besides.
	int send_reference(std::span<const std::byte> bytes, done_function done = nullptr, void *cookie = nullptr);

	/// Says that nothing more will be sent. What was sent still arrives.
	void finish();

	/// Whether receive() would return 0 or an error, now and ever: nothing more comes.
	bool has_ended() const;

	/// Why there is no connection any more, as receive() says it; 0 while there is no error.
	int error() const;

	endpoint peer() const;
	endpoint own() const;

	bool is_readable() const override;
	bool is_writable() const override;

	class connection;

private:
	friend class listener;
	friend class connection;

	explicit stream(connection &c);

	connection *connection_;
};

/// Where TCP connections come in.
class listener : public socket
{
public:
	/// Listens at @p port of all addresses, where up to @p backlog connections may wait.
	/// Returns null if the port is taken or there is no memory.
	static std::unique_ptr<listener> listen(std::uint16_t port, std::uint8_t backlog = 255,
						peers from = peers::all);

	~listener() override;

	/// The connection that has waited longest; null if there is none.
	std::unique_ptr<stream> accept();

	/// Where it listens.
	std::uint16_t port() const;

	bool is_readable() const override { return first_ != nullptr; }

private:
	struct callbacks;
	using connection = stream::connection;

	listener() = default;

	void *pcb_ = nullptr;
	connection *first_ = nullptr; // that wait
	connection *last_ = nullptr;
};

/// A UDP port.
class datagrams : public socket
{
public:
	/// Binds to @p port of all addresses, to any port if that is 0. Returns null if it is
	/// taken or there is no memory.
	static std::unique_ptr<datagrams> bind(std::uint16_t port, peers from = peers::all);

	~datagrams() override;

	/// Takes the next one: what of it has no room in @p bytes is lost. Says in @p from who
	/// has sent it. Returns its length in @p bytes, -EAGAIN.
	std::ptrdiff_t receive(std::span<std::byte> bytes, endpoint &from);

	/// Sends one to @p to. Returns 0, -EMSGSIZE, -ENOMEM, -ENETUNREACH.
	int send(std::span<const std::byte> bytes, endpoint to);

	endpoint own() const;

	bool is_readable() const override { return first_ != nullptr; }
	bool is_writable() const override { return true; }

private:
	struct callbacks;

	datagrams() = default;

	void *pcb_ = nullptr;
	void *first_ = nullptr; // packets that wait
	void *last_ = nullptr;
	unsigned waiting_ = 0;
};

/// The socket that has become readable or writable longest ago, or has got an error, and has not
/// been returned since; null if there is none. Use it until it says -EAGAIN.
socket *next_ready();

/// Sends what is to be sent, and sleeps until a socket is ready, an event comes, a done_function
/// has been called or now_ns() reaches @p deadline. Does not sleep while next_ready() has a
/// socket.
events poll(std::uint64_t deadline = MAYFLY_FOREVER);

}
