// SPDX-License-Identifier: Apache-2.0
// A saved image, byte by byte: docs/snapshots.md explains it. Numbers are little-endian.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "uapi.hpp"

namespace vmctl::saved
{

static_assert(std::endian::native == std::endian::little);

constexpr std::array<char, 8> magic{'M', 'A', 'Y', 'F', 'L', 'Y', '\x1a', '\0'};
constexpr std::uint32_t version = 1;

// Bytes of a piece of memory at most: what both sides have a buffer for.
constexpr std::uint64_t max_piece = 256 << 10;

// A reader of this version takes no more of the base, which it has to keep for a while.
constexpr std::uint64_t max_base = 1ull << 30;

// In front of the records.
struct preamble {
	std::array<char, 8> magic = saved::magic;
	std::uint32_t version = saved::version;
	std::uint32_t reserved = 0;
};

// Its guests could not bear a TSC of another frequency.
constexpr std::uint32_t flag_same_tsc = 1;

// The first record begins with it; then come the registers, the extended state and the
// arguments. A record for each piece of memory follows.
struct header {
	std::uint32_t profile = 0;
	std::uint32_t cpu_vendor = 0;
	std::uint32_t cpu_level = 0;
	std::uint32_t registers_size = 0; // 0: the base is all there is
	std::uint32_t extended_size = 0;
	std::uint32_t arguments_size = 0;
	std::uint32_t flags = 0; // flag_*
	std::uint32_t ip4 = 0;   // the VM's on the first of its networks; 0: it had none
	std::uint64_t memory = 0;
	std::uint64_t tsc_khz = 0;
	std::uint64_t base_rip = 0;
	std::uint64_t base_rsp = 0;
	std::uint64_t base_cr3 = 0;
	std::uint64_t base_rdi = 0;
	std::uint64_t base_memory_min = 0;
	std::uint64_t base_memory_default = 0;
	std::array<char, MAYFLY_NAME_SIZE> label{};
};

enum class kind : std::uint32_t {
	end = 0,  // gpa is how many pieces there were, all else is 0
	base = 1, // of the base; all of these come first
	own = 2,  // of the image
};

// In front of a piece of memory, whose bytes follow in the same record.
struct piece {
	std::uint64_t gpa = 0;
	std::uint64_t length = 0;
	saved::kind kind = kind::end;
	std::uint32_t flags = 0; // MAYFLY_SEGMENT_*, of the base only
};

static_assert(sizeof(preamble) == 16 && sizeof(header) == 160 && sizeof(piece) == 24, "layout is the format");

// Bytes of a record at most: a piece with its header.
constexpr std::size_t max_record = max_piece + sizeof(piece);

template <class T> std::span<const std::byte> bytes_of(const T &object)
{
	return std::as_bytes(std::span(&object, 1));
}

} // namespace vmctl::saved
