// SPDX-License-Identifier: Apache-2.0
#include "udp_proxy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace vmctl::cli
{

namespace
{

// Then it is others' turn.
constexpr int most_rounds = 64;

// A message with the address of this host's end beside it.
class message
{
public:
	message(sockaddr_in &peer, std::span<char> bytes) : part_{.iov_base = bytes.data(), .iov_len = bytes.size()}
	{
		head_.msg_name = &peer;
		head_.msg_namelen = sizeof peer;
		head_.msg_iov = &part_;
		head_.msg_iovlen = 1;
		head_.msg_control = beside_;
		head_.msg_controllen = sizeof beside_;
	}

	[[nodiscard]] msghdr *head() { return &head_; }

	[[nodiscard]] in_addr_t here()
	{
		in_pktinfo info{};

		if (const cmsghdr *first = CMSG_FIRSTHDR(&head_); first && first->cmsg_type == IP_PKTINFO)
			std::memcpy(&info, CMSG_DATA(first), sizeof info);
		return info.ipi_spec_dst.s_addr;
	}

	void set_here(in_addr_t address)
	{
		const in_pktinfo info{.ipi_ifindex = 0, .ipi_spec_dst = {address}, .ipi_addr = {}};
		cmsghdr *const first = CMSG_FIRSTHDR(&head_);

		first->cmsg_level = IPPROTO_IP;
		first->cmsg_type = IP_PKTINFO;
		first->cmsg_len = CMSG_LEN(sizeof info);
		std::memcpy(CMSG_DATA(first), &info, sizeof info);
	}

private:
	iovec part_;
	msghdr head_{};
	alignas(cmsghdr) char beside_[CMSG_SPACE(sizeof(in_pktinfo))]{};
};

} // namespace

// One whose datagrams come to the VM from a socket of its own.
class udp_proxy::peer final : public event_loop::member
{
public:
	peer(udp_proxy &of, const ends &from)
		: of_(of), ends_(from),
		  inside_(of.socket_.calls(), ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
	{
	}

	// False without a descriptor or memory.
	[[nodiscard]] bool start()
	{
		const auto *to = reinterpret_cast<const sockaddr *>(&of_.to_.address);

		return inside_ && ::connect(inside_.fd(), to, sizeof of_.to_.address) == 0 &&
		       of_.loop_.watch(inside_.fd(), *this, event_loop::reading);
	}

	void send(std::span<const char> bytes)
	{
		used_ = event_loop::clock::now();
		static_cast<void>(::send(inside_.fd(), bytes.data(), bytes.size(), 0));
	}

	bool go_on(std::uint32_t) override
	{
		for (int round = 0; round < most_rounds; round++) {
			const ssize_t size = ::recv(inside_.fd(), of_.bytes_.data(), of_.bytes_.size(), 0);

			// Another error is that of a datagram before.
			if (size < 0 && errno == EAGAIN)
				return true;
			if (size >= 0)
				answer(static_cast<std::size_t>(size));
		}
		of_.loop_.tell_again(inside_.fd(), *this, event_loop::reading);
		return true;
	}

	[[nodiscard]] const ends &whose() const { return ends_; }
	[[nodiscard]] event_loop::clock::time_point used() const { return used_; }

private:
	void answer(std::size_t size)
	{
		used_ = event_loop::clock::now();
		of_.send(ends_, size);
	}

	udp_proxy &of_;
	const ends ends_;
	descriptor inside_;
	event_loop::clock::time_point used_ = event_loop::clock::now();
};

bool udp_proxy::start()
{
	const int one = 1;

	::setsockopt(socket_.fd(), IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
	return loop_.watch(socket_.fd(), *this, event_loop::reading);
}

bool udp_proxy::go_on(std::uint32_t events)
{
	if (events == 0) {
		forget_quiet();
		return true;
	}
	for (int round = 0; round < most_rounds; round++) {
		ends from;
		const ssize_t size = receive(from);

		if (size < 0)
			return true;
		if (peer *const one = peer_of(from))
			one->send(std::span(bytes_).first(static_cast<std::size_t>(size)));
	}
	loop_.tell_again(socket_.fd(), *this, event_loop::reading);
	return true;
}

ssize_t udp_proxy::receive(ends &from)
{
	sockaddr_in sender{};
	message into(sender, bytes_);
	const ssize_t size = ::recvmsg(socket_.fd(), into.head(), 0);

	from = {.peer = sender.sin_addr.s_addr, .here = into.here(), .port = sender.sin_port};
	return size;
}

// Of what is in bytes_. What there is no room for is lost, as datagrams may be.
void udp_proxy::send(const ends &to, std::size_t size)
{
	sockaddr_in receiver{};

	receiver.sin_family = AF_INET;
	receiver.sin_port = to.port;
	receiver.sin_addr.s_addr = to.peer;

	message with(receiver, std::span(bytes_).first(size));

	with.set_here(to.here);
	static_cast<void>(::sendmsg(socket_.fd(), with.head(), 0));
}

udp_proxy::peer *udp_proxy::peer_of(const ends &from)
{
	const auto known = peers_.find(from);

	return known != peers_.end() ? known->second : add_peer(from);
}

udp_proxy::peer *udp_proxy::add_peer(const ends &from)
{
	if (peers_.size() >= to_.most)
		forget(*std::ranges::min_element(peers_, {}, [](const auto &one) {
				return one.second->used();
			})->second);

	auto made = std::make_unique<peer>(*this, from);
	peer *const one = made.get();

	if (!made->start())
		return nullptr;
	if (peers_.empty())
		loop_.wake(*this, to_.quiet);
	peers_.emplace(from, one);
	loop_.add(std::move(made));
	return one;
}

void udp_proxy::forget(peer &one)
{
	peers_.erase(one.whose());
	loop_.remove(one);
}

void udp_proxy::forget_quiet()
{
	const auto before = event_loop::clock::now() - to_.quiet;

	for (auto next = peers_.begin(); next != peers_.end();)
		if (peer &one = *next++->second; one.used() <= before)
			forget(one);
	if (!peers_.empty())
		loop_.wake(*this, to_.quiet / 2);
}

} // namespace vmctl::cli
