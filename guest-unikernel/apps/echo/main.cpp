// SPDX-License-Identifier: BSD-2-Clause
//
// echo: sends back what comes to its port 7, by TCP and by UDP, until it is asked to stop.

#include <mayfly/console.hpp>
#include <mayfly/net.hpp>

namespace
{

namespace net = mayfly::net;

constexpr std::uint16_t port = 7; // RFC 862

struct client {
	std::unique_ptr<net::stream> connection;

	// As much as it takes: what it does not read is not read from it. False at the end.
	bool serve()
	{
		for (auto came = connection->peek(); !came.empty(); came = connection->peek()) {
			const auto sent = connection->send(came);
			if (sent < 0)
				return sent == -EAGAIN;
			connection->consume(static_cast<std::size_t>(sent));
		}
		return !connection->has_ended();
	}
};

void accept_all(net::listener &from)
{
	while (auto connection = from.accept()) {
		auto *c = new client{std::move(connection)};
		c->connection->context = c;
	}
}

void answer_all(net::datagrams &at)
{
	// Memory for the largest, of which there is what has been used.
	constexpr std::size_t size_most = 65536;
	static auto *const memory = new std::byte[size_most];
	const std::span buffer(memory, size_most);
	net::endpoint from;

	for (;;) {
		const auto size = at.receive(buffer, from);
		if (size < 0)
			return;
		at.send(buffer.first(static_cast<std::size_t>(size)), from);
	}
}

}

int main()
{
	const auto connections = net::listener::listen(port);
	const auto datagrams = net::datagrams::bind(port);

	if (connections == nullptr || datagrams == nullptr) {
		mayfly::print("echo: no memory\n");
		return 1;
	}
	for (;;) {
		while (auto *ready = net::next_ready()) {
			if (ready == datagrams.get())
				answer_all(*datagrams);
			else if (ready == connections.get())
				accept_all(*connections);
			else if (auto *c = static_cast<client *>(ready->context); !c->serve())
				delete c;
		}
		if (net::poll().stop())
			return 0;
	}
}
