// SPDX-License-Identifier: Apache-2.0
// Rows, and words for states and ends.
#include "vmctl/vm_info.hpp"

#include <algorithm>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "convert.hpp"

namespace vmctl
{

static_assert(std::to_underlying(vm_state::ready) == MAYFLY_READY);
static_assert(std::to_underlying(vm_state::running) == MAYFLY_RUNNING);
static_assert(std::to_underlying(vm_state::parked) == MAYFLY_PARKED);
static_assert(std::to_underlying(vm_state::paused) == MAYFLY_PAUSED);
static_assert(std::to_underlying(vm_state::ended) == MAYFLY_ENDED);

static_assert(std::to_underlying(end_reason::none) == MAYFLY_END_NONE);
static_assert(std::to_underlying(end_reason::exited) == MAYFLY_END_EXITED);
static_assert(std::to_underlying(end_reason::killed) == MAYFLY_END_KILLED);
static_assert(std::to_underlying(end_reason::triple_fault) == MAYFLY_END_TRIPLE_FAULT);
static_assert(std::to_underlying(end_reason::bad_access) == MAYFLY_END_BAD_ACCESS);
static_assert(std::to_underlying(end_reason::bad_state) == MAYFLY_END_BAD_STATE);
static_assert(std::to_underlying(end_reason::no_memory) == MAYFLY_END_NO_MEMORY);
static_assert(std::to_underlying(end_reason::entry_failed) == MAYFLY_END_ENTRY_FAILED);
static_assert(std::to_underlying(end_reason::limit) == MAYFLY_END_LIMIT);
static_assert(std::to_underlying(end_reason::split_lock) == MAYFLY_END_SPLIT_LOCK);
static_assert(std::to_underlying(end_reason::broken_memory) == MAYFLY_END_BROKEN_MEMORY);

namespace
{

std::vector<vm_place> read_places(const mayfly_vm_info &raw)
{
	std::vector<vm_place> places;

	for (const mayfly_vm_net &net : raw.nets) {
		if (net.ip4 == 0)
			break;
		places.push_back({.ip4 = ntohl(net.ip4), .network = net.ifindex});
		std::ranges::copy(net.ip6, places.back().ip6.begin());
	}
	return places;
}

} // namespace

vm_info info_of(const mayfly_vm_info &raw)
{
	const auto bad_register = raw.reason == MAYFLY_END_BAD_STATE ? register_at(raw.address) : std::string_view();

	return {
		.id = raw.id,
		.name = std::string(text_of(raw.name)),
		.image_id = raw.image_id,
		.image = std::string(text_of(raw.image)),
		.state = static_cast<vm_state>(raw.state),
		.reason = static_cast<end_reason>(raw.reason),
		.status = raw.status,
		.uid = raw.uid,
		.memory = raw.memory,
		.private_bytes = raw.private_bytes,
		.exits = raw.exits,
		.cpu_ns = raw.cpu_ns,
		.created_ns = raw.created_ns,
		.ended_ns = raw.ended_ns,
		.rip = raw.rip,
		.address = bad_register.empty() ? raw.address : 0,
		.bad_register = bad_register,
		.detail = raw.detail,
		.detached = (raw.flags & MAYFLY_VM_DETACHED) != 0,
		.started = (raw.flags & MAYFLY_VM_STARTED) != 0,
		.cold = (raw.flags & MAYFLY_VM_COLD) != 0,
		.awaited = (raw.flags & MAYFLY_VM_AWAITED) != 0,
		.places = read_places(raw),
	};
}

std::string_view to_string(vm_state state)
{
	switch (state) {
	case vm_state::ready:
		return "ready";
	case vm_state::running:
		return "running";
	case vm_state::parked:
		return "parked";
	case vm_state::paused:
		return "paused";
	case vm_state::ended:
		return "ended";
	}
	return "?";
}

std::string_view to_string(end_reason reason)
{
	switch (reason) {
	case end_reason::none:
		return "";
	case end_reason::exited:
		return "exited";
	case end_reason::killed:
		return "killed";
	case end_reason::triple_fault:
		return "triple-fault";
	case end_reason::bad_access:
		return "bad-access";
	case end_reason::bad_state:
		return "bad-state";
	case end_reason::no_memory:
		return "no-memory";
	case end_reason::entry_failed:
		return "entry-failed";
	case end_reason::limit:
		return "limit";
	case end_reason::split_lock:
		return "split-lock";
	case end_reason::broken_memory:
		return "broken-memory";
	}
	return "?";
}

std::string vm_info::end_text() const
{
	switch (reason) {
	case end_reason::none:
		return {};
	case end_reason::exited:
		return fmt::format("exited with status {}", status);
	case end_reason::killed:
		return "killed";
	case end_reason::triple_fault:
		return fmt::format("triple fault at rip {:#x}", rip);
	case end_reason::bad_access:
		return fmt::format("bad access to guest-physical {:#x} at rip {:#x}", address, rip);
	case end_reason::bad_state:
		return fmt::format("the CPU refused the guest's {} (code {:#x}) at rip {:#x}",
				   bad_register.empty() ? fmt::format("state at offset {}", address)
							: std::string(bad_register),
				   detail, rip);
	case end_reason::no_memory:
		return "the host, or the cgroup, had no memory left";
	case end_reason::entry_failed:
		return fmt::format("the CPU refused to enter the guest (code {:#x}) at rip {:#x}", detail, rip);
	case end_reason::limit:
		return "its user's VMs, or all VMs, hold all the memory that they may";
	case end_reason::split_lock:
		return fmt::format("a locked access across two cache lines, which this host forbids "
				   "(split_lock_detect=fatal), at rip {:#x}",
				   rip);
	case end_reason::broken_memory:
		return "the host's hardware has found the VM's memory broken";
	}
	return fmt::format("ended for reason {} that this version does not know", std::to_underlying(reason));
}

} // namespace vmctl
