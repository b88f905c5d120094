// SPDX-License-Identifier: Apache-2.0
/// \file
/// What can be done with VMs.
#pragma once

#include <cstdint>
#include <string>

namespace vmctl
{

/// Something to do with VMs. Each fails with ENOENT when there is no such VM and
/// with EPERM when it is someone else's, and as said here.
enum class operation : std::uint32_t {
	start = 1,  ///< hands it to the workers: EALREADY started, ESRCH ended, EBUSY in vm::run(), EXDEV its
		    ///< creator's cgroup has no workers and the caller is in another one, EAGAIN too many threads,
		    ///< ENOMEM
	pause = 2,  ///< returns when it is held: EALREADY paused, ESRCH ended
	resume = 3, ///< lets it go on: EALREADY not paused, ESRCH ended
	kill = 4,   ///< returns when it is dead: ESRCH ended before
	remove = 5, ///< forgets an ended VM: EBUSY not ended
	notify = 6, ///< raises an event: ESRCH ended, EINVAL no such port
};

/// Event port that asks a guest to stop.
inline constexpr std::uint32_t stop_port = 0;

/// Why errno \p code was the answer to \p what, as said of a VM: `has ended already`.
[[nodiscard]] std::string refusal(operation what, int code);

/// Does \p what with the VM that \p fd is a handle of, see vm::fd(), and may be
/// called by a signal handler: it takes no memory, asks the kernel itself and leaves
/// errno alone. \p port is notify's event port. 0 or a positive errno; EINTR when
/// another signal came.
int control_in_handler(int fd, operation what, std::uint32_t port = 0) noexcept;

} // namespace vmctl
