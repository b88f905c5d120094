// SPDX-License-Identifier: Apache-2.0
/// \file
/// One VM, held by a descriptor.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "descriptor.hpp"
#include "image.hpp"
#include "operation.hpp"
#include "vcpu_state.hpp"
#include "vm_stat.hpp"

namespace vmctl
{

/// When vm::run() comes back, besides the end.
struct run_options {
	bool until_park = false;   ///< instead of waiting
	bool until_output = false; ///< when the console has grown
	bool until_ready = false;  ///< when the guest says that it is ready for a snapshot
};

/// Why vm::run() came back.
enum class run_result : std::uint32_t {
	ended = 1,  ///< the VM has ended
	parked = 2, ///< it waits, and until_park was asked for
	output = 3, ///< its console grew, and until_output was asked for
	ready = 5,  ///< its guest is ready, and until_ready was asked for
};

/// What vm::poll() found.
enum class poll_result {
	nothing, ///< the time has passed
	output,  ///< console bytes to read
	ended,   ///< the VM has ended; its last console bytes may still be there
};

/// A handle on one VM. A VM that was not spawned detached ends with its last
/// handle; others do not notice.
class vm final
{
public:
	/// Takes the descriptor that the module gave out for a VM.
	explicit vm(descriptor handle) : handle_(std::move(handle)) {}

	/// The descriptor, still owned by this object: for poll(2) of your own.
	[[nodiscard]] int fd() const { return handle_.fd(); }

	/// All that is counted of it, now.
	[[nodiscard]] result<vm_stat> stat() const;

	/// The VM at a glance, now.
	[[nodiscard]] result<vm_info> info() const;

	/// Hands it to the module's workers. EALREADY, ESRCH, EBUSY, EXDEV, EAGAIN,
	/// ENOMEM: see operation::start.
	[[nodiscard]] result<void> start() const;

	/// Holds it where it is; returns when it is held. EALREADY paused, ESRCH ended.
	[[nodiscard]] result<void> pause() const;

	/// The same, but only until resume(), or until this handle is closed, as it is when this
	/// process dies; pause() then makes it last. EBUSY: somebody holds it already.
	[[nodiscard]] result<void> hold() const;

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

	/// Runs it in the calling thread, waiting included, until it ends or what
	/// \p options name. EINTR when a signal's handler has run: call again. EBUSY when something
	/// else runs it, ESRCH when it had ended.
	[[nodiscard]] result<run_result> run(run_options options = {}) const;

	/// The vCPU. EBUSY while it runs, ESRCH after the end, ENOMEM.
	[[nodiscard]] result<vcpu_state> state() const;

	/// Sets the vCPU; whether the guest waits is part of the state. EBUSY
	/// unless never started or paused, ESRCH after the end, EINVAL for a state that a
	/// CPU would refuse, ENOMEM.
	[[nodiscard]] result<void> set_state(const vcpu_state &state) const;

	/// Guest memory from \p gpa on, as the guest sees it. EBUSY unless never started
	/// or paused, ESRCH after the end, EFAULT what is not its memory, ENOMEM, EDQUOT.
	[[nodiscard]] result<void> read_memory(std::uint64_t gpa, std::span<std::byte> buffer) const;

	/// Writes guest memory from \p gpa on, code and read-only data included; other VMs
	/// of the image do not notice. Errors as read_memory(), after which the first
	/// pages may have been written.
	[[nodiscard]] result<void> write_memory(std::uint64_t gpa, std::span<const std::byte> bytes) const;

	/// Makes an image of it as it is now, wherever it is, and lets it go on. Nothing is
	/// copied: its pages are the image's from now on, and VMs that are made from the image
	/// go on from here, each with an id, arguments, a console and random numbers of its
	/// own. With \p name as image::tag(). EEXIST, EINVAL, ESRCH after the end, EDQUOT more
	/// bytes than somebody may have, ENOMEM.
	[[nodiscard]] result<image> snapshot(std::string_view name = {}, bool replace = false) const;

	/// The same, but waits until the guest says that it is ready the next time, and takes
	/// it right there: in every VM made from the image that call returns again. Errors as
	/// snapshot(), and EBUSY when somebody else waits for that, EINTR when a signal came.
	[[nodiscard]] result<image> snapshot_when_ready(std::string_view name = {}, bool replace = false) const;

	/// The arguments that it was made with.
	[[nodiscard]] result<std::vector<std::string>> arguments() const;

	/// Console bytes not yet read through this handle: how many, 0 when the VM has
	/// ended and all is read. Waits for some, unless set_nonblocking(): EAGAIN. EINTR
	/// when a signal came.
	[[nodiscard]] result<std::size_t> read(std::span<std::byte> buffer) const;

	/// Makes read() answer EAGAIN instead of waiting.
	[[nodiscard]] result<void> set_nonblocking() const;

	/// Waits for console bytes or the end, up to \p timeout or, without one, for ever.
	/// EINTR when a signal came.
	[[nodiscard]] result<poll_result> poll(std::optional<std::chrono::milliseconds> timeout = {}) const;

private:
	[[nodiscard]] result<void> control(operation what, std::uint32_t port = 0, std::uint32_t flags = 0) const;
	[[nodiscard]] result<image> snapshot(std::string_view name, bool replace, std::uint32_t flags) const;

	descriptor handle_;
};

} // namespace vmctl
