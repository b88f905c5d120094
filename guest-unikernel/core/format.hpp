// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdarg>
#include <cstddef>

/// Where formatted text goes: a buffer and what to do when it is full.
class sink
{
public:
	/// Collects into the @p size bytes at @p buffer. When they are full
	/// @p flush gets the sink and may clear() it; without it, or if it does
	/// not, the rest is only counted.
	sink(char *buffer, std::size_t size, void (*flush)(sink &) = nullptr)
		: buffer_(buffer), size_(size), flush_(flush)
	{
	}

	/// Adds one byte.
	void put(char c);

	/// Adds @p count times the same byte.
	void fill(char c, std::size_t count);

	/// Adds @p length bytes.
	void put(const char *text, std::size_t length);

	/// What is in the buffer.
	const char *data() const { return buffer_; }
	std::size_t used() const { return used_; }
	void clear() { used_ = 0; }

	/// Bytes added so far, whether or not they had room.
	std::size_t total() const { return total_; }

private:
	char *buffer_;
	std::size_t size_;
	void (*flush_)(sink &);
	std::size_t used_ = 0;
	std::size_t total_ = 0;
};

/// printf's engine without floating point; see mayfly::print for what it knows.
/// A conversion it does not know is copied as it stands, and ends the work:
/// nobody can tell what its argument was.
[[gnu::format(printf, 2, 0)]] void format(sink &out, const char *format, va_list arguments);
