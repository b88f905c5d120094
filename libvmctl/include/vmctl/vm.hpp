// SPDX-License-Identifier: Apache-2.0
/// \file
/// One VM, held by a descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "descriptor.hpp"
#include "vm_info.hpp"

namespace vmctl
{

/// Something to do with VMs.
enum class operation : std::uint32_t {
	start = MAYFLY_OP_START,   ///< EALREADY started, ESRCH ended, EBUSY in run()
	pause = MAYFLY_OP_PAUSE,   ///< EALREADY paused, ESRCH ended
	resume = MAYFLY_OP_RESUME, ///< EALREADY not paused, ESRCH ended
	kill = MAYFLY_OP_KILL,     ///< returns when it is dead; ESRCH ended before
	remove = MAYFLY_OP_REMOVE, ///< forgets an ended VM; EBUSY not ended
	notify = MAYFLY_OP_NOTIFY, ///< raises an event; ESRCH ended
};

/// A handle on one VM. A VM that was not spawned detached ends with its last
/// handle; others do not notice.
class vm final
{
public:
	/// Event channel that asks a guest to stop.
	static constexpr std::uint32_t stop_port = 0;

	/// Why run() came back.
	enum class outcome : std::uint32_t {
		ended = MAYFLY_RAN_ENDED,   ///< the VM has ended
		parked = MAYFLY_RAN_PARKED, ///< it waits, and until_park was asked for
		output = MAYFLY_RAN_OUTPUT, ///< its console grew, and until_output was asked for
	};

	static constexpr std::uint32_t until_park = MAYFLY_RUN_UNTIL_PARK;     ///< flag of run()
	static constexpr std::uint32_t until_output = MAYFLY_RUN_UNTIL_OUTPUT; ///< flag of run()

	/// Takes the descriptor that OPEN or SPAWN returned.
	explicit vm(descriptor handle) : handle_(std::move(handle)) {}

	/// The descriptor, still owned by this object: for poll() of your own.
	[[nodiscard]] int fd() const { return handle_.fd(); }

	/// Its row and counters, now.
	[[nodiscard]] result<mayfly_vm_stat> stat() const;

	/// Its row, now.
	[[nodiscard]] result<vm_info> info() const;

	/// Runs it in the calling thread, waiting included, until it ends or until
	/// what \p flags (until_park, until_output) ask for. EINTR when a signal came:
	/// call again. EBUSY when something else runs it, ESRCH when it had ended.
	[[nodiscard]] result<outcome> run(std::uint32_t flags = 0) const;

	/// Does \p what; \p port is notify's event channel. Errors: see operation.
	[[nodiscard]] result<void> control(operation what, std::uint32_t port = 0) const;

	/// The vCPU. EBUSY while it runs, ESRCH after the end.
	[[nodiscard]] result<mayfly_vcpu_state> state() const;

	/// Sets the vCPU. EBUSY unless never started or paused; EINVAL for a state
	/// that a CPU would refuse.
	[[nodiscard]] result<void> set_state(const mayfly_vcpu_state &state) const;

	/// Console bytes not yet read through this handle: how many, 0 when the VM has
	/// ended and all is read. Waits for some, unless set_nonblocking(): EAGAIN.
	[[nodiscard]] result<std::size_t> read(std::span<std::byte> buffer) const;

	/// Makes read() answer EAGAIN instead of waiting.
	[[nodiscard]] result<void> set_nonblocking() const;

	/// Waits up to \p timeout_ms milliseconds (-1: for ever) for console bytes or
	/// the end. The poll(2) events that came: 0, POLLIN or POLLIN | POLLHUP.
	[[nodiscard]] result<short> poll(int timeout_ms) const;

private:
	[[nodiscard]] result<void> call(unsigned long request, void *argument, const char *what) const;

	descriptor handle_;
};

} // namespace vmctl
