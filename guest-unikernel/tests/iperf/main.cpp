// SPDX-License-Identifier: BSD-2-Clause
//
// A server at port 5201 for iperf3 -c, with -R and -P too, by TCP: one test at a time, until it is
// asked to stop. What the two say to each other is in iperf3's iperf_api.h.

#include <array>
#include <charconv>
#include <mayfly/console.hpp>
#include <mayfly/net.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace
{

namespace net = mayfly::net;
using stream = std::unique_ptr<net::stream>;

constexpr std::uint16_t port = 5201;
constexpr std::size_t cookie_size = 37;
constexpr std::size_t longest_message = 65536;

enum state : unsigned char {
	test_start = 1,
	test_running = 2,
	test_end = 4,
	param_exchange = 9,
	create_streams = 10,
	exchange_results = 13,
	display_results = 14,
	iperf_done = 16,
};

void wait()
{
	if (net::poll().stop())
		exit(0);
	while (net::next_ready() != nullptr)
		;
}

stream accept(net::listener &from)
{
	stream connection;

	while ((connection = from.accept()) == nullptr)
		wait();
	return connection;
}

// False if it ends before that.
bool read_all(net::stream &from, std::span<std::byte> room)
{
	while (!room.empty()) {
		const auto came = from.receive(room);
		if (came > 0)
			room = room.subspan(static_cast<std::size_t>(came));
		else if (came == -EAGAIN)
			wait();
		else
			return false;
	}
	return true;
}

bool write_all(net::stream &to, std::span<const std::byte> bytes)
{
	while (!bytes.empty()) {
		const auto sent = to.send(bytes);
		if (sent >= 0)
			bytes = bytes.subspan(static_cast<std::size_t>(sent));
		else if (sent == -EAGAIN)
			wait();
		else
			return false;
	}
	return true;
}

bool say(net::stream &to, state what)
{
	return write_all(to, std::as_bytes(std::span(&what, 1)));
}

bool expect(net::stream &from, state wanted)
{
	state heard{};

	return read_all(from, std::as_writable_bytes(std::span(&heard, 1))) && heard == wanted;
}

// JSON with its length in front.
bool read_message(net::stream &from, std::string &text)
{
	std::array<std::byte, 4> head;
	std::size_t length = 0;

	if (!read_all(from, head))
		return false;
	for (const auto b : head)
		length = length << 8 | static_cast<std::size_t>(b);
	if (length > longest_message)
		return false;
	text.resize(length);
	return read_all(from, std::as_writable_bytes(std::span(text)));
}

bool write_message(net::stream &to, const std::string &text)
{
	std::string all(4, '\0');

	for (std::size_t i = 0; i < 4; ++i)
		all[i] = static_cast<char>(text.size() >> (24 - 8 * i));
	all += text;
	return write_all(to, std::as_bytes(std::span(all)));
}

std::string decimal(std::uint64_t number)
{
	std::array<char, 24> text;

	return {text.begin(), std::to_chars(text.begin(), text.end(), number).ptr};
}

struct parameters {
	std::size_t streams = 1;
	bool reverse = false;

	explicit parameters(std::string_view json) : reverse(json.find("\"reverse\":true") != json.npos)
	{
		constexpr std::string_view key = "\"parallel\":";
		if (const auto at = json.find(key); at != json.npos)
			std::from_chars(json.begin() + at + key.size(), json.end(), streams);
	}
};

// What there is, or what there is room for: the bytes.
std::uint64_t move_some(net::stream &by, bool reverse)
{
	static constexpr std::array<std::byte, 32768> block{};
	std::uint64_t moved = 0;

	if (reverse)
		for (std::ptrdiff_t sent; (sent = by.send(block)) > 0;)
			moved += static_cast<std::uint64_t>(sent);
	else
		for (auto came = by.peek(); !came.empty(); came = by.peek()) {
			moved += came.size();
			by.consume(came.size());
		}
	return moved;
}

std::string results_of(std::span<const std::uint64_t> bytes, bool reverse)
{
	std::string streams;

	// iperf3 has no stream 2.
	for (std::size_t i = 0; i < bytes.size(); ++i)
		streams +=
			(i != 0 ? "," : "") + ("{\"id\":" + decimal(i == 0 ? 1 : i + 2)) +
			",\"bytes\":" + decimal(bytes[i]) +
			",\"retransmits\":-1,\"jitter\":0,\"errors\":0,\"packets\":0,\"start_time\":0,\"end_time\":1}";
	return std::string("{\"cpu_util_total\":0,\"cpu_util_user\":0,\"cpu_util_system\":0,") +
	       "\"sender_has_retransmits\":" + (reverse ? "0" : "-1") + ",\"streams\":[" + streams + "]}";
}

// False if the client goes astray.
bool serve(net::listener &from)
{
	const auto control = accept(from);
	std::array<std::byte, cookie_size> cookie, other;
	std::string text;

	if (!read_all(*control, cookie) || !say(*control, param_exchange) || !read_message(*control, text))
		return false;

	const parameters wanted(text);
	std::vector<stream> streams;
	std::vector<std::uint64_t> bytes(wanted.streams);

	if (!say(*control, create_streams))
		return false;
	while (streams.size() < wanted.streams) {
		streams.push_back(accept(from));
		if (!read_all(*streams.back(), other) || other != cookie)
			return false;
	}
	if (!say(*control, test_start) || !say(*control, test_running))
		return false;
	for (;;) {
		const bool is_last = control->is_readable();
		for (std::size_t i = 0; i < streams.size(); ++i)
			bytes[i] += move_some(*streams[i], wanted.reverse);
		if (is_last)
			break;
		wait();
	}
	if (!expect(*control, test_end))
		return false;
	// A client that receives waits for that.
	streams.clear();
	return say(*control, exchange_results) && read_message(*control, text) &&
	       write_message(*control, results_of(bytes, wanted.reverse)) && say(*control, display_results) &&
	       expect(*control, iperf_done);
}

}

int main()
{
	const auto connections = net::listener::listen(port);

	for (;;)
		mayfly::print("%s\n", serve(*connections) ? "done" : "failed");
}
