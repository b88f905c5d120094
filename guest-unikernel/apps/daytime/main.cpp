// SPDX-License-Identifier: BSD-2-Clause
//
// daytime [LINES]: prints the time each second, UTC and ISO 8601, until it has
// printed LINES of them or is asked to stop. It sleeps in between. With a network it also
// tells the time to whoever connects to port 13.

#include "date.hpp"

#include <charconv>
#include <mayfly/clock.hpp>
#include <mayfly/console.hpp>
#include <mayfly/net.hpp>
#include <stdio.h>
#include <string_view>

namespace
{

namespace net = mayfly::net;

constexpr int usage_error = 2;
constexpr std::uint16_t port = 13; // RFC 867

// Where connections come in; null without a network.
std::unique_ptr<net::listener> door;

struct line {
	char text[64];
	int size;
};

line line_of(std::uint64_t wall)
{
	const auto now = date_of(wall / mayfly::nanoseconds_per_second);
	line l;

	l.size = snprintf(l.text, sizeof l.text, "%04lu-%02u-%02uT%02u:%02u:%02uZ\n", now.year, now.month, now.day,
			  now.hour, now.minute, now.second);
	return l;
}

// Each gets the time, and that is all: what it says is not read.
void tell_all()
{
	while (auto *ready = net::next_ready()) {
		if (ready != door.get())
			continue;
		while (const auto connection = door->accept()) {
			const auto l = line_of(mayfly::wall_ns());
			connection->send(std::as_bytes(std::span(l.text, static_cast<std::size_t>(l.size))));
		}
	}
}

mayfly::events wait_until(std::uint64_t deadline)
{
	if (door == nullptr)
		return mayfly::wait_until(deadline);
	const auto came = net::poll(deadline);
	tell_all();
	return came;
}

// Sleeps until the wall clock shows @second; false if we shall stop before.
bool sleep_until(std::uint64_t second)
{
	const auto target = second * mayfly::nanoseconds_per_second;

	for (;;) {
		const auto wall = mayfly::wall_ns();
		if (wall >= target)
			return true;
		if (wait_until(mayfly::now_ns() + (target - wall)).stop())
			return false;
	}
}

}

int main(int argc, char **argv)
{
	std::uint64_t lines = UINT64_MAX;

	if (argc > 1) {
		const std::string_view text = argv[1];
		const auto [end, error] = std::from_chars(text.begin(), text.end(), lines);
		if (error != std::errc{} || end != text.end()) {
			mayfly::print("daytime: not a number of lines: %s\n", argv[1]);
			return usage_error;
		}
	}

	if (net::is_there())
		door = net::listener::listen(port);
	while (lines-- != 0) {
		const auto wall = mayfly::wall_ns();
		const auto l = line_of(wall);
		mayfly::write(std::string_view(l.text, static_cast<std::size_t>(l.size)));
		if (lines != 0 && !sleep_until(wall / mayfly::nanoseconds_per_second + 1))
			break;
	}
	return 0;
}
