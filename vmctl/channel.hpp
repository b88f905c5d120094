// SPDX-License-Identifier: Apache-2.0
// A program that is started to speak with.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>
#include <vmctl/vmctl.hpp>

#include "signals.hpp"

namespace vmctl::cli
{

// Its standard input and output are ours; messages go where ours go. Whoever writes must
// not be ended by SIGPIPE. Ctrl-C is for us alone: a signal that ends us ends the program, too.
// There is one at a time.
class channel final
{
public:
	// Starts `command`, a program and its arguments. Reads and writes fail with ETIMEDOUT
	// when nothing could be written, or no line came, for as long as `patience`.
	[[nodiscard]] static result<channel> open(system &calls, std::vector<std::string> command,
						  std::chrono::milliseconds patience);

	channel(channel &&other) noexcept;
	channel &operator=(channel &&) = delete;
	// Ends the program, and waits for that.
	~channel();

	// EPIPE: it does not listen. Up to PIPE_BUF bytes, into a pipe that the other side has
	// emptied, are written as a whole or not at all.
	[[nodiscard]] result<void> write(std::span<const std::byte> bytes) const;
	[[nodiscard]] result<void> write_line(const std::string &line) const;
	// Without its end. EPIPE: there will be none.
	[[nodiscard]] result<std::string> read_line() const;
	// No more is written. It has a few seconds to end by itself.
	void finish();

private:
	channel(pid_t child, descriptor to, descriptor from, std::chrono::milliseconds patience);

	using clock = std::chrono::steady_clock;

	[[nodiscard]] static result<void> wait_for(int fd, short events, clock::time_point until);

	pid_t child_;
	descriptor to_, from_;
	std::chrono::milliseconds patience_;
	std::unique_ptr<handled_signals> ending_; // of the program when a signal ends us
};

} // namespace vmctl::cli
