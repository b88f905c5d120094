// SPDX-License-Identifier: BSD-2-Clause
//
// A guest that uses the network as a client, for the tests of vmctl and for measurements:
//
//	net-guest ask ADDRESS PORT TIMES     sends a byte by TCP and waits for one, so often
//	net-guest ask-udp ADDRESS PORT TIMES the same with datagrams of 32 bytes
//	net-guest echo ADDRESS PORT BYTES    sends so many, and checks that they come back
//	net-guest give ADDRESS PORT BYTES    sends so many by reference, and waits for the end
//	net-guest copy ADDRESS PORT BYTES    the same with copies
//	net-guest take PORT                  listens, and checks what comes without a copy
//	net-guest drain PORT                 the same for ever, without a look at it
//	net-guest try ADDRESS PORT           connects, and waits until that ends
//	net-guest answer PORT                64 bytes for each byte of any connection; and sends
//	                                     datagrams back
//	net-guest serve PORT                 gives back what any connection sends, and prints how each
//	                                     ended, and in a clone its generation

#include <algorithm>
#include <array>
#include <charconv>
#include <mayfly/clock.hpp>
#include <mayfly/console.hpp>
#include <mayfly/net.hpp>
#include <mayfly/ready.hpp>
#include <mayfly/vm.hpp>
#include <string_view>

