// SPDX-License-Identifier: Apache-2.0
/// \file
/// One VM, held by a descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "descriptor.hpp"
#include "operation.hpp"
#include "vm_info.hpp"

namespace vmctl
{

/// A handle on one VM. A VM that was not spawned detached ends with its last
/// handle; others do not notice.
class vm final
{
public:
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

	/// Hands it to the module's workers. EALREADY, ESRCH, EBUSY, EXDEV, EAGAIN,
	/// ENOMEM: see operation::start.
	[[nodiscard]] result<void> start() const;

	/// Holds it where it is; returns when it is held. EALREADY paused, ESRCH ended.
	[[nodiscard]] result<void> pause() const;

	/// Lets it go on. EALREADY not paused, ESRCH ended.
	[[nodiscard]] result<void> resume() const;

	/// Ends it; returns when it is dead. ESRCH ended before.
	[[nodiscard]] result<void> kill() const;

	/// Forgets it; this handle can still read what is left. EBUSY not ended, ENOENT
	/// removed before.
	[[nodiscard]] result<void> remove() const;

	/// Raises the event of \p port, below event_ports. EINVAL no such port, ESRCH
	/// ended.
	[[nodiscard]] result<void> notify(std::uint32_t port) const;

	/// Raises the event that asks a guest to stop, which it may not heed. ESRCH ended.
	[[nodiscard]] result<void> ask_to_stop() const { return notify(stop_port); }

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
	[[nodiscard]] result<void> control(operation what, std::uint32_t port = 0) const;

	descriptor handle_;
};

} // namespace vmctl
