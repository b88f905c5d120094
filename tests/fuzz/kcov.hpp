// SPDX-License-Identifier: Apache-2.0
//
// Which places of the kernel a thread's system calls have come to, where the
// kernel can tell.

#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include <fcntl.h>
#include <linux/kcov.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace fuzz
{

/// One thread's coverage. Opened by anybody with the right to, enabled by the
/// thread itself.
class kcov final
{
public:
	kcov() : fd_(open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC))
	{
		if (fd_ < 0 || ioctl(fd_, KCOV_INIT_TRACE, words))
			return;
		void *const all = mmap(nullptr, words * sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd_,
				       0);

		if (all != MAP_FAILED)
			trace_ = static_cast<std::uint64_t *>(all);
	}
	~kcov()
	{
		if (trace_)
			munmap(trace_, words * sizeof(std::uint64_t));
		if (fd_ >= 0)
			close(fd_);
	}
	kcov(const kcov &) = delete;
	kcov &operator=(const kcov &) = delete;

	[[nodiscard]] bool works() const { return trace_; }
	/// For the calling thread, until it ends.
	void enable()
	{
		if (trace_ && ioctl(fd_, KCOV_ENABLE, KCOV_TRACE_PC))
			trace_ = nullptr;
	}
	void forget()
	{
		if (trace_)
			std::atomic_ref(trace_[0]).store(0, std::memory_order_relaxed);
	}
	/// Addresses since forget().
	[[nodiscard]] std::span<const std::uint64_t> seen() const
	{
		if (!trace_)
			return {};
		return {trace_ + 1, std::atomic_ref(trace_[0]).load(std::memory_order_relaxed)};
	}

private:
	static constexpr std::size_t words = 1 << 16;

	int fd_;
	std::uint64_t *trace_ = nullptr;
};

}
