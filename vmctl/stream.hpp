// SPDX-License-Identifier: Apache-2.0
// Standard output and standard error, as verbs write to them.
#pragma once

#include <array>
#include <cerrno>
#include <cstdio>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "signals.hpp"

namespace vmctl::cli
{

// Writing never throws: nobody could be told that the messages cannot be written. The
// first error is kept, and what follows it is dropped.
class stream
{
public:
	// What a pipe does that nobody reads any more. SIGPIPE ends who only writes; who
	// has work to do is not to end half-way because of its messages.
	enum class unread { ends_us, is_dropped };

	explicit stream(std::FILE *to, unread then = unread::ends_us) : to_(to), unread_(then) {}
	stream(const stream &) = delete;
	stream &operator=(const stream &) = delete;

	void write(std::string_view text)
	{
		const auto lasting = outlive_pipe();

		if (!dropped_ && error_ == 0 && std::fwrite(text.data(), 1, text.size(), to_) != text.size())
			error_ = errno;
	}

	template <class... Arguments> void print(fmt::format_string<Arguments...> format, Arguments &&...arguments)
	{
		fmt::memory_buffer text;

		fmt::format_to(std::back_inserter(text), format, std::forward<Arguments>(arguments)...);
		write({text.data(), text.size()});
	}

	// Hands on what was written so far; false when some of it is lost. A verb then stops,
	// and dispatch() says why.
	bool flush()
	{
		const auto lasting = outlive_pipe();

		if (!dropped_ && error_ == 0 && std::fflush(to_) != 0)
			error_ = errno;
		return error_ == 0;
	}

	// From here on nothing is written, and nothing is lost: nobody wants it any more.
	void drop_rest()
	{
		dropped_ = true;
		error_ = 0;
	}

	// Why it is lost.
	[[nodiscard]] int error() const { return error_; }

private:
	[[nodiscard]] std::optional<handled_signals> outlive_pipe() const
	{
		if (unread_ == unread::ends_us)
			return {};
		return std::optional<handled_signals>(std::in_place, std::array{SIGPIPE}, SIG_IGN);
	}

	std::FILE *to_;
	unread unread_;
	int error_ = 0;
	bool dropped_ = false;
};

} // namespace vmctl::cli
