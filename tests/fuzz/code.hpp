// SPDX-License-Identifier: Apache-2.0
//
// Code for guests to stumble over: a page of it from a seed.
//
// Four kinds of page: random bytes; slots of 32 bytes with an instruction or two
// that mean something, so that the handlers of guest.S can go on behind each; the
// same instructions without gaps; and the same with bits flipped.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include <mayfly_guest.h>

#include "layout.h"
#include "random.hpp"

namespace fuzz
{

inline constexpr std::size_t page_size = 4096;

/// What the code runs as, which decides how it must be written.
struct code_mode {
	bool idt;  ///< exceptions go on with the next slot; else they end the guest
	bool user; ///< CPL 3
	bool bits32;
	bool svm; ///< which hypercall instruction is the right one
};

/// Bytes of code, with an end.
class assembly final
{
public:
	explicit assembly(std::span<std::byte> room, const code_mode &mode) : room_(room), mode_(mode) {}

	[[nodiscard]] const code_mode &mode() const { return mode_; }
	[[nodiscard]] std::size_t size() const { return size_; }
	[[nodiscard]] std::size_t left() const { return room_.size() - size_; }

	void number(std::uint64_t value, unsigned bytes)
	{
		for (unsigned i = 0; i < bytes && size_ < room_.size(); i++)
			room_[size_++] = static_cast<std::byte>(value >> 8 * i);
	}
	void bytes(std::initializer_list<unsigned> all)
	{
		for (const unsigned byte : all)
			number(byte, 1);
	}
	void bytes(std::string_view all)
	{
		for (const char byte : all)
			number(static_cast<unsigned char>(byte), 1);
	}
	/// Register 0 to 7 gets a value.
	void set(unsigned reg, std::uint64_t value)
	{
		if (mode_.bits32 || value <= 0xffffffff) {
			bytes({0xb8 + reg});
			number(value, 4);
		} else if (value >= 0xffffffff80000000) {
			bytes({0x48, 0xc7, 0xc0 + reg});
			number(value, 4);
		} else {
			bytes({0x48, 0xb8 + reg});
			number(value, 8);
		}
	}
	void hypercall(bool right_one = true) { bytes({0x0f, 0x01, mode_.svm == right_one ? 0xd9u : 0xc1u}); }

private:
	std::span<std::byte> room_;
	const code_mode &mode_;
	std::size_t size_ = 0;
};

enum reg : unsigned { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi };

using namespace std::string_view_literals;

// clang-format off
/// Instructions that need nothing but what is in the registers. Memory is at rsi.
inline constexpr std::string_view plain_instructions[] = {
	"\xf4"sv, "\xf3\x90"sv, "\x0f\x06"sv, "\x0f\x08"sv, "\x0f\x09"sv, "\x0f\x0b"sv, "\x0f\x31"sv, "\x0f\x33"sv,
	"\x0f\xa2"sv, "\x0f\x01\xf9"sv, "\x0f\x01\xc8"sv, "\x0f\x01\xc9"sv, "\x0f\x01\xfa"sv, "\x0f\x01\xfb"sv,
	// SVM and VT-x, their own and each other's; SGX, RDPRU, INVLPGB, TLBSYNC.
	"\x0f\x01\xd8"sv, "\x0f\x01\xd9"sv, "\x0f\x01\xda"sv, "\x0f\x01\xdb"sv, "\x0f\x01\xdc"sv, "\x0f\x01\xdd"sv,
	"\x0f\x01\xde"sv, "\x0f\x01\xdf"sv, "\x0f\x01\xc1"sv, "\x0f\x01\xc2"sv, "\x0f\x01\xc3"sv, "\x0f\x01\xc4"sv,
	"\x0f\x01\xd4"sv, "\x0f\x01\xcf"sv, "\x0f\x01\xd7"sv, "\x0f\x01\xfd"sv, "\x0f\x01\xfe"sv, "\x0f\x01\xff"sv,
	"\x66\x0f\x38\x80\x06"sv, "\x66\x0f\x38\x81\x06"sv, "\x66\x0f\x38\x82\x06"sv, "\x0f\xc7\x36"sv,
	"\x66\x0f\xc7\x36"sv, "\xf3\x0f\xc7\x36"sv, "\x0f\xc7\x3e"sv, "\x0f\x78\xc0"sv, "\x0f\x79\xc0"sv,
	// XGETBV, XSETBV, SWAPGS, CLAC, STAC, SYSCALL and its kind, RSM, ICEBP, INTn.
	"\x0f\x01\xd0"sv, "\x0f\x01\xd1"sv, "\x0f\x01\xf8"sv, "\x0f\x01\xca"sv, "\x0f\x01\xcb"sv, "\x0f\x05"sv,
	"\x0f\x07"sv, "\x48\x0f\x07"sv, "\x0f\x34"sv, "\x0f\x35"sv, "\x48\x0f\x35"sv, "\x0f\xaa"sv, "\xf1"sv, "\xcc"sv,
	"\xce"sv, "\xfa"sv, "\xfb"sv, "\xfb\xf4"sv, "\xfa\xf4"sv, "\xfc"sv, "\xfd"sv, "\x9c"sv, "\x9d"sv, "\xcf"sv,
	"\x48\xcf"sv, "\xcb"sv, "\x48\xcb"sv, "\xc3"sv, "\xc9"sv, "\xc8\x10\x00\x1f"sv, "\xd7"sv,
	// x87, SSE, their state.
	"\x0f\x77"sv, "\xdb\xe3"sv, "\x9b"sv, "\xd9\xe8"sv, "\xde\xf9"sv, "\xd9\x2e"sv, "\xdd\x26"sv, "\xdd\x36"sv,
	"\x0f\xae\x06"sv, "\x0f\xae\x0e"sv, "\x48\x0f\xae\x06"sv, "\x48\x0f\xae\x0e"sv, "\x0f\xae\x16"sv, "\x0f\xae\x1e"sv,
	"\x0f\xae\x26"sv, "\x0f\xae\x2e"sv, "\x0f\xae\x3e"sv, "\x0f\x28\x06"sv, "\x0f\x29\x06"sv, "\x66\x0f\xe7\x06"sv,
	"\x0f\x53\xc1"sv, "\xf2\x0f\x5e\xc1"sv, "\x0f\xf7\xc1"sv, "\xc5\xf8\x28\xc1"sv, "\x62\xf1\x7c\x48\x28\xc1"sv,
	// Descriptor tables and segments.
	"\x0f\x01\x06"sv, "\x0f\x01\x0e"sv, "\x0f\x01\x16"sv, "\x0f\x01\x1e"sv, "\x0f\x01\x26"sv, "\x0f\x01\x36"sv,
	"\x0f\x01\xf0"sv, "\x0f\x01\x3e"sv, "\x0f\x00\xc0"sv, "\x0f\x00\xc8"sv, "\x0f\x00\xd0"sv, "\x0f\x00\xd8"sv,
	"\x0f\x00\xe0"sv, "\x0f\x00\xe8"sv, "\x0f\x02\xc0"sv, "\x0f\x03\xc0"sv, "\x8e\xd8"sv, "\x8e\xc0"sv, "\x8e\xd0"sv,
	"\x8e\xe0"sv, "\x8e\xe8"sv, "\x8e\xc8"sv, "\x8e\xd0\xf4"sv, "\x0f\xa1"sv, "\x0f\xa9"sv, "\x0f\xb2\x26"sv,
	"\x0f\xb4\x06"sv, "\x0f\xb5\x06"sv, "\x62\x06"sv, "\xc4\x06"sv, "\xc5\x06"sv, "\x17"sv, "\x1f"sv,
	"\xf3\x0f\xae\xc0"sv, "\xf3\x48\x0f\xae\xd0"sv, "\xf3\x48\x0f\xae\xd8"sv,
	// Ports, strings, memory, jumps.
	"\xec"sv, "\xed"sv, "\xee"sv, "\xef"sv, "\x66\xed"sv, "\x6c"sv, "\x6d"sv, "\x6e"sv, "\x6f"sv, "\xf3\x6c"sv,
	"\xf3\x6d"sv, "\xf3\x6e"sv, "\xf3\x6f"sv, "\xa4"sv, "\xa5"sv, "\xaa"sv, "\xac"sv, "\xa6"sv, "\xae"sv, "\x48\x89\x06"sv,
	"\x48\x8b\x06"sv, "\x88\x06"sv, "\x8a\x06"sv, "\xf0\x48\x0f\xc1\x06"sv, "\xf0\x48\x0f\xb1\x06"sv,
	"\xf0\x0f\xc7\x0e"sv, "\xf0\x48\x0f\xc7\x0e"sv, "\x0f\x18\x06"sv, "\x0f\xc3\x06"sv, "\xff\xe6"sv, "\xff\xd6"sv,
	"\xff\x2e"sv, "\x48\xff\x2e"sv, "\xff\x1e"sv, "\xeb\xfe"sv, "\xe2\xfe"sv, "\x0f\xc7\xf0"sv, "\x0f\xc7\xf8"sv,
	"\x0f\x0d\x06"sv, "\xf7\xf1"sv, "\xf0\x90"sv, "\x8f\x06"sv, "\xff\x36"sv, "\x0f\xff\xc0"sv,
};

inline constexpr std::uint32_t interesting_msrs[] = {
	0x10, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x79, 0x8b, 0xc1, 0xe7, 0xfe, 0x10a, 0x10b, 0x122, 0x174, 0x175, 0x176,
	0x179, 0x17a, 0x17b, 0x186, 0x198, 0x199, 0x1a0, 0x1d9, 0x1db, 0x200, 0x250, 0x277, 0x2ff, 0x345, 0x38f, 0x400,
	0x401, 0x480, 0x48f, 0x491, 0x4e0, 0x600, 0x6a0, 0x6a4, 0x6e0, 0x800, 0x802, 0x80b, 0x830, 0x83f, 0xd90, 0xda0,
	0x1fff, 0x2000, 0x40000000, 0x40000001, 0x40000020, 0x4b564d00, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
	0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0001fff, 0xc0010000, 0xc0010010,
	0xc0010015, 0xc001001f, 0xc0010111, 0xc0010112, 0xc0010114, 0xc0010115, 0xc0010117, 0xc0010118, 0xc0010130,
	0xc0011020, 0xc0011029, 0xc0011fff, 0xc0012000, 0xffffffff,
};

inline constexpr std::uint32_t interesting_leaves[] = {
	0, 1, 2, 4, 5, 6, 7, 0xa, 0xb, 0xd, 0x12, 0x14, 0x40000000, 0x40000001, 0x80000000, 0x80000001, 0x80000007,
	0x80000008, 0x8000000a, 0x8000001f, 0xffffffff,
};
// clang-format on

/// A guest-physical address at which something is, or is not.
inline std::uint64_t interesting_gpa(random &r)
{
	// clang-format off
	static constexpr std::uint64_t own[] = {FUZZ_TABLES, FUZZ_TABLES + 0x1000, FUZZ_TABLES + 0x3000, FUZZ_TABLES + 0x9000,
						FUZZ_DESCRIPTORS + FUZZ_TSS, FUZZ_DESCRIPTORS + FUZZ_IDT,
						FUZZ_DESCRIPTORS + FUZZ_OPERANDS, FUZZ_PRIVATE, FUZZ_STACK, FUZZ_CASES};
	// Where a write, or any access, is the end. The last ones are memory of some VMs.
	static constexpr std::uint64_t forbidden[] = {
		0, MAYFLY_GPA_STUB, MAYFLY_GPA_DEVICE, MAYFLY_GPA_ARGS, MAYFLY_GPA_RINGS, 0xf000, FUZZ_SYSTEM, FUZZ_EDGE,
		FUZZ_READ_ONLY, 0xfee00000, 0x100000000, 64ull << 30, 1ull << 39, 1ull << 51, 0xff000, 0x100000, 0x1ff000,
		0x200000, 0x3ff000, 0x400000, 0xfff000, 0x1000000,
	};
	// clang-format on
	const std::uint64_t chance = r.below(100);
	const std::uint64_t gpa = chance < 80   ? FUZZ_SCRATCH + page_size * (1 + r.below(64))
				  : chance < 95 ? r.pick(own)
						: r.pick(forbidden);

	switch (r.below(4)) {
	case 0:
		return gpa;
	case 1:
		return gpa + 8 * r.below(512);
	case 2:
		return gpa + page_size - r.below(20);
	default:
		return gpa - r.below(20);
	}
}

/// The same as code sees it: through the window, the low tables or the direct map.
inline std::uint64_t interesting_address(random &r)
{
	switch (r.below(8)) {
	case 0:
		return r.word();
	case 1:
		return 0x800000000000 - r.below(32);
	case 2:
		return 0xffff800000000000 + interesting_gpa(r);
	case 3:
		return interesting_gpa(r);
	default:
		return FUZZ_WINDOW + (interesting_gpa(r) & 0x3fffffff);
	}
}

inline std::uint64_t interesting_flags(random &r)
{
	static constexpr std::uint64_t flags[] = {0x100,   0x200,   0x400,   0x3000,  0x1000,   0x4000,
						  0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000};
	std::uint64_t value = 2;

	for (std::uint64_t n = r.below(4); n; n--)
		value |= r.pick(flags);
	return value;
}

inline unsigned interesting_selector(random &r)
{
	// clang-format off
	static constexpr unsigned selectors[] = {0, 3, FUZZ_CODE, FUZZ_DATA, FUZZ_CODE32, FUZZ_USER_DATA, FUZZ_USER_CODE,
						 FUZZ_USER_CODE32, FUZZ_TASK, FUZZ_TASK + 8, 0xfffc};
	// clang-format on

	return r.chance(40) ? static_cast<unsigned>(FUZZ_RANDOM + 8 * r.below(16) + r.below(8)) : r.pick(selectors);
}

/// A page-table entry: often one that maps something.
inline std::uint64_t interesting_entry(random &r)
{
	const std::uint64_t flags = r.chance(80) ? 0x67 | r.below(2) << 7 | r.below(2) << 8 : r.below(0x1000);

	return ((r.chance(80) ? interesting_gpa(r) & ~0xfffull : r.word()) & 0x000ffffffffff000) | flags |
	       r.below(10) / 9 << 63;
}

namespace kinds
{

inline void plain(random &r, assembly &a)
{
	a.bytes(r.pick(plain_instructions));
}

inline void prefixed(random &r, assembly &a)
{
	static constexpr unsigned prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e,
						0x26, 0x64, 0x65, 0x40, 0x41, 0x44, 0x48, 0x4f};

