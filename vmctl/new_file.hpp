// SPDX-License-Identifier: Apache-2.0
// A file that is written as a whole or not at all.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include <vmctl/vmctl.hpp>

#include "signals.hpp"

namespace vmctl::cli
{

// Until finish() has put it in its place, there is under its name what was there before, also
// when a signal ends us. There is one at a time. What is no regular file, and standard output for "-", is written to
// directly.
class new_file final
{
public:
	[[nodiscard]] static result<new_file> begin(const std::string &wanted);

	new_file(new_file &&other) noexcept;
	new_file &operator=(new_file &&) = delete;
	~new_file();

	[[nodiscard]] result<void> write(std::span<const std::byte> bytes) const;
	// Can it be known that all is where it stays? Of a pipe it cannot.
	[[nodiscard]] bool can_be_synced() const;
	// On the disk, and under its name.
	[[nodiscard]] result<void> finish();

private:
	new_file(std::string path, std::string temporary, int fd, int folder);

	[[nodiscard]] result<void> sync() const;

	std::string path_;
	std::string temporary_; // empty once it is in its place, or when there is none
	int fd_;
	int folder_;                               // of path_, or -1
	std::unique_ptr<handled_signals> removal_; // of temporary_ when a signal ends us
};

} // namespace vmctl::cli
