// SPDX-License-Identifier: Apache-2.0
// Between the module's structures and the library's, each in the .cpp of its type.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "uapi.hpp"
#include "vmctl/demand.hpp"
#include "vmctl/descriptor.hpp"
#include "vmctl/error.hpp"
#include "vmctl/image_info.hpp"
#include "vmctl/module_info.hpp"
#include "vmctl/system.hpp"
#include "vmctl/vcpu_state.hpp"
#include "vmctl/vm_stat.hpp"

namespace vmctl
{

[[nodiscard]] vm_info info_of(const mayfly_vm_info &raw);
[[nodiscard]] image_info info_of(const mayfly_image_info &raw);
[[nodiscard]] demand_info info_of(const mayfly_demand_info &raw);
[[nodiscard]] vm_stat stat_of(const mayfly_vm_info &raw);
// An image of the FPU lies beside the registers.
struct raw_vcpu {
	mayfly_vcpu_state registers{};
	std::array<std::byte, MAYFLY_FXSAVE_SIZE> fpu{};

	// What GET_STATE and SET_STATE take for it.
	[[nodiscard]] mayfly_state argument() const;
};

[[nodiscard]] vcpu_state state_of(const raw_vcpu &raw);
[[nodiscard]] raw_vcpu raw_of(const vcpu_state &state);

// The ioctl \p request on \p object. A failure says what was done.
[[nodiscard]] result<void> call(const descriptor &object, unsigned long request, void *argument, const char *what);

// Copies guest memory of a VM, or of an image, which can only be read.
[[nodiscard]] result<void> copy_memory(const descriptor &object, std::uint64_t gpa, const void *buffer,
				       std::size_t length, std::uint32_t flags);

// GET_STATE of either.
[[nodiscard]] result<vcpu_state> get_state(const descriptor &object);

// The argument of a call that fills \p row.
template <class Row> mayfly_row row_argument(Row &row)
{
	mayfly_row argument{};

	argument.row = address_of(&row);
	argument.row_size = sizeof row;
	return argument;
}

// The register at an offset in mayfly_vcpu_state; empty where there is none.
[[nodiscard]] std::string_view register_at(std::uint64_t offset);

// What this library needs and a module with these features lacks, for people; or empty.
[[nodiscard]] std::string missing_features(std::uint64_t features);

// Which limit on bytes there is next to no room below.
[[nodiscard]] error bytes_error(const module_info &info);

// INFO of the device \p fd.
[[nodiscard]] result<module_info> ask_module(system &calls, int fd);

} // namespace vmctl
