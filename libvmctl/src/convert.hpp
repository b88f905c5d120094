// SPDX-License-Identifier: Apache-2.0
// Between the module's structures and the library's, each in the .cpp of its type.
#pragma once

#include <cstdint>
#include <string_view>

#include "uapi.hpp"
#include "vmctl/error.hpp"
#include "vmctl/module_info.hpp"
#include "vmctl/system.hpp"
#include "vmctl/vcpu_state.hpp"
#include "vmctl/vm_stat.hpp"

namespace vmctl
{

[[nodiscard]] vm_info info_of(const mayfly_vm_info &raw);
[[nodiscard]] vm_stat stat_of(const mayfly_vm_stat &raw);
[[nodiscard]] vcpu_state state_of(const mayfly_vcpu_state &raw);
[[nodiscard]] mayfly_vcpu_state raw_of(const vcpu_state &state);

// The register at an offset in mayfly_vcpu_state; empty where there is none.
[[nodiscard]] std::string_view register_at(std::uint64_t offset);

// INFO of the device \p fd.
[[nodiscard]] result<module_info> ask_module(system &calls, int fd);

} // namespace vmctl
