// SPDX-License-Identifier: Apache-2.0
//
// One who waits until a guest says that it is ready.

#pragma once

#include <atomic>
#include <thread>

#include "machine.hpp"

namespace live
{

inline bool is_awaited(const machine &vm)
{
	return (vm.info().flags & MAYFLY_VM_AWAITED) != 0;
}

/// One who waits in a thread of its own for a snapshot of a VM that is ready.
class waiter
{
public:
	explicit waiter(const machine &vm)
		: thread_([this, &vm] {
			  id_ = gettid();
			  fd_ = take_snapshot(vm, "", MAYFLY_SNAPSHOT_WHEN_READY);
		  })
	{
	}
	[[nodiscard]] pid_t id() const { return id_; }
	/// An image descriptor, or a negative errno.
	int end()
	{
		thread_.join();
		return fd_;
	}

private:
	std::atomic<pid_t> id_ = 0;
	int fd_ = 0;
	std::thread thread_;
};

}
