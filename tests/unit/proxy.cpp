// SPDX-License-Identifier: Apache-2.0
//
// The proxy of published ports, between a client and a server that are both here.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.hpp"

namespace
{

using namespace std::chrono_literals;
using vmctl::descriptor;
using vmctl::cli::port_pair;
using vmctl::cli::proxy;
using vmctl::cli::proxy_limits;

vmctl::posix_system calls;

sockaddr_in at(std::uint32_t address, std::uint16_t port)
{
	sockaddr_in made{};

	made.sin_family = AF_INET;
	made.sin_port = htons(port);
	made.sin_addr.s_addr = htonl(address);
	return made;
}

// One whose calls fail after a while.
descriptor make_socket(int type)
{
	descriptor made(calls, ::socket(AF_INET, type | SOCK_CLOEXEC, 0));
	const timeval patience{.tv_sec = 30, .tv_usec = 0};

	::setsockopt(made.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	::setsockopt(made.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	return made;
}

// With room for so much to be read, if that is not the usual.
descriptor connected_to(const sockaddr_in &to, int type, int room = 0)
{
	descriptor made = make_socket(type);

	if (room != 0)
		::setsockopt(made.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	EXPECT_EQ(::connect(made.fd(), reinterpret_cast<const sockaddr *>(&to), sizeof to), 0) << errno;
	return made;
}

void reset(descriptor &one)
{
	const linger none{.l_onoff = 1, .l_linger = 0};

	::setsockopt(one.fd(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
	one = {};
}

// All of it.
bool send_all(const descriptor &to, const std::string &text)
{
	for (std::size_t done = 0; done < text.size();) {
		const ssize_t count = ::send(to.fd(), text.data() + done, text.size() - done, MSG_NOSIGNAL);

		if (count <= 0)
			return false;
		done += static_cast<std::size_t>(count);
	}
	return true;
}

// What comes next, or the name of the error.
std::string next_of(const descriptor &from, std::size_t most = 65536)
{
	std::string text(most, '\0');
	const ssize_t count = ::recv(from.fd(), text.data(), text.size(), 0);

	if (count < 0)
		return ::strerrorname_np(errno);
	text.resize(static_cast<std::size_t>(count));
	return text;
}

// All up to the end.
std::string all_of(const descriptor &from)
{
	std::string text;

	for (std::string part = next_of(from); !part.empty(); part = next_of(from))
		text += part;
	return text;
}

// Sends until nobody takes more, or there is no end of it.
std::size_t fill(const descriptor &by)
{
	const std::string part(65536, 'x');
	std::size_t all = 0;
	pollfd ready{.fd = by.fd(), .events = POLLOUT, .revents = 0};

	while (all < 100u << 20 && ::poll(&ready, 1, 500) == 1)
		if (const ssize_t count = ::send(by.fd(), part.data(), part.size(), MSG_DONTWAIT); count > 0)
			all += static_cast<std::size_t>(count);
	return all;
}

std::string pattern(std::size_t size)
{
	std::string text(size, '\0');

	std::iota(text.begin(), text.end(), '\0');
	for (std::size_t i = 0; i < size; i += 251)
		text[i] = static_cast<char>(i >> 8);
	return text;
}

class proxy_test : public testing::Test
{
protected:
	// The server that stands for the VM, and the proxy before it.
	void start(bool udp = false, bool listens = true)
	{
		sockaddr_in here = at(INADDR_LOOPBACK, 0);
		socklen_t size = sizeof here;

		server = make_socket(udp ? SOCK_DGRAM : SOCK_STREAM);
		ASSERT_EQ(::bind(server.fd(), reinterpret_cast<const sockaddr *>(&here), sizeof here), 0);
		::getsockname(server.fd(), reinterpret_cast<sockaddr *>(&here), &size);
		if (!udp && listens) {
			ASSERT_EQ(::listen(server.fd(), 100), 0);
		}

		const std::array ports{
			port_pair{.address = 0, .outside = port, .inside = ntohs(here.sin_port), .udp = udp}};
		auto opened = proxy::open(calls, ports);

		ASSERT_TRUE(opened) << opened.error().what;
		between.emplace(std::move(*opened));
		ASSERT_TRUE(between->start(INADDR_LOOPBACK, limits));
	}

	[[nodiscard]] descriptor accepted() const { return {calls, ::accept(server.fd(), nullptr, nullptr)}; }

	[[nodiscard]] static descriptor client(int type = SOCK_STREAM)
	{
		return connected_to(at(INADDR_LOOPBACK, port), type);
	}

	// One that nobody else on this machine has, most likely.
	static inline const std::uint16_t port = static_cast<std::uint16_t>(10000 + ::getpid() % 20000);

	proxy_limits limits{.connections = 100, .peers = 100};
	descriptor server;
	std::optional<proxy> between;
};

TEST_F(proxy_test, both_directions_and_their_ends)
{
	const std::string question = pattern(3'000'000), answer = pattern(2'000'000);

	start();

	const descriptor asker = client(), answerer = accepted();
	std::thread asks([&] {
		EXPECT_TRUE(send_all(asker, question));
		::shutdown(asker.fd(), SHUT_WR);
	});

	EXPECT_TRUE(all_of(answerer) == question);
	asks.join();
	// The other direction is open.
	std::thread answers([&] {
		EXPECT_TRUE(send_all(answerer, answer));
		::shutdown(answerer.fd(), SHUT_WR);
	});

	EXPECT_TRUE(all_of(asker) == answer);
	answers.join();
}

TEST_F(proxy_test, both_directions_at_once)
{
	const std::string text = pattern(5'000'000);

	start();

	const descriptor one = client(), other = accepted();
	const auto talk = [&](const descriptor &by) {
		EXPECT_TRUE(send_all(by, text));
		::shutdown(by.fd(), SHUT_WR);
	};
	const auto hear = [&](const descriptor &by) { EXPECT_TRUE(all_of(by) == text); };
	std::array all{std::thread(talk, std::ref(one)), std::thread(talk, std::ref(other)),
		       std::thread(hear, std::ref(one)), std::thread(hear, std::ref(other))};

	for (std::thread &each : all)
		each.join();
}

TEST_F(proxy_test, what_is_not_read_is_not_taken)
{
	start();

	const descriptor asker = client(), answerer = accepted();
	const std::size_t taken = fill(asker);

	EXPECT_LT(taken, 100u << 20) << "somebody keeps it";
	::shutdown(asker.fd(), SHUT_WR);
	EXPECT_EQ(all_of(answerer).size(), taken);
}

TEST_F(proxy_test, many_connections)
{
	std::vector<descriptor> asking, answering;

	start();
	for (int i = 0; i < 50; i++) {
		asking.push_back(client());
		answering.push_back(accepted());
	}
	for (std::size_t i = 0; i < 50; i++)
		EXPECT_TRUE(send_all(asking[i], std::to_string(i)));
	for (std::size_t i = 0; i < 50; i++)
		EXPECT_EQ(next_of(answering[i]), std::to_string(i));
}

TEST_F(proxy_test, one_more_than_there_may_be_waits)
{
	limits.connections = 2;
	start();

	descriptor first = client(), one = accepted();
	const descriptor second = client(), other = accepted();
	const descriptor third = client();
	pollfd waits{.fd = server.fd(), .events = POLLIN, .revents = 0};

	EXPECT_TRUE(send_all(third, "third"));
	EXPECT_EQ(::poll(&waits, 1, 500), 0);
	first = {};
	EXPECT_EQ(next_of(one), "");
	one = {};
	EXPECT_EQ(next_of(accepted()), "third");
}

TEST_F(proxy_test, resets_are_passed_on)
{
	start();

	descriptor client_of_one = client(), server_of_one = accepted();
	descriptor client_of_other = client(), server_of_other = accepted();

	reset(client_of_one);
	EXPECT_EQ(next_of(server_of_one), "ECONNRESET");
	reset(server_of_other);
	EXPECT_EQ(next_of(client_of_other), "ECONNRESET");
}

TEST_F(proxy_test, a_reset_is_passed_on_after_the_end_of_one_direction)
{
	start();

	descriptor asker = client(), answerer = accepted();

	::shutdown(asker.fd(), SHUT_WR);
	EXPECT_EQ(next_of(answerer), "");
	reset(asker);

	// An error, or the writer's part of it.
	pollfd broken{.fd = answerer.fd(), .events = 0, .revents = 0};

	EXPECT_EQ(::poll(&broken, 1, 30'000), 1);
	EXPECT_NE(broken.revents & POLLERR, 0);
}

TEST_F(proxy_test, a_server_that_is_late)
{
	start(false, false);

	const descriptor asker = client();

	EXPECT_TRUE(send_all(asker, "early"));
	std::this_thread::sleep_for(300ms);
	ASSERT_EQ(::listen(server.fd(), 100), 0);
	EXPECT_EQ(next_of(accepted()), "early");
}

TEST_F(proxy_test, a_server_that_refuses)
{
	limits.start = 0ms;
	start(false, false);
	EXPECT_EQ(next_of(client()), "ECONNRESET");
}

TEST_F(proxy_test, a_client_that_has_gone_is_not_waited_for)
{
	start(false, false);

	descriptor asker = client();

	reset(asker);
	// Long enough for it to be accepted, and tried again.
	std::this_thread::sleep_for(500ms);
	ASSERT_EQ(::listen(server.fd(), 100), 0);

	pollfd comes{.fd = server.fd(), .events = POLLIN, .revents = 0};

	EXPECT_EQ(::poll(&comes, 1, 500), 0);
}

TEST_F(proxy_test, without_descriptors_it_waits_for_some)
{
	rlimit before{};

	start();

	const descriptor asker = make_socket(SOCK_STREAM);
	const int next = ::dup(asker.fd());

	::close(next);
	::getrlimit(RLIMIT_NOFILE, &before);

	const rlimit none{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
	const sockaddr_in there = at(INADDR_LOOPBACK, port);
	pollfd comes{.fd = server.fd(), .events = POLLIN, .revents = 0};

	ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
	EXPECT_EQ(::connect(asker.fd(), reinterpret_cast<const sockaddr *>(&there), sizeof there), 0);

	const std::clock_t began = std::clock();

	EXPECT_EQ(::poll(&comes, 1, 1000), 0);
	EXPECT_LT(std::clock() - began, CLOCKS_PER_SEC / 4) << "it is busy";
	::setrlimit(RLIMIT_NOFILE, &before);
	EXPECT_TRUE(send_all(asker, "here"));
	EXPECT_EQ(next_of(accepted()), "here");
}

TEST_F(proxy_test, at_the_end_what_a_server_has_sent_still_goes_out)
{
	const linger until_taken{.l_onoff = 1, .l_linger = 30};
	const int small = 4096;
	std::atomic<bool> has_closed = false;
	std::size_t came = 0;

	limits.end = 30s;
	start();

	const descriptor asker = connected_to(at(INADDR_LOOPBACK, port), SOCK_STREAM, small);
	descriptor answerer = accepted();

	::setsockopt(answerer.fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	::setsockopt(answerer.fd(), SOL_SOCKET, SO_LINGER, &until_taken, sizeof until_taken);

	const std::size_t sent = fill(answerer);
	std::thread closes([&] {
		answerer = {};
		has_closed = true;
	});

	// Up to where all is on its way.
	while (!has_closed)
		came += next_of(asker, 4096).size();
	closes.join();

	std::thread reads([&] { came += all_of(asker).size(); });

	between.reset();
	reads.join();
	EXPECT_EQ(came, sent);
}

TEST_F(proxy_test, at_the_end_who_was_left_alone_learns_of_it)
{
	start();

	const descriptor asker = client(), answerer = accepted();
	const descriptor half_asker = client(), half_answerer = accepted();

	// This one has said all, and only waits.
	::shutdown(half_answerer.fd(), SHUT_WR);
	EXPECT_EQ(next_of(half_asker), "");
	between.reset();
	EXPECT_EQ(next_of(asker), "ECONNRESET");
	EXPECT_EQ(next_of(half_answerer), "");

	const descriptor nobody = make_socket(SOCK_STREAM);
	const sockaddr_in there = at(INADDR_LOOPBACK, port);

	EXPECT_EQ(::connect(nobody.fd(), reinterpret_cast<const sockaddr *>(&there), sizeof there), -1);
	EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(proxy_test, the_end_waits_for_a_slow_reader_for_so_long)
{
	limits.end = 100ms;
	start();

	const descriptor asker = client();
	descriptor answerer = accepted();
	std::thread sends([&] {
		send_all(answerer, pattern(50'000'000));
		answerer = {};
	});
	const auto before = std::chrono::steady_clock::now();

	std::this_thread::sleep_for(200ms);
	between.reset();
	EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
	sends.join();
	// It has not got all, and knows.
	EXPECT_TRUE(all_of(asker).ends_with("ECONNRESET"));
}

// Sends back what came last, with the port that it came from.
std::string answer_one(const descriptor &by)
{
	std::array<char, 65536> bytes;
	sockaddr_in from{};
	socklen_t size = sizeof from;
	const ssize_t count = ::recvfrom(by.fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr *>(&from),
					 &size);

	if (count < 0)
		return ::strerrorname_np(errno);
	::sendto(by.fd(), bytes.data(), static_cast<std::size_t>(count), 0, reinterpret_cast<const sockaddr *>(&from),
		 size);
	return std::to_string(ntohs(from.sin_port));
}

TEST_F(proxy_test, datagrams_of_two_peers)
{
	start(true);

	const descriptor one = client(SOCK_DGRAM), other = client(SOCK_DGRAM);
	const std::string large = pattern(60000);

	send_all(one, "one");

	const std::string port_of_one = answer_one(server);

	send_all(other, large);
	EXPECT_NE(answer_one(server), port_of_one);
	send_all(one, "");
	EXPECT_EQ(::send(one.fd(), nullptr, 0, 0), 0);
	EXPECT_EQ(answer_one(server), port_of_one);
	EXPECT_EQ(next_of(one), "one");
	EXPECT_EQ(next_of(one), "");
	EXPECT_TRUE(next_of(other) == large);
}

TEST_F(proxy_test, an_answer_comes_from_the_address_that_was_asked)
{
	start(true);

	// Which is not the one that this host would choose.
	const descriptor one = connected_to(at(INADDR_LOOPBACK + 76, port), SOCK_DGRAM);

	send_all(one, "question");
	answer_one(server);
	EXPECT_EQ(next_of(one), "question");
}

TEST_F(proxy_test, a_peer_that_is_quiet_is_forgotten)
{
	limits.quiet = 100ms;
	start(true);

	const descriptor one = client(SOCK_DGRAM);

	send_all(one, "question");

	const std::string before = answer_one(server);

	std::this_thread::sleep_for(1s);
	send_all(one, "question");
	EXPECT_NE(answer_one(server), before);
}

TEST_F(proxy_test, one_peer_more_takes_the_place_of_another)
{
	limits.peers = 2;
	start(true);

	const descriptor one = client(SOCK_DGRAM), other = client(SOCK_DGRAM), more = client(SOCK_DGRAM);
	const auto ask = [&](const descriptor &by) {
		send_all(by, "question");
		return answer_one(server);
	};
	const std::string first = ask(one), second = ask(other);

	EXPECT_EQ(ask(one), first);
	ask(more);
	EXPECT_EQ(ask(one), first);
	EXPECT_NE(ask(other), second);
}

TEST_F(proxy_test, a_datagram_that_nobody_takes_harms_nobody)
{
	start(true);

	const descriptor one = client(SOCK_DGRAM);
	sockaddr_in here{};
	socklen_t size = sizeof here;

	::getsockname(server.fd(), reinterpret_cast<sockaddr *>(&here), &size);
	server = {};
	for (int i = 0; i < 10; i++)
		send_all(one, "lost");
	server = make_socket(SOCK_DGRAM);
	ASSERT_EQ(::bind(server.fd(), reinterpret_cast<const sockaddr *>(&here), sizeof here), 0);
	// The first may report an error instead.
	for (int i = 0; i < 10; i++)
		send_all(one, "question");

	std::string came = "lost"; // perhaps not all are

	while (came == "lost") {
		answer_one(server);
		came = next_of(one);
	}
	EXPECT_EQ(came, "question");
}

TEST_F(proxy_test, a_port_that_is_taken)
{
	start();

	for (const bool udp : {false, true}) {
		const std::array ports{port_pair{.address = INADDR_LOOPBACK, .outside = port, .inside = 1, .udp = udp}};
		const auto opened = proxy::open(calls, ports);

		EXPECT_EQ(opened.has_value(), udp);
		if (!opened) {
			EXPECT_EQ(opened.error().what,
				  "a program of this host has 127.0.0.1:" + std::to_string(port) + "/tcp");
		}
	}

	const std::array elsewhere{port_pair{.address = 0xc6336401, .outside = port, .inside = 1}};

	EXPECT_EQ(proxy::open(calls, elsewhere).error().what, "198.51.100.1: not an address of this host");
}

TEST(ProxyLimits, LeaveDescriptorsForOthers)
{
	rlimit before{};

	::getrlimit(RLIMIT_NOFILE, &before);
	for (const rlim_t files : {rlim_t{10}, rlim_t{256}, rlim_t{1024}}) {
		const rlimit now{.rlim_cur = files, .rlim_max = before.rlim_max};

		ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &now), 0);

		const auto limits = proxy_limits::of_this_process();

		EXPECT_GT(limits.connections, 0u);
		EXPECT_GT(limits.peers, 0u);
		if (files > 100) {
			EXPECT_LE(2 * limits.connections + limits.peers + 64, files);
		}
	}
	::setrlimit(RLIMIT_NOFILE, &before);
}

}
