// SPDX-License-Identifier: Apache-2.0
/// \file
/// An ELF file, judged.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "error.hpp"
#include "limits.hpp"

namespace vmctl
{

/// What Mayfly needs to know of a guest's ELF executable: pieces of memory and
/// where to start. Nothing in the file is believed before it has been checked,
/// and nothing is allocated by what it claims: memory that has no bytes in the
/// file costs nothing here.
///
/// The file must be a static x86-64 executable linked at
/// `0xffffffff80000000 + p_paddr`, its segments on pages of their own between
/// guest-physical 128 KiB and 1 GiB.
class elf_image final
{
public:
	/// Virtual address of guest-physical 0 in the kernel-model mapping (1 GiB).
	static constexpr std::uint64_t kernel_base = 0xffffffff80000000;
	/// Virtual address of guest-physical 0 in the direct mapping (64 GiB).
	static constexpr std::uint64_t direct_base = 0xffffff8000000000;
	/// Guest-physical address of the page-table page that the loader adds.
	static constexpr std::uint64_t table_gpa = 0x10000;
	/// Lowest guest-physical address a file's segment may use.
	static constexpr std::uint64_t lowest_gpa = 0x20000;
	/// End of what the kernel-model mapping shows.
	static constexpr std::uint64_t highest_gpa = 1ull << 30;

	/// One piece of memory with bytes in the file.
	struct segment {
		std::uint64_t gpa;                ///< guest-physical, on a page boundary
		std::span<const std::byte> bytes; ///< points into the file given to parse()
		bool writable;                    ///< VMs get their own copy when they write
		bool executable;                  ///< holds code
	};

	/// Reads \p file, which must stay where it is as long as the result is used.
	/// ENOEXEC with what is wrong, as seen from `FILE: …`.
	[[nodiscard]] static result<elf_image> parse(std::span<const std::byte> file);

	/// Pieces in ascending order, none sharing a page.
	[[nodiscard]] std::span<const segment> segments() const { return segments_; }

	/// Virtual address of the first instruction.
	[[nodiscard]] std::uint64_t entry() const { return entry_; }

	/// Bytes of memory the image needs at least, its .bss included: whole pages.
	[[nodiscard]] std::uint64_t memory_min() const { return memory_min_; }

	/// The page tables every image starts with: one page at table_gpa that is
	/// top level and next level at once, showing kernel_base and direct_base.
	[[nodiscard]] static std::array<std::uint64_t, 512> entry_table();

private:
	elf_image() = default;

	std::vector<segment> segments_;
	std::uint64_t entry_ = 0;
	std::uint64_t memory_min_ = 0;
};

} // namespace vmctl