namespace
{

namespace net = mayfly::net;

[[noreturn]] void fail(const char *what, std::ptrdiff_t why)
{
	mayfly::print("%s: %ld\n", what, why);
	exit(1);
}

std::uint64_t number_of(std::string_view text)
{
	std::uint64_t number = 0;

	std::from_chars(text.begin(), text.end(), number);
	return number;
}

std::uint32_t address_of(std::string_view text)
{
	std::uint32_t address = 0;

	for (int i = 0; i < 4; ++i) {
		const auto dot = std::min(text.find('.'), text.size());
		address = address << 8 | static_cast<std::uint32_t>(number_of(text.substr(0, dot)));
		text.remove_prefix(std::min(dot + 1, text.size()));
	}
	return address;
}

// All of it as digits of base 16.
net::address ip6_of(std::string_view text)
{
	constexpr std::string_view digits = "0123456789abcdef";
	std::array<std::uint8_t, 16> bytes{};

	for (std::size_t i = 0; i < bytes.size(); ++i)
		bytes[i] = static_cast<std::uint8_t>(digits.find(text[2 * i]) << 4 | digits.find(text[2 * i + 1]));
	return net::address(bytes);
}

net::address any_address_of(std::string_view text)
{
	return text.size() == 32 ? ip6_of(text) : net::address(address_of(text));
}

net::endpoint endpoint_of(char **words)
{
	return {.address = any_address_of(words[0]), .port = static_cast<std::uint16_t>(number_of(words[1]))};
}

// Until a socket is ready; ends this VM when it shall stop.
void wait()
{
	if (net::poll().stop())
		exit(0);
	while (net::next_ready() != nullptr)
		;
}

std::unique_ptr<net::stream> connected_to(net::endpoint peer)
{
	auto connection = net::stream::connect(peer);

	if (connection == nullptr)
		fail("connect", -ENETUNREACH);
	while (!connection->is_writable() && !connection->has_ended())
		wait();
	return connection;
}

void ask(net::endpoint peer, std::uint64_t times)
{
	const auto connection = connected_to(peer);
	std::array<std::byte, 1> question{std::byte{'?'}};
	std::array<std::byte, 4096> answer;

	for (std::uint64_t i = 0; i < times; ++i) {
		if (const auto sent = connection->send(question); sent != 1)
			fail("send", sent);
		std::ptrdiff_t came;
		while ((came = connection->receive(answer)) == -EAGAIN)
			wait();
		if (came <= 0)
			fail("receive", came);
	}
}

void ask_udp(net::endpoint peer, std::uint64_t times)
{
	const auto port = net::datagrams::bind(0);
	std::array<std::byte, 32> bytes{};
	net::endpoint from;

	for (std::uint64_t i = 0; i < times; ++i) {
		if (const auto error = port->send(bytes, peer); error != 0)
			fail("send", error);
		while (port->receive(bytes, from) == -EAGAIN)
			wait();
		if (from != peer)
			fail("somebody else answered", 0);
	}
}

std::byte pattern_at(std::uint64_t at)
{
	return static_cast<std::byte>(at * 31 >> 3);
}

void echo(net::endpoint peer, std::uint64_t bytes)
{
	const auto connection = connected_to(peer);
	std::uint64_t sent = 0, came = 0;
	static std::array<std::byte, 32768> part;

	while (came != bytes) {
		const auto n = std::min<std::uint64_t>(part.size(), bytes - sent);
		for (std::uint64_t i = 0; i < n; ++i)
			part[i] = pattern_at(sent + i);
		if (const auto taken = n != 0 ? connection->send(std::span(part).first(n)) : 0; taken > 0)
			sent += static_cast<std::uint64_t>(taken);
		else if (taken != 0 && taken != -EAGAIN)
			fail("send", taken);
		for (auto there = connection->peek(); !there.empty(); there = connection->peek()) {
			for (const auto b : there)
				if (b != pattern_at(came++))
					fail("another byte came back at", static_cast<std::ptrdiff_t>(came - 1));
			connection->consume(there.size());
		}
		if (connection->has_ended())
			fail("ended after", static_cast<std::ptrdiff_t>(came));
		if (came != bytes)
			wait();
	}
}

constexpr std::size_t piece = 65535; // of what is given

std::uint64_t done_count;

void count_done(void *)
{
	++done_count;
}

// Returns how many of @bytes it has sent, or -errno.
using send_function = std::ptrdiff_t (*)(net::stream &connection, std::span<const std::byte> bytes);

std::uint64_t referred_count;

std::ptrdiff_t send_reference(net::stream &connection, std::span<const std::byte> bytes)
{
	if (const auto error = connection.send_reference(bytes, count_done); error != 0)
		return error;
	++referred_count;
	return static_cast<std::ptrdiff_t>(bytes.size());
}

std::ptrdiff_t send_copy(net::stream &connection, std::span<const std::byte> bytes)
{
	return connection.send(bytes);
}

void give(net::endpoint peer, std::uint64_t bytes, send_function send)
{
	auto connection = connected_to(peer);
	static std::array<std::byte, piece> part;

	for (std::size_t i = 0; i < piece; ++i)
		part[i] = pattern_at(i);

	for (std::uint64_t sent = 0; sent != bytes;) {
		const auto at = sent % piece;
		const auto n = std::min<std::uint64_t>(piece - at, bytes - sent);
		const auto taken = send(*connection, std::span(part).subspan(at, n));
		if (taken == -EAGAIN)
			wait();
		else if (taken < 0)
			fail("send", taken);
		else
			sent += static_cast<std::uint64_t>(taken);
	}
	connection->finish();
	while (!connection->has_ended())
		wait();
	connection.reset();
	while (done_count != referred_count)
		wait();
}

void take(net::listener &from, bool checks)
{
	std::unique_ptr<net::stream> connection;
	std::uint64_t bytes = 0;

	while ((connection = from.accept()) == nullptr)
		wait();
	while (!connection->has_ended()) {
		for (auto there = connection->peek(); !there.empty(); there = connection->peek()) {
			for (std::size_t i = 0; checks && i < there.size(); ++i)
				if (there[i] != pattern_at((bytes + i) % piece))
					fail("another byte came at", static_cast<std::ptrdiff_t>(bytes + i));
			bytes += there.size();
			connection->consume(there.size());
		}
		if (!connection->has_ended())
			wait();
	}
	mayfly::print("took %lu bytes\n", bytes);
}

[[noreturn]] void drain(std::uint16_t port)
{
	const auto from = net::listener::listen(port);

	for (;;)
		take(*from, false);
}

// Whoever asks is answered until he ends.
void answer_stream(net::stream *connection)
{
	static constexpr std::array<std::byte, 64> bytes{};
	std::array<std::byte, 1> question;

	while (connection->receive(question) == 1)
		connection->send(bytes);
	if (connection->has_ended())
		delete connection;
}

void answer_datagrams(net::datagrams &port)
{
	static std::array<std::byte, 2048> question;
	net::endpoint sender;

	for (std::ptrdiff_t n; (n = port.receive(question, sender)) >= 0;)
		port.send(std::span(question).first(static_cast<std::size_t>(n)), sender);
}

void answer(std::uint16_t port)
{
	const auto from = net::listener::listen(port);
	const auto datagrams = net::datagrams::bind(port);

	while (!net::poll().stop())
		while (auto *ready = net::next_ready())
			if (ready == datagrams.get())
				answer_datagrams(*datagrams);
			else if (ready != from.get())
				answer_stream(static_cast<net::stream *>(ready));
			else
				while (auto connection = from->accept())
					answer_stream(connection.release());
}

// Gives back all there is.
void serve_stream(net::stream *connection)
{
	for (auto came = connection->peek(); !came.empty(); came = connection->peek()) {
		const auto sent = connection->send(came);
		if (sent <= 0)
			break;
		connection->consume(static_cast<std::size_t>(sent));
	}
	if (!connection->has_ended())
		return;
	mayfly::print("ended: %d\n", connection->error());
	delete connection;
}

mayfly::generation_hook next_hook;

void tell_generation()
{
	if (next_hook != nullptr)
		next_hook();
	mayfly::print("generation %lu\n", mayfly::generation());
}

void serve(std::uint16_t port)
{
	const auto from = net::listener::listen(port);

	next_hook = mayfly::set_generation_hook(tell_generation);
	while (!net::poll().stop())
		while (auto *ready = net::next_ready())
			if (ready != from.get())
				serve_stream(static_cast<net::stream *>(ready));
			else
				while (auto connection = from->accept())
					serve_stream(connection.release());
}

void try_to_connect(net::endpoint peer)
{
	const auto connection = connected_to(peer);
	std::array<std::byte, 1> byte;

	mayfly::print("%s\n", connection->has_ended() ? "failed" : "connected");
	while (!connection->has_ended())
		wait();
	mayfly::print("ended: %ld\n", connection->receive(byte));
}

}

