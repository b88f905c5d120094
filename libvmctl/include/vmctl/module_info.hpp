// SPDX-License-Identifier: Apache-2.0
/// \file
/// The module at a glance.
#pragma once

#include <cstdint>
#include <string_view>

namespace vmctl
{

/// The CPU's virtualization that the module uses.
enum class cpu_backend : std::uint32_t {
	svm = 1, ///< AMD's
	vmx = 2, ///< Intel's
};

/// The maker of the CPU that a guest sees.
enum class cpu_vendor : std::uint32_t {
	amd = 1,   ///< AuthenticAMD
	intel = 2, ///< GenuineIntel
};

/// What the CPU that a guest sees can do; a level has all of those below.
enum class cpu_level : std::uint32_t {
	sse2 = 1,  ///< x86-64 as it began
	sse42 = 2, ///< and SSE3 to SSE4.2, POPCNT, AES, PCLMULQDQ
};

/// `SVM`, `VT-x`; `unknown` for one this library does not know.
[[nodiscard]] std::string_view to_string(cpu_backend backend);

/// `AMD`, `Intel`; `unknown` for one this library does not know.
[[nodiscard]] std::string_view to_string(cpu_vendor vendor);

/// `sse2`, `sse4.2`; `unknown` for one this library does not know.
[[nodiscard]] std::string_view to_string(cpu_level level);

/// The version of the module's interface that this library needs at least.
[[nodiscard]] std::uint32_t api_version();

/// The module's numbers, as of when it was asked.
struct module_info {
	/// Version of the module's interface.
	std::uint32_t api_version = 0;
	/// What it uses of the CPU.
	cpu_backend backend = cpu_backend::svm;
	/// What it can do besides its version: bits that device::open() has checked.
	std::uint64_t features = 0;
	/// What new images record.
	cpu_vendor vendor = cpu_vendor::amd;
	/// The highest that this host can give.
	cpu_level level = cpu_level::sse2;
	/// VMs that exist, ended but not removed ones included.
	std::uint64_t vms = 0;
	/// Images that exist.
	std::uint64_t images = 0;
	/// Worker pools that exist.
	std::uint64_t pools = 0;
	/// Pages held for VMs and images, second-level tables included.
	std::uint64_t pages = 0;
	/// Bytes all VMs hold alone, and those of named images.
	std::uint64_t bytes = 0;
	/// VMs the caller has.
	std::uint64_t user_vms = 0;
	/// Bytes they hold alone, and those of the named images the caller has.
	std::uint64_t user_bytes = 0;
	/// VMs that are cold: parked, with all derivable memory given back.
	std::uint64_t cold = 0;
	/// Limit: VMs that may exist.
	std::uint64_t max_vms = 0;
	/// Limit: VMs one user may have, at most max_vms.
	std::uint64_t max_vms_user = 0;
	/// Limit on bytes; 0 is none.
	std::uint64_t max_bytes = 0;
	/// Limit on user_bytes of each user; 0 is none.
	std::uint64_t max_bytes_user = 0;
	/// Bytes of memory for a VM whose maker has no preference.
	std::uint64_t memory_default = 0;
	/// Most bytes of memory a VM may have.
	std::uint64_t memory_max = 0;
	/// Bytes of the module's structures that a VM takes besides its pages.
	std::uint64_t vm_overhead = 0;
	/// Frequency of the host's TSC, and of guests' that have no other, in kHz.
	std::uint64_t tsc_khz = 0;
	/// VMs made since the module was loaded.
	std::uint64_t spawned = 0;
	/// Times a VM has parked since the module was loaded.
	std::uint64_t parked = 0;
	/// Times a cold VM has been made ready to run again.
	std::uint64_t warmed = 0;
	/// Built with debug checks.
	bool debug = false;
	/// Guests' clocks can be trusted.
	bool clock_stable = false;
	/// A guest's TSC may have another frequency than the host's.
	bool tsc_scaling = false;
	/// A cgroup's `cpu.max` holds for its VMs, attached (\ref vm::run) or not. Linux 6.18
	/// and later ones do not throttle kernel threads, such as run VMs that are not.
	bool cpu_max = false;
};

} // namespace vmctl
