// SPDX-License-Identifier: BSD-2-Clause
//
// Who am I: what Mayfly wrote on the device page before the first instruction.

#pragma once

#include <cstddef>
#include <cstdint>
#include <mayfly/hypercall.hpp>
#include <span>
#include <string_view>

namespace mayfly
{

/// The device page: read-only (a write ends the VM), and changed by Mayfly at
/// any time, hence volatile.
inline const volatile mayfly_device_page &device_page()
{
	return *reinterpret_cast<const volatile mayfly_device_page *>(window + MAYFLY_GPA_DEVICE);
}

/// This VM's id: never 0, never used again while the module stays loaded.
inline std::uint64_t vm_id()
{
	return device_page().vm_id;
}

/// This VM's name, NUL-terminated behind its end.
inline std::string_view vm_name()
{
	return const_cast<const char *>(device_page().name);
}

/// Bytes of memory: guest-physical addresses end here.
inline std::uint64_t memory_bytes()
{
	return device_page().memory_bytes;
}

/// From 1; higher in a VM that goes on from a snapshot of this one (mayfly/ready.hpp).
/// Whoever keeps anything derived from id or seed compares it and starts afresh.
inline std::uint64_t generation()
{
	return device_page().generation;
}

/// 32 random bytes, different in every VM.
inline std::span<const volatile std::uint8_t, MAYFLY_SEED_SIZE> seed()
{
	return device_page().seed;
}

}