int main(int argc, char **argv)
{
	const std::string_view what = argc > 1 ? argv[1] : "";
	const auto begin = mayfly::now_ns();

	if (what == "ask" && argc == 5)
		ask(endpoint_of(argv + 2), number_of(argv[4]));
	else if (what == "ask-udp" && argc == 5)
		ask_udp(endpoint_of(argv + 2), number_of(argv[4]));
	else if (what == "echo" && argc == 5)
		echo(endpoint_of(argv + 2), number_of(argv[4]));
	else if (what == "give" && argc == 5)
		give(endpoint_of(argv + 2), number_of(argv[4]), send_reference);
	else if (what == "copy" && argc == 5)
		give(endpoint_of(argv + 2), number_of(argv[4]), send_copy);
	else if (what == "take" && argc == 3)
		take(*net::listener::listen(static_cast<std::uint16_t>(number_of(argv[2]))), true);
	else if (what == "drain" && argc == 3)
		drain(static_cast<std::uint16_t>(number_of(argv[2])));
	else if (what == "answer" && argc == 3)
		answer(static_cast<std::uint16_t>(number_of(argv[2])));
	else if (what == "serve" && argc == 3)
		serve(static_cast<std::uint16_t>(number_of(argv[2])));
	else if (what == "try" && argc == 4)
		try_to_connect(endpoint_of(argv + 2));
	else
		return 2;
	mayfly::print("done in %lu ns\n", mayfly::now_ns() - begin);
	return 0;
}
