// SPDX-License-Identifier: Apache-2.0
// Standard output and standard error, as verbs write to them.
#pragma once

#include <cerrno>
#include <cstdio>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace vmctl::cli
{

// Writing never throws: nobody could be told that the messages cannot be written. The
// first error is kept, and what follows it is dropped.
class stream
{
public:
	explicit stream(std::FILE *to) : to_(to) {}
	stream(const stream &) = delete;
	stream &operator=(const stream &) = delete;

	void write(std::string_view text)
	{
		if (error_ == 0 && std::fwrite(text.data(), 1, text.size(), to_) != text.size())
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
		if (error_ == 0 && std::fflush(to_) != 0)
			error_ = errno;
		return error_ == 0;
	}

	// Why it is lost.
	[[nodiscard]] int error() const { return error_; }

private:
	std::FILE *to_;
	int error_ = 0;
};

} // namespace vmctl::cli
