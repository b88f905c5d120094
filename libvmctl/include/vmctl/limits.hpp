// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a VM may be given: numbers, and who judges by them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "error.hpp"

namespace vmctl
{

/// Where the module is.
inline constexpr const char *device_path = "/dev/mayfly";

/// Bytes of a page of guest memory.
inline constexpr std::uint64_t page_size = 4096;

/// Bytes of memory for a VM whose maker has no preference.
inline constexpr std::uint64_t default_memory = 16ull << 20;

/// Most bytes of memory a VM may have.
inline constexpr std::uint64_t max_memory = 64ull << 30;

/// Most characters of a name.
inline constexpr std::size_t max_name_length = 63;

/// Most bytes of a guest's arguments, a NUL behind each included.
inline constexpr std::size_t max_argument_bytes = 4096;

/// Most VMs that one system call controls or lists.
inline constexpr std::size_t max_batch = 65536;

/// Most pieces of memory an image may consist of.
inline constexpr std::size_t max_segments = 64;

/// Event ports of a VM, numbered from 0.
inline constexpr std::uint32_t event_ports = 64;

/// May a VM or an image be called \p name? A name is a letter, then letters, digits,
/// '.', '_' or '-', but not "vm" and digits, which VMs without a name get. With \p last
/// it is the prefix of names that are numbered up to there: see numbered_name(). EINVAL,
/// with a text that does not repeat \p name.
[[nodiscard]] result<void> check_name(std::string_view name, std::optional<std::uint32_t> last = {});

/// What the VM of this \p number is called in a batch of VMs: `web-7`.
[[nodiscard]] std::string numbered_name(std::string_view prefix, std::uint32_t number);

/// May a VM have \p bytes of memory? At least a page, whole pages, and no more than
/// \p most. EINVAL, with a text that does not repeat \p bytes.
[[nodiscard]] result<void> check_memory(std::uint64_t bytes, std::uint64_t most = max_memory);

/// May a guest have these \p arguments? E2BIG beyond max_argument_bytes, EINVAL for
/// a NUL byte in one of them.
[[nodiscard]] result<void> check_arguments(std::span<const std::string> arguments);

/// The file that root changes to change one of the module's limits, such as
/// `max_vms`.
[[nodiscard]] std::string parameter_path(std::string_view parameter);

} // namespace vmctl
