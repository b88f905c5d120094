// SPDX-License-Identifier: Apache-2.0
/// \file
/// A VM at a glance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <mayfly.h>

namespace vmctl
{

/// Where a VM stands in its life.
enum class vm_state : std::uint32_t {
	ready = MAYFLY_READY,     ///< waits for a worker, or was never started
	running = MAYFLY_RUNNING, ///< on a CPU
	parked = MAYFLY_PARKED,   ///< blocked in wait; costs no CPU
	paused = MAYFLY_PAUSED,   ///< held by its owner
	ended = MAYFLY_ENDED,     ///< see end_reason
};

/// Why a VM ended.
enum class end_reason : std::uint32_t {
	none = MAYFLY_END_NONE,                 ///< it has not
	exited = MAYFLY_END_EXITED,             ///< it called exit
	killed = MAYFLY_END_KILLED,             ///< someone killed it
	triple_fault = MAYFLY_END_TRIPLE_FAULT, ///< a fault its fault handlers could not take
	bad_access = MAYFLY_END_BAD_ACCESS,     ///< outside its memory, or a forbidden write
	bad_state = MAYFLY_END_BAD_STATE,       ///< the CPU refused one of its registers
	no_memory = MAYFLY_END_NO_MEMORY,       ///< the host, or its cgroup, had none left
	entry_failed = MAYFLY_END_ENTRY_FAILED, ///< the CPU refused to enter it, who knows why
	limit = MAYFLY_END_LIMIT,               ///< its user's VMs, or all, would hold more than they may
};

/// One word: `ready`, `running`, `parked`, `paused`, `ended`; `?` for a state
/// this library does not know.
[[nodiscard]] std::string_view to_string(vm_state state);

/// One word: `exited`, `killed`, `triple-fault`, `bad-access`, `bad-state`,
/// `no-memory`, `entry-failed`, `limit`; empty for none, `?` for a reason this
/// library does not know.
[[nodiscard]] std::string_view to_string(end_reason reason);

/// One row of device::list(): a copy, true when it was taken.
class vm_info final
{
public:
	/// All zero: no VM has id 0.
	vm_info() = default;

	/// Takes the module's row as it is.
	explicit vm_info(const mayfly_vm_info &row) : row_(row) {}

	/// Unique for the life of the module, from 1.
	[[nodiscard]] std::uint64_t id() const { return row_.id; }
	/// Unique among its owner's VMs. Points into this object.
	[[nodiscard]] std::string_view name() const { return text(row_.name); }
	/// Name of the image. Points into this object. Not to be trusted on a terminal.
	[[nodiscard]] std::string_view image() const { return text(row_.image); }
	/// Where it stands.
	[[nodiscard]] vm_state state() const { return static_cast<vm_state>(row_.state); }
	/// True when state() is ended.
	[[nodiscard]] bool ended() const { return row_.state == MAYFLY_ENDED; }
	/// Why it ended; none while alive.
	[[nodiscard]] end_reason reason() const { return static_cast<end_reason>(row_.reason); }
	/// The guest's status; means something only when reason() is exited.
	[[nodiscard]] std::int32_t status() const { return row_.status; }
	/// Everything else the module tells (bytes, Unix ns), as documented in mayfly.h.
	[[nodiscard]] const mayfly_vm_info &raw() const { return row_; }
	/// The row, to be filled by the module.
	[[nodiscard]] mayfly_vm_info &raw() { return row_; }

	/// How it ended, for people: `triple fault at rip 0xffffffff80020000`,
	/// `exited with status 3`. Empty while alive.
	[[nodiscard]] std::string end_text() const;

private:
	static std::string_view text(const char (&field)[MAYFLY_NAME_SIZE]);

	mayfly_vm_info row_{};
};

} // namespace vmctl
