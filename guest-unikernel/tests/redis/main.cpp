// SPDX-License-Identifier: BSD-2-Clause
//
// A server at port 6379 that speaks as much of redis as redis-benchmark and redis-cli need for
// PING, SET and GET, until it is asked to stop.

#include <algorithm>
#include <array>
#include <charconv>
#include <mayfly/console.hpp>
#include <mayfly/net.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace
{

namespace net = mayfly::net;

constexpr std::uint16_t port = 6379;
constexpr std::size_t longest_command = 1 << 20;
constexpr long most_words = 1024;

// What a client has sent and nobody has read.
struct reader {
	std::string_view rest;
	bool is_wrong = false;

	// The next line, without its end; nothing if there is not all of it.
	std::optional<std::string_view> line()
	{
		const auto end = rest.find('\n');

		if (end == rest.npos)
			return std::nullopt;
		const auto found = rest.substr(0, end != 0 && rest[end - 1] == '\r' ? end - 1 : end);
		rest.remove_prefix(end + 1);
		return found;
	}

	// A line that is @mark and a number.
	std::optional<long> number(char mark, long most)
	{
		const auto text = line();
		long value = -1;

		if (!text)
			return std::nullopt;
		if (text->empty() || text->front() != mark ||
		    std::from_chars(text->begin() + 1, text->end(), value).ptr != text->end() || value < 0 ||
		    value > most)
			is_wrong = true;
		return value;
	}

	std::optional<std::string_view> bulk()
	{
		const auto length = number('$', longest_command);

		if (!length || is_wrong || rest.size() < static_cast<std::size_t>(*length) + 2)
			return std::nullopt;
		const auto bytes = rest.substr(0, static_cast<std::size_t>(*length));
		rest.remove_prefix(bytes.size() + 2);
		return bytes;
	}
};

using words = std::vector<std::string_view>;

words split(std::string_view text)
{
	words all;

	while (!text.empty()) {
		const auto end = std::min(text.find(' '), text.size());
		if (end != 0)
			all.push_back(text.substr(0, end));
		text.remove_prefix(std::min(end + 1, text.size()));
	}
	return all;
}

// The next command; nothing if there is not all of it, or something else.
std::optional<words> next_command(reader &from)
{
	words all;

	if (from.rest.empty())
		return std::nullopt;
	if (from.rest.front() != '*') {
		const auto line = from.line();
		return line ? std::optional(split(*line)) : std::nullopt;
	}
	const auto count = from.number('*', most_words);
	for (long i = 0; count && !from.is_wrong && i < *count; ++i) {
		const auto word = from.bulk();
		if (!word)
			return std::nullopt;
		all.push_back(*word);
	}
	return count && !from.is_wrong ? std::optional(all) : std::nullopt;
}

std::string bulk_of(std::string_view bytes)
{
	std::array<char, 24> length;
	const auto end = std::to_chars(length.begin(), length.end(), bytes.size()).ptr;

	return "$" + std::string(length.begin(), end) + "\r\n" + std::string(bytes) + "\r\n";
}

bool is(std::string_view word, std::string_view name)
{
	return std::ranges::equal(word, name, {}, [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
}

std::string answer_to(const words &command)
{
	static std::unordered_map<std::string, std::string> values;

	if (command.empty())
		return "";
	if (is(command[0], "PING") && command.size() <= 2)
		return command.size() == 1 ? "+PONG\r\n" : bulk_of(command[1]);
	if (is(command[0], "SET") && command.size() == 3) {
		values[std::string(command[1])] = command[2];
		return "+OK\r\n";
	}
	if (is(command[0], "GET") && command.size() == 2) {
		const auto found = values.find(std::string(command[1]));
		return found != values.end() ? bulk_of(found->second) : "$-1\r\n";
	}
	return "-ERR only PING, SET and GET are here\r\n";
}

struct client {
	std::unique_ptr<net::stream> connection;
	std::string came = {}, answers = {};

	// False when they cannot leave now, or ever.
	bool send_answers()
	{
		while (!answers.empty()) {
			const auto sent = connection->send(std::as_bytes(std::span(answers)));
			if (sent < 0)
				return false;
			answers.erase(0, static_cast<std::size_t>(sent));
		}
		return true;
	}

	// False when that was none of redis.
	bool answer_all()
	{
		reader from{came};
		auto used = from.rest;

		while (const auto command = next_command(from)) {
			answers += answer_to(*command);
			used = from.rest;
		}
		came.erase(0, came.size() - used.size());
		return !from.is_wrong && came.size() <= 2 * longest_command;
	}

	// False at its end.
	bool serve()
	{
		while (send_answers()) {
			const auto more = connection->peek();

			if (more.empty())
				return !connection->has_ended();
			came.append(reinterpret_cast<const char *>(more.data()), more.size());
			connection->consume(more.size());
			if (!answer_all())
				return false;
		}
		return connection->error() == 0;
	}
};

}

int main()
{
	const auto connections = net::listener::listen(port);

	while (!net::poll().stop())
		while (auto *ready = net::next_ready()) {
			if (ready != connections.get()) {
				if (auto *c = static_cast<client *>(ready->context); !c->serve())
					delete c;
				continue;
			}
			while (auto connection = connections->accept()) {
				auto *c = new client{std::move(connection)};
				c->connection->context = c;
			}
		}
	return 0;
}