	for (std::uint64_t n = 1 + r.below(r.chance(10) ? 15 : 3); n; n--)
		a.bytes({r.pick(prefixes)});
	plain(r, a);
}

inline void random_opcode(random &r, assembly &a)
{
	if (r.chance(70))
		a.bytes({0x0f});
	a.number(r.next(), static_cast<unsigned>(2 + r.below(6)));
}

inline void set_register(random &r, assembly &a)
{
	const std::uint64_t which = r.below(20);

	a.set(which < 8   ? static_cast<unsigned>(which)
	      : which % 2 ? rsi
			  : rdi,
	      r.chance(70) ? interesting_address(r) : r.word());
}

inline void wrmsr(random &r, assembly &a)
{
	const std::uint64_t value = r.chance(50) ? interesting_address(r) : r.word();

	a.set(rcx, r.chance(85) ? r.pick(interesting_msrs) : r.next() & 0xffffffff);
	a.set(rax, value & 0xffffffff);
	a.set(rdx, value >> 32);
	a.bytes({0x0f, 0x30});
}

inline void rdmsr(random &r, assembly &a)
{
	a.set(rcx, r.chance(85) ? r.pick(interesting_msrs) : r.next() & 0xffffffff);
	a.bytes({0x0f, 0x32});
}

inline void cpuid(random &r, assembly &a)
{
	a.set(rax, r.chance(80) ? r.pick(interesting_leaves) : r.next() & 0xffffffff);
	a.set(rcx, r.below(5));
	a.bytes({0x0f, 0xa2});
}

inline void hypercall(random &r, assembly &a)
{
	const std::uint64_t number = r.chance(90) ? 1 + r.below(6) : r.word();

	switch (number) {
	case MAYFLY_HC_CONSOLE:
		a.set(rdi, interesting_gpa(r));
		a.set(rsi, r.chance(70) ? r.below(5000) : r.word());
		break;
	case MAYFLY_HC_WAIT:
		a.set(rdi, r.chance(70) ? r.below(20000000) : r.word());
		break;
	case MAYFLY_HC_DISCARD:
		a.set(rdi, r.chance(90) ? interesting_gpa(r) & ~0xfffull : interesting_gpa(r));
		a.set(rsi, r.chance(80) ? r.below(600) : r.word());
		break;
	default:
		a.set(rdi, r.word());
		break;
	}
	a.set(rax, number);
	a.hypercall(r.chance(95));
}

/// CR0, CR4, CR8, or a debug register: read, bent and written back.
inline void control_register(random &r, assembly &a)
{
	static constexpr unsigned registers[] = {0, 2, 3, 4, 8, 1, 7};
	const unsigned number = r.pick(registers);
	const bool debug = r.chance(20);
	const unsigned modrm = 0xc0 | (number & 7) << 3;

	if (number > 7 && !debug)
		a.bytes({0x44});
	a.bytes({0x0f, debug ? 0x21u : 0x20u, modrm});
	if (r.chance(70)) {
		a.bytes({0x48, 0x0f, 0xba, 0xf8}); // btc $n, %rax
		a.number(r.below(64), 1);
	}
	if (number > 7 && !debug)
		a.bytes({0x44});
	a.bytes({0x0f, debug ? 0x23u : 0x22u, modrm});
}

/// rax to CR3: on SVM by way of guest.S, see remove_emulator_traps().
inline void reload_tables(assembly &a)
{
	if (a.mode().svm) {
		a.set(rbx, FUZZ_WINDOW + FUZZ_SYSTEM + FUZZ_LOAD_CR3);
		a.bytes({0xff, 0xd3}); // call
	} else {
		a.bytes({0x0f, 0x22, 0xd8});
	}
}

inline void load_cr3(random &r, assembly &a)
{
	static constexpr std::uint64_t tables[] = {FUZZ_TABLES, FUZZ_TABLES + 8, FUZZ_TABLES + 0x18,
						   FUZZ_TABLES + 0x1000};

	a.set(rax, r.chance(90) ? r.pick(tables) : r.chance(50) ? interesting_gpa(r) : r.word());
	reload_tables(a);
}

inline void load_flags(random &r, assembly &a)
{
	a.bytes({0x68}); // push
	a.number(interesting_flags(r), 4);
	a.bytes({0x9d});
	plain(r, a);
}

inline void load_segment(random &r, assembly &a)
{
	static constexpr std::string_view how[] = {"\x8e\xd8"sv, "\x8e\xc0"sv,     "\x8e\xd0"sv,     "\x8e\xe0"sv,
						   "\x8e\xe8"sv, "\x0f\x00\xd0"sv, "\x0f\x00\xd8"sv, "\x0f\x02\xc8"sv};

	a.set(rax, interesting_selector(r));
	a.bytes(r.pick(how));
	plain(r, a);
}

inline void load_table(random &r, assembly &a)
{
	constexpr std::uint64_t base = FUZZ_WINDOW + FUZZ_DESCRIPTORS;
	const bool interrupts = r.chance(50);

	if (r.chance(70))
		a.set(rsi, base + (interrupts ? FUZZ_IDTR : FUZZ_GDTR));
	else
		a.set(rsi, r.chance(70) ? base + FUZZ_OPERANDS + 16 * r.below(16) : interesting_address(r));
	a.bytes({0x0f, 0x01, interrupts ? 0x1eu : 0x16u});
	plain(r, a);
}

/// A far return: selector and address from the stack.
inline void far_return(random &r, assembly &a)
{
	a.bytes({0x68});
	a.number(interesting_selector(r), 4);
	a.bytes({0x68});
	a.number(r.chance(60) ? FUZZ_CASES + r.below(0x1000) : r.word(), 4);
	a.bytes({0x48, 0xcb});
}

inline void interrupt_return(random &r, assembly &a)
{
	const unsigned stack = r.chance(70) ? unsigned{FUZZ_USER_DATA} : interesting_selector(r);
	const unsigned code = r.chance(70) ? FUZZ_USER_CODE + 8 * static_cast<unsigned>(r.below(2))
					   : interesting_selector(r);

	a.bytes({0x6a, stack & 0x7f, 0x54, 0x68}); // push stack; push rsp; push flags
	a.number(interesting_flags(r), 4);
	a.bytes({0x6a, code & 0x7f, 0x68});
	a.number(FUZZ_CASES + r.below(0x1000), 4);
	a.bytes({0x48, 0xcf});
}

inline void interrupt(random &r, assembly &a)
{
	a.bytes({0xcd, static_cast<unsigned>(r.chance(70) ? r.below(33) : r.below(256))});
}

inline void port(random &r, assembly &a)
{
	static constexpr std::string_view how[] = {"\xec"sv,     "\xed"sv,     "\xee"sv,     "\xef"sv,    "\x66\xef"sv,
						   "\xf3\x6c"sv, "\xf3\x6f"sv, "\xe4\x60"sv, "\xe6\x80"sv};

	a.set(rdx, r.word() & 0xffff);
	a.set(rcx, r.below(3000));
	a.bytes(r.pick(how));
}

inline void string(random &r, assembly &a)
{
	static constexpr std::string_view how[] = {"\xf3\xa4"sv, "\xf3\x48\xa5"sv, "\xf3\xaa"sv, "\xf3\x48\xab"sv,
						   "\xf3\xac"sv, "\xf3\xa6"sv,     "\xf2\xae"sv};

	a.set(rcx, r.chance(90) ? r.below(0x3000) : r.word());
	a.set(rdi, interesting_address(r));
	if (r.chance(50))
		a.set(rsi, interesting_address(r));
	a.bytes(r.pick(how));
}

/// Reads, writes, runs or invalidates some address.
inline void memory(random &r, assembly &a)
{
	static constexpr std::string_view how[] = {"\x48\x89\x06"sv, "\x48\x8b\x06"sv,         "\xff\xe6"sv,
						   "\xff\xd6"sv,     "\xf0\x48\x0f\xc1\x06"sv, "\x0f\x01\x3e"sv,
						   "\x48\xff\x2e"sv, "\x0f\xae\x06"sv,         "\x0f\xae\x0e"sv};

	a.set(rsi, interesting_address(r));
	a.bytes(r.pick(how));
}

/// The guest's own page tables.
inline void write_table(random &r, assembly &a)
{
	a.set(rsi, FUZZ_WINDOW + FUZZ_TABLES + 0x1000 * r.below(10) + 8 * (r.chance(50) ? r.below(8) : r.below(512)));
	a.set(rax, interesting_entry(r));
	a.bytes({0x48, 0x89, 0x06});
	if (r.chance(50))
		a.bytes({0x0f, 0x01, 0x3e}); // invlpg of its own address: another one stays stale
}

/// Its own code, which may be read-only.
inline void write_code(random &r, assembly &a)
{
	a.set(rsi, FUZZ_WINDOW + FUZZ_CASES + 0x1000 * r.below(4) + r.below(0x1000));
	const std::string_view what = r.pick(plain_instructions).substr(0, 4);

	a.bytes({0xc7, 0x06}); // movl $what, (%rsi)
	a.bytes(what);
	for (std::size_t n = what.size(); n < 4; n++)
		a.bytes({0x90});
}

inline void move_stack(random &r, assembly &a)
{
	a.set(rsp, interesting_address(r));
	if (r.chance(50))
		a.bytes({0x50}); // push
	else
		plain(r, a);
}

/// To where the address space of this mode has an end.
inline void edge(random &r, assembly &a)
{
	a.set(rax, (a.mode().bits32 ? 0x100000000 : 0x800000000000) - (1 + r.below(3)));
	a.set(rcx, r.pick(interesting_msrs));
	a.bytes({0xff, 0xe0});
}

inline constexpr void (*all[])(random &, assembly &) = {
	plain,      plain,      plain,        prefixed,     random_opcode, set_register, set_register,     wrmsr,
	wrmsr,      rdmsr,      cpuid,        hypercall,    hypercall,     hypercall,    control_register, load_cr3,
	load_flags, load_flags, load_segment, load_segment, load_table,    far_return,   interrupt_return, interrupt,
	port,       string,     string,       memory,       memory,        memory,       write_table,      write_table,
	write_code, move_stack, edge,
};

}

