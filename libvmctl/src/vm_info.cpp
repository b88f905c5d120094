// SPDX-License-Identifier: Apache-2.0
// Words for states and ends.
#include "vmctl/vm_info.hpp"

#include <cstddef>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace vmctl
{

namespace
{

// The register at an offset in mayfly_vcpu_state.
std::string register_at(std::uint64_t offset)
{
// clang-format off
#define REGISTER(name) {offsetof(mayfly_vcpu_state, name), #name}
	static constexpr std::pair<std::size_t, const char *> registers[] = {
		REGISTER(rip), REGISTER(rflags), REGISTER(cr0), REGISTER(cr3), REGISTER(cr4), REGISTER(efer),
		REGISTER(cs), REGISTER(ss), REGISTER(ds), REGISTER(es), REGISTER(fs), REGISTER(gs),
		REGISTER(ldtr), REGISTER(tr), REGISTER(gdtr), REGISTER(idtr), REGISTER(lstar), REGISTER(cstar),
		REGISTER(sfmask), REGISTER(kernel_gs_base), REGISTER(sysenter_cs), REGISTER(sysenter_esp),
		REGISTER(sysenter_eip), REGISTER(exception), REGISTER(fpu),
	};
#undef REGISTER
	// clang-format on

	for (const auto &[at, name] : registers)
		if (at == offset)
			return name;
	return fmt::format("state at offset {}", offset);
}

} // namespace

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
	}
	return "?";
}

std::string_view vm_info::text(const char (&field)[MAYFLY_NAME_SIZE])
{
	return {field, ::strnlen(field, sizeof field)};
}

std::string vm_info::end_text() const
{
	switch (reason()) {
	case end_reason::none:
		return {};
	case end_reason::exited:
		return fmt::format("exited with status {}", row_.status);
	case end_reason::killed:
		return "killed";
	case end_reason::triple_fault:
		return fmt::format("triple fault at rip {:#x}", row_.rip);
	case end_reason::bad_access:
		return fmt::format("bad access to guest-physical {:#x} at rip {:#x}", row_.address, row_.rip);
	case end_reason::bad_state:
		return fmt::format("the CPU refused the guest's {} (code {:#x}) at rip {:#x}",
				   register_at(row_.address), row_.detail, row_.rip);
	case end_reason::no_memory:
		return "the host, or the cgroup, had no memory left";
	case end_reason::entry_failed:
		return fmt::format("the CPU refused to enter the guest (code {:#x}) at rip {:#x}", row_.detail,
				   row_.rip);
	case end_reason::limit:
		return "its user's VMs, or all VMs, hold all the memory that they may";
	}
	return fmt::format("ended for reason {} that this version does not know", row_.reason);
}

} // namespace vmctl
