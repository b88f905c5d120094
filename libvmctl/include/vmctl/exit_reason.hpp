// SPDX-License-Identifier: Apache-2.0
/// \file
/// Why a VM leaves guest mode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace vmctl
{

/// Why a VM left guest mode; the same on every CPU.
enum class exit_reason : std::uint32_t {
	interrupt = 0, ///< the host's: interrupt, NMI, kick
	hypercall = 1, ///< the guest called the module
	cpuid = 2,     ///< the CPUID instruction
	hlt = 3,       ///< the HLT instruction
	msr = 4,       ///< RDMSR or WRMSR
	memory = 5,    ///< second-level fault
	denied = 6,    ///< an instruction answered with #GP or #UD
	exception = 7, ///< #DB, #AC, #MC
	shutdown = 8,  ///< triple fault
	invalid = 9,   ///< entry refused by the CPU
};

/// Every reason, in the order of its number.
inline constexpr std::array all_exit_reasons{
	exit_reason::interrupt, exit_reason::hypercall, exit_reason::cpuid,  exit_reason::hlt,
	exit_reason::msr,       exit_reason::memory,    exit_reason::denied, exit_reason::exception,
	exit_reason::shutdown,  exit_reason::invalid,
};

/// One word: `interrupt`, `hypercall`, …, as the reason is called here; `?` for a
/// reason this library does not know.
[[nodiscard]] std::string_view to_string(exit_reason reason);

/// One value for each reason, all zero at first.
template <class T> class by_exit_reason final
{
public:
	[[nodiscard]] T &operator[](exit_reason reason) { return values_[std::to_underlying(reason)]; }
	[[nodiscard]] const T &operator[](exit_reason reason) const { return values_[std::to_underlying(reason)]; }

	/// Adds each to its counterpart.
	by_exit_reason &operator+=(const by_exit_reason &more)
	{
		for (const exit_reason reason : all_exit_reasons)
			(*this)[reason] += more[reason];
		return *this;
	}

	[[nodiscard]] auto begin() const { return values_.begin(); }
	[[nodiscard]] auto end() const { return values_.end(); }

private:
	std::array<T, all_exit_reasons.size()> values_{};
};

} // namespace vmctl
