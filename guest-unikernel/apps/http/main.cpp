// SPDX-License-Identifier: BSD-2-Clause
//
// http: serves one page at port 80, until it is asked to stop.

#include "request.hpp"

#include <mayfly/console.hpp>
#include <mayfly/net.hpp>
#include <string_view>

namespace
{

namespace net = mayfly::net;
using namespace std::string_view_literals;

constexpr std::uint16_t port = 80;

constexpr auto page = "HTTP/1.1 200 OK\r\n"
		      "Content-Type: text/html\r\n"
		      "Content-Length: 53\r\n"
		      "\r\n"
		      "<!doctype html><title>Mayfly</title><p>It works.</p>\n"sv;
constexpr auto page_head = page.substr(0, page.find("<!"));
constexpr auto not_found = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"sv;
constexpr auto not_allowed = "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\n\r\n"sv;
constexpr auto bad_request = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"sv;

static_assert(page.size() - page_head.size() == 53);

std::string_view answer_to(const request &r)
{
	if (r.method != request::get && r.method != request::head)
		return not_allowed;
	if (r.path() != "/" && r.path() != "/index.html")
		return not_found;
	return r.method == request::get ? page : page_head;
}

struct client {
	std::unique_ptr<net::stream> connection;
	request_parser parser = {};
	std::string_view answer = {}; // that waits for room
	bool is_last = false;

	// False when it cannot be sent now, or ever.
	bool send_answer()
	{
		// The bytes are constants, so they are not copied.
		const auto result = connection->send_reference(std::as_bytes(std::span(answer)));

		if (result != -EAGAIN)
			answer = {};
		is_last = is_last || (result < 0 && result != -EAGAIN);
		return result == 0;
	}

	void read(std::string_view text)
	{
		connection->consume(parser.take(text));
		if (parser.is_bad()) {
			answer = bad_request;
			is_last = true;
		} else if (const auto *r = parser.done(); r != nullptr) {
			answer = answer_to(*r);
			is_last = !r->keep_alive;
			parser = {};
		}
	}

	// Answers what has come. False when that was the end.
	bool serve()
	{
		while (answer.empty() || send_answer()) {
			const auto came = connection->peek();

			if (is_last)
				return false;
			if (came.empty())
				return !connection->has_ended();
			read({reinterpret_cast<const char *>(came.data()), came.size()});
		}
		return !is_last || !answer.empty();
	}
};

void accept_all(net::listener &from)
{
	while (auto connection = from.accept()) {
		auto *c = new client{std::move(connection)};
		c->connection->context = c;
	}
}

}

int main()
{
	const auto connections = net::listener::listen(port);

	if (connections == nullptr) {
		mayfly::print("http: no memory\n");
		return 1;
	}
	for (;;) {
		while (auto *ready = net::next_ready()) {
			if (ready == connections.get())
				accept_all(*connections);
			else if (auto *c = static_cast<client *>(ready->context); !c->serve())
				delete c;
		}
		if (net::poll().stop())
			return 0;
	}
}