/// One thing that means something, in a slot that is otherwise NOPs.
inline void fill_slot(random &r, std::span<std::byte> slot, const code_mode &mode)
{
	assembly a(slot, mode);

	r.pick(kinds::all)(r, a);
	while (a.left())
		a.bytes({0x90});
}

inline void fill_random(random &r, std::span<std::byte> room)
{
	for (std::byte &byte : room)
		byte = static_cast<std::byte>(r.next());
}

inline void flip_bits(random &r, std::span<std::byte> room)
{
	for (std::uint64_t n = 1 + r.below(64); n; n--)
		r.pick(room) ^= static_cast<std::byte>(1u << r.below(8));
}

/// The last slot ends the guest.
inline void fill_end(std::span<std::byte> slot, const code_mode &mode)
{
	assembly a(slot, mode);

	a.set(rdi, FUZZ_STATUS_DONE);
	a.set(rax, MAYFLY_HC_EXIT);
	a.hypercall();
	a.bytes({0x0f, 0x0b});
}

/// LTR and MOV to CR3 become something else. QEMU 7.2 takes LTR of a null selector,
/// where a CPU raises #GP, and aborts at the next exception that wants a stack; and
/// it answers reserved bits for CR3 as if an entry had been refused.
inline void remove_emulator_traps(std::span<std::byte> room)
{
	for (std::size_t i = 0; i + 2 < room.size(); i++)
		if (room[i] == std::byte{0x0f} && (room[i + 1] == std::byte{0x00} || room[i + 1] == std::byte{0x22}) &&
		    (room[i + 2] & std::byte{0x38}) == std::byte{0x18})
			room[i + 1] = std::byte{0x0b};
}

inline void fill_code(random &r, std::span<std::byte, page_size> page, const code_mode &mode)
{
	const std::uint64_t kind = r.below(100);

	if (kind < 15) {
		fill_random(r, page);
		return;
	}
	if (kind < 35) {
		assembly a(page, mode);

		while (a.left())
			r.pick(kinds::all)(r, a);
	} else {
		for (std::size_t at = 0; at < page_size; at += FUZZ_SLOT)
			fill_slot(r, page.subspan(at, FUZZ_SLOT), mode);
	}
	fill_end(page.last<FUZZ_SLOT>(), mode);
	if (kind >= 85)
		flip_bits(r, page);
}

inline void fill_page(random &r, std::span<std::byte, page_size> page, const code_mode &mode)
{
	fill_code(r, page, mode);
	if (mode.svm)
		remove_emulator_traps(page);
}

}
