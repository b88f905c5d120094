// SPDX-License-Identifier: Apache-2.0
// A program that is started to speak with.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>
#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

// Its standard input and output are ours; messages go where ours go. Whoever writes must
// not be ended by SIGPIPE.
class channel final
{
public:
	// Starts `command`, a program and its arguments. Reads and writes fail with ETIMEDOUT
	// when nothing has moved for as long as `patience`.
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
	// No more is written. It has time to end by itself.
	void finish();

private:
	channel(pid_t child, descriptor to, descriptor from, std::chrono::milliseconds patience);

	[[nodiscard]] result<void> wait_for(int fd, short events) const;

	pid_t child_;
	descriptor to_, from_;
	std::chrono::milliseconds patience_;
};

} // namespace vmctl::cli
