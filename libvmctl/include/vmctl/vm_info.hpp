// SPDX-License-Identifier: Apache-2.0
/// \file
/// A VM at a glance.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "address.hpp"

namespace vmctl
{

/// Where a VM stands in its life.
enum class vm_state : std::uint32_t {
	ready = 0,   ///< waits for a worker, or was never started
	running = 1, ///< on a CPU
	parked = 2,  ///< blocked in wait; costs no CPU
	paused = 3,  ///< held by its owner
	ended = 4,   ///< see end_reason
};

/// Why a VM ended; the same on every CPU.
enum class end_reason : std::uint32_t {
	none = 0,           ///< it has not
	exited = 1,         ///< it called exit
	killed = 2,         ///< someone killed it
	triple_fault = 3,   ///< a fault its fault handlers could not take
	bad_access = 4,     ///< outside its memory, or a forbidden write
	bad_state = 5,      ///< the CPU refused one of its registers
	no_memory = 6,      ///< the host, or its cgroup, had none left
	entry_failed = 7,   ///< the CPU refused to enter it, who knows why
	limit = 8,          ///< its user's VMs, or all, would hold more than they may
	split_lock = 9,     ///< a locked access across cache lines, which the host forbids
	broken_memory = 10, ///< hardware of the host has found its memory broken
};

/// One word: `ready`, `running`, `parked`, `paused`, `ended`; `?` for a state
/// this library does not know.
[[nodiscard]] std::string_view to_string(vm_state state);

/// One word: `exited`, `killed`, `triple-fault`, `bad-access`, `bad-state`,
/// `no-memory`, `entry-failed`, `limit`; empty for none, `?` for a reason this
/// library does not know.
[[nodiscard]] std::string_view to_string(end_reason reason);

/// Where a VM is on a network.
struct vm_place {
	std::uint32_t ip4 = 0;     ///< its address, as a number: 10.9.0.2 is 0x0a090002
	ip6_address ip6{};         ///< all zero without one
	std::uint32_t network = 0; ///< interface index; 0 where this network namespace has it not

	[[nodiscard]] bool has_ip6() const { return ip6 != ip6_address{}; }
};

/// That a VM has ended.
struct vm_end {
	std::uint64_t id = 0;                 ///< the VM
	end_reason reason = end_reason::none; ///< why
	std::int32_t status = 0;              ///< the guest's, when reason is exited

	bool operator==(const vm_end &) const = default;
};

/// A VM at a glance, as of when it was asked.
struct vm_info {
	/// Unique for the life of the module, from 1; 0 is no VM.
	std::uint64_t id = 0;
	/// Unique among its owner's VMs.
	std::string name{};
	/// The image's id.
	std::uint64_t image_id = 0;
	/// The image's label. Not to be trusted on a terminal.
	std::string image{};
	/// Where it stands.
	vm_state state = vm_state::ready;
	/// Why it ended; none while alive.
	end_reason reason = end_reason::none;
	/// The guest's status; means something only when reason is exited.
	std::int32_t status = 0;
	/// Its owner, as the caller's user namespace sees it.
	std::uint32_t uid = 0;
	/// Bytes of guest memory, as asked for.
	std::uint64_t memory = 0;
	/// Bytes it holds alone: guest pages, tables, the module's structures.
	std::uint64_t private_bytes = 0;
	/// Times it left guest mode.
	std::uint64_t exits = 0;
	/// Nanoseconds it has been run.
	std::uint64_t cpu_ns = 0;
	/// When it was made: nanoseconds of Unix time.
	std::uint64_t created_ns = 0;
	/// When it ended: nanoseconds of Unix time, 0 while alive.
	std::uint64_t ended_ns = 0;
	/// Virtual address where it ended, 0 while alive. After a triple fault on SVM it
	/// is where the guest was last entered.
	std::uint64_t rip = 0;
	/// Guest-physical address of a bad access; after a bad state whose register this
	/// library does not know, where the module keeps it.
	std::uint64_t address = 0;
	/// After a bad state the register of vcpu_state that no CPU would take; text of
	/// this library, or empty.
	std::string_view bad_register{};
	/// The CPU's own code for a bad state or a failed entry, for the bug report.
	std::uint64_t detail = 0;
	/// It outlives whoever made it.
	bool detached = false;
	/// It belongs to the module's workers.
	bool started = false;
	/// It is parked, and what can be derived was given back.
	bool cold = false;
	/// Somebody waits for a snapshot until its guest is ready.
	bool awaited = false;
	/// Where it is on networks; nothing after its end.
	std::vector<vm_place> places{};

	/// True when state is ended.
	[[nodiscard]] bool ended() const { return state == vm_state::ended; }

	/// How it ended, for people: `triple fault at rip 0xffffffff80020000`,
	/// `exited with status 3`. Empty while alive.
	[[nodiscard]] std::string end_text() const;
};

} // namespace vmctl
