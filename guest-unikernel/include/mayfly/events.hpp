// SPDX-License-Identifier: BSD-2-Clause
//
// Waiting, which costs the host nothing, and being woken.

#pragma once

#include <cstdint>
#include <mayfly/hypercall.hpp>

namespace mayfly
{

/// The events a wait has ended with, one bit a port; they are cleared by it.
struct events {
	std::uint64_t ports;

	/// Whether there was any; if not, the deadline has passed.
	explicit operator bool() const { return ports != 0; }

	/// Whether the event of @p port (below 64) was among them.
	bool has(unsigned port) const { return (ports >> port & 1) != 0; }

	/// Whether the owner asks this VM to end: return from main() soon.
	bool stop() const { return has(MAYFLY_EVENT_STOP); }
};

/// Calls the hook of mayfly/ready.hpp if this VM has become another one. Null in programs
/// without that hook.
[[gnu::weak]] void notice_generation();

/// What everything does that may come back in a clone.
inline void notice_generation_if_asked()
{
	if (notice_generation != nullptr)
		notice_generation();
}

/// Sleeps until an event comes or now_ns() reaches @p deadline, in nanoseconds.
/// A deadline in the past only collects what is pending.
inline events wait_until(std::uint64_t deadline)
{
	const events came = {static_cast<std::uint64_t>(hypercall(MAYFLY_HC_WAIT, deadline))};
	notice_generation_if_asked();
	return came;
}

/// Sleeps until an event comes.
inline events wait_forever()
{
	return wait_until(MAYFLY_FOREVER);
}

/// Kicks the event channel @p port. Returns 0, or -ENOENT (-2) where there is
/// no such channel.
inline int notify(std::uint64_t port)
{
	return static_cast<int>(hypercall(MAYFLY_HC_NOTIFY, port));
}

}
