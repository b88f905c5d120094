// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// What http wants to know of a request. RFC 9112, 3
struct request {
	enum kind { get, head, other } method = other;
	bool keep_alive = true;
	std::array<char, 64> target{}; // longer ones are cut, and not found
	std::size_t length = 0;

	std::string_view path() const
	{
		const std::string_view all(target.data(), length);
		return all.substr(0, all.find('?'));
	}
};

/// A request's header, byte by byte as it comes. Requests with a body are bad: there is
/// nothing here that one could be sent to.
class request_parser
{
public:
	/// Takes bytes up to the end of a request. Returns how many.
	std::size_t take(std::string_view text)
	{
		std::size_t used = 0;

		while (used != text.size() && !is_done_ && !is_bad_)
			take(text[used++]);
		return used;
	}

	const request *done() const { return is_done_ ? &request_ : nullptr; }
	bool is_bad() const { return is_bad_; }

private:
	static constexpr std::size_t longest_header = 8192;

	void take(char c)
	{
		if (++size_ > longest_header)
			is_bad_ = true;
		else if (c == '\n')
			end_line();
		else if (c != '\r' && length_ < line_.size())
			line_[length_++] = c;
	}

	// Only the first bytes of a line are kept: enough for what matters.
	void end_line()
	{
		const std::string_view line(line_.data(), length_);

		length_ = 0;
		if (line.empty())
			is_done_ = has_first_line_; // empty lines in front of a request are no mistake
		else if (has_first_line_)
			read_field(line);
		else
			read_first(line);
	}

	void read_first(std::string_view line)
	{
		const auto method = line.substr(0, line.find(' '));
		auto rest = line.substr(std::min(line.size(), method.size() + 1));
		const auto target = rest.substr(0, rest.find(' '));

		has_first_line_ = true;
		is_bad_ = method.empty() || !target.starts_with('/');
		request_.method = method == "GET" ? request::get : method == "HEAD" ? request::head : request::other;
		request_.length = std::min(target.size(), request_.target.size());
		std::ranges::copy_n(target.begin(), static_cast<std::ptrdiff_t>(request_.length),
				    request_.target.begin());
		request_.keep_alive = !line.ends_with("HTTP/1.0");
	}

	void read_field(std::string_view line)
	{
		const auto name = line.substr(0, line.find(':'));
		auto value = line.substr(std::min(line.size(), name.size() + 1));

		while (value.starts_with(' '))
			value.remove_prefix(1);
		if (is_same(name, "connection") && is_same(value, "close"))
			request_.keep_alive = false;
		else if (is_same(name, "connection") && is_same(value, "keep-alive"))
			request_.keep_alive = true;
		else if (is_same(name, "transfer-encoding") || (is_same(name, "content-length") && value != "0"))
			is_bad_ = true;
	}

	static char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

	// Without regard to case; @b is small.
	static bool is_same(std::string_view a, std::string_view b)
	{
		return std::ranges::equal(a, b, [](char x, char y) { return small(x) == y; });
	}

	request request_;
	std::array<char, 128> line_{};
	std::size_t length_ = 0;
	std::size_t size_ = 0;
	bool has_first_line_ = false;
	bool is_done_ = false;
	bool is_bad_ = false;
};
