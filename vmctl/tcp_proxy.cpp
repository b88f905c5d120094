// SPDX-License-Identifier: Apache-2.0
#include "tcp_proxy.hpp"

#include <array>
#include <cerrno>

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace vmctl::cli
{

namespace
{

using namespace std::chrono_literals;

// Before what failed is tried again.
constexpr auto pause = 100ms;
// Then it is others' turn.
constexpr int most_rounds = 16;

template <class Value> void set_option(int fd, int level, int name, const Value &value)
{
	::setsockopt(fd, level, name, &value, sizeof value);
}

// Closing it will tell the peer that something is wrong, or not.
void spoil(int fd, bool wrong = true)
{
	set_option(fd, SOL_SOCKET, SO_LINGER, linger{.l_onoff = wrong, .l_linger = 0});
}

// One direction. What is not taken is not read, beyond one buffer.
class pipe
{
public:
	enum class state { waiting, unfinished, at_end, broken };

	// Moves what there is, and the end too.
	state move(int from, int to)
	{
		for (int round = 0; round < most_rounds; round++) {
			if (has_ended_)
				return state::at_end;
			if (const ssize_t done = begin_ == end_ ? fill(from, to) : empty(to); done < 0)
				return errno == EAGAIN ? state::waiting : state::broken;
		}
		return state::unfinished;
	}

	[[nodiscard]] bool has_ended() const { return has_ended_; }

private:
	ssize_t fill(int from, int to)
	{
		const ssize_t count = ::recv(from, bytes_.data(), bytes_.size(), 0);

		begin_ = 0;
		end_ = static_cast<std::size_t>(count > 0 ? count : 0);
		has_ended_ = count == 0;
		if (has_ended_)
			::shutdown(to, SHUT_WR);
		return count;
	}

	ssize_t empty(int to)
	{
		const ssize_t count = ::send(to, bytes_.data() + begin_, end_ - begin_, MSG_NOSIGNAL);

		begin_ += static_cast<std::size_t>(count > 0 ? count : 0);
		return count;
	}

	std::array<char, 16384> bytes_;
	std::size_t begin_ = 0, end_ = 0;
	bool has_ended_ = false;
};

class connection final : public event_loop::member
{
public:
	connection(event_loop &in, descriptor outside, const tcp_target &to, std::shared_ptr<const char> seat)
		: loop_(in), outside_(std::move(outside)), to_(to), seat_(std::move(seat))
	{
		set_option(outside_.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
		// Of a peer that has gone without a word. The guest cannot.
		set_option(outside_.fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
	}

	~connection() override
	{
		if (is_complete_)
			spoil(inside_.fd(), false);
		else
			spoil(outside_.fd());
	}

	// False when there can be no connection.
	[[nodiscard]] bool start() { return loop_.watch(outside_.fd(), *this, event_loop::both) && connect(); }

	bool go_on(std::uint32_t events) override
	{
		if (is_connected_)
			return ((events & EPOLLERR) == 0 || !is_broken_unseen()) && move();
		if (has_error(outside_.fd()))
			return false;
		return inside_ ? see_to_connecting() : connect();
	}

	// What the guest has sent before it ended goes out.
	bool wind_up() override
	{
		is_winding_up_ = true;
		return has_guest_ended() && move();
	}

private:
	static int error_of(int fd)
	{
		int code = 0;
		socklen_t size = sizeof code;

		return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno;
	}

	static bool has_error(int fd) { return error_of(fd) != 0; }

	// Is something wrong with one that nobody reads any more?
	[[nodiscard]] bool is_broken_unseen() const
	{
		return (in_.has_ended() && has_error(outside_.fd())) || (out_.has_ended() && has_error(inside_.fd()));
	}

	bool connect()
	{
		const auto *to = reinterpret_cast<const sockaddr *>(&to_.address);

		inside_ = {outside_.calls(), ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
		if (!inside_)
			return false;
		// Or else, when this process is killed, it would stay and ask a guest that has gone,
		// and its namespace with it.
		spoil(inside_.fd());
		set_option(inside_.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
		if (::connect(inside_.fd(), to, sizeof to_.address) == 0 || errno == EINPROGRESS)
			return loop_.watch(inside_.fd(), *this, event_loop::both);
		return try_later(errno);
	}

	bool see_to_connecting()
	{
		sockaddr_in peer{};
		socklen_t size = sizeof peer;

		if (const int code = error_of(inside_.fd()); code != 0)
			return try_later(code);
		is_connected_ = ::getpeername(inside_.fd(), reinterpret_cast<sockaddr *>(&peer), &size) == 0;
		return !is_connected_ || move();
	}

	// True when there is reason to.
	bool try_later(int code)
	{
		if ((code != ECONNREFUSED && code != EHOSTUNREACH) || event_loop::clock::now() > to_.starts_until)
			return false;
		inside_ = {};
		loop_.wake(*this, pause);
		return true;
	}

	bool move()
	{
		const auto in = in_.move(outside_.fd(), inside_.fd()), out = out_.move(inside_.fd(), outside_.fd());

		if (in == pipe::state::broken || out == pipe::state::broken)
			return false;
		is_complete_ = out_.has_ended() && (in_.has_ended() || is_winding_up_);
		if (is_complete_)
			return false;
		if (in == pipe::state::unfinished || out == pipe::state::unfinished) {
			loop_.tell_again(outside_.fd(), *this, event_loop::both);
			loop_.tell_again(inside_.fd(), *this, event_loop::both);
		}
		return true;
	}

	[[nodiscard]] bool has_guest_ended() const
	{
		pollfd there{.fd = inside_.fd(), .events = POLLRDHUP, .revents = 0};

		return is_connected_ && ::poll(&there, 1, 0) == 1;
	}

	event_loop &loop_;
	descriptor outside_, inside_;
	const tcp_target to_;
	const std::shared_ptr<const char> seat_;
	pipe in_, out_;
	bool is_connected_ = false, is_winding_up_ = false, is_complete_ = false;
};

} // namespace

bool tcp_proxy::go_on(std::uint32_t)
{
	for (int round = 0; round < most_rounds; round++) {
		// Of the host's limits, too, nobody tells when there is room again.
		const int fd = is_full() ? -1 : ::accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (is_full() || errno != EAGAIN)
				loop_.wake(*this, pause);
			return true;
		}

		auto made = std::make_unique<connection>(loop_, descriptor(socket_.calls(), fd), to_, seat_);

		if (made->start())
			loop_.add(std::move(made));
	}
	loop_.tell_again(socket_.fd(), *this, event_loop::reading);
	return true;
}

} // namespace vmctl::cli
