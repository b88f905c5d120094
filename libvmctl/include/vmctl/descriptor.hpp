// SPDX-License-Identifier: Apache-2.0
/// \file
/// A file descriptor that closes itself.
#pragma once

#include <utility>

#include "system.hpp"

namespace vmctl
{

/// Owns one file descriptor of one system.
class descriptor final
{
public:
	/// Owns nothing.
	descriptor() = default;

	/// Takes \p fd, which \p calls opened and will close.
	descriptor(system &calls, int fd) : system_(&calls), fd_(fd) {}

	descriptor(descriptor &&other) noexcept : system_(other.system_), fd_(std::exchange(other.fd_, -1)) {}

	descriptor &operator=(descriptor &&other) noexcept
	{
		std::swap(system_, other.system_);
		std::swap(fd_, other.fd_);
		return *this;
	}

	~descriptor()
	{
		if (fd_ >= 0)
			system_->close(fd_);
	}

	/// True while it owns a descriptor.
	explicit operator bool() const { return fd_ >= 0; }

	/// The number, still owned by this object; -1 when it owns none.
	[[nodiscard]] int fd() const { return fd_; }

	/// The system it was opened with.
	[[nodiscard]] system &calls() const { return *system_; }

private:
	system *system_ = nullptr;
	int fd_ = -1;
};

} // namespace vmctl
