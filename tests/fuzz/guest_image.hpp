// SPDX-License-Identifier: Apache-2.0
//
// The image that the guests of one batch share: page tables, descriptors, the
// common code of guest.S and a page of code for each case.

#pragma once

#include <array>
#include <cstring>
#include <span>
#include <vector>

#include <mayfly.h>
#include <mayfly_guest.h>

#include "../live/descriptor.hpp"
#include "code.hpp"
#include "layout.h"
#include "random.hpp"

extern "C" const std::byte fuzz_guest[], fuzz_guest_end[];

namespace fuzz
{

inline constexpr std::size_t table_pages = 10;

using page = std::array<std::byte, page_size>;

template <class T> void store(page &to, std::size_t at, const T &value)
{
	std::memcpy(to.data() + at, &value, sizeof(value));
}

/// Low memory by pages and large pages, the window, the direct map, and one page
/// each at the end of the lower half and of the first 4 GiB.
inline std::vector<page> page_tables()
{
	constexpr std::uint64_t flags = 0x67, large = 0x80;
	const auto table = [](std::uint64_t number) { return (FUZZ_TABLES + page_size * number) | flags; };
	std::vector<page> tables(table_pages);
	const auto set = [&](std::size_t number, std::size_t entry, std::uint64_t value) {
		store(tables[number], 8 * entry, value);
	};

	set(0, 0, table(1));
	set(0, 255, table(6));
	set(0, 256, table(5));
	set(0, 511, table(4));
	set(1, 0, table(2));
	set(1, 3, table(7));
	set(2, 0, table(3));
	for (std::uint64_t i = 1; i < 64; i++)
		set(2, i, i << 21 | flags | large);
	for (std::uint64_t i = 0; i < 512; i++)
		set(3, i, i << 12 | flags);
	set(3, 0, FUZZ_SCRATCH | flags); // GPA 0 is no memory: a null pointer should not be the end
	set(4, 510, flags | large);
	for (std::uint64_t i = 0; i < 64; i++)
		set(5, i, i << 30 | flags | large);
	set(6, 511, table(7));
	set(7, 511, table(8));
	set(8, 511, FUZZ_EDGE | flags);
	return tables;
}

/// A gate to a handler of guest.S, on the stack that is theirs.
inline std::array<std::uint64_t, 2> gate(unsigned vector)
{
	const std::uint64_t to = FUZZ_WINDOW + FUZZ_SYSTEM + FUZZ_HANDLERS + vector * FUZZ_HANDLER_SIZE;
	constexpr std::uint64_t attributes = 0xee01; // present, DPL 3, interrupt gate, IST 1

	return {(to & 0xffff) | std::uint64_t{FUZZ_CODE} << 16 | attributes << 32 | (to >> 16 & 0xffff) << 48,
		to >> 32};
}

/// What LGDT and LIDT load: limit and base.
inline void store_operand(page &to, std::size_t at, std::uint64_t base, std::uint16_t limit)
{
	store(to, at, limit);
	store(to, at + 2, base);
}

inline page descriptors(random &r)
{
	constexpr std::uint64_t base = FUZZ_WINDOW + FUZZ_DESCRIPTORS, tss = base + FUZZ_TSS;
	constexpr std::uint64_t gdt[] = {
		0,
		0x00af9b000000ffff,
		0x00cf93000000ffff,
		0x00cf9b000000ffff,
		0x00cff3000000ffff,
		0x00affb000000ffff,
		0x00cffb000000ffff,
		// The available TSS of 104 bytes.
		0x0000890000000067 | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56,
		tss >> 32,
	};
	page result{};

	std::memcpy(result.data() + FUZZ_GDT, gdt, sizeof(gdt));
	for (std::size_t at = FUZZ_RANDOM; at < FUZZ_GDT_END; at += 8)
		store(result, at, r.chance(50) ? r.next() | 1ull << 47 : r.pick(gdt) ^ 1ull << r.below(64));
	for (std::size_t at = 4; at < 0x60; at += 8) // RSP0 to 2, IST 1 to 7
		store(result, FUZZ_TSS + at, FUZZ_WINDOW + FUZZ_HANDLER_STACK);
	store_operand(result, FUZZ_GDTR, base + FUZZ_GDT, FUZZ_GDT_END - 1);
	store_operand(result, FUZZ_IDTR, base + FUZZ_IDT, 32 * 16 - 1);
	for (std::size_t i = 0; i < 16; i++)
		store_operand(result, FUZZ_OPERANDS + 16 * i,
			      r.chance(50) ? base + FUZZ_GDT + r.below(2) * FUZZ_IDT : interesting_address(r),
			      static_cast<std::uint16_t>(r.next() >> r.below(16)));
	for (unsigned vector = 0; vector < 32; vector++)
		store(result, FUZZ_IDT + 16 * vector, gate(vector));
	return result;
}

/// Code whose last instruction ends with the page: what comes next has no address.
inline page edge_page(random &r, bool svm)
{
	static constexpr std::string_view last[] = {"\x0f\xa2"sv, "\xf4"sv,     "\x0f\x32"sv,     "\xec"sv,
						    "\x90"sv,     "\x0f\x0b"sv, "\x0f\x01\xc1"sv, "\x0f\x01\xd9"sv,
						    "\x0f\x05"sv, "\xcc"sv};
	const std::string_view chosen = r.chance(30) ? svm ? "\x0f\x01\xd9"sv : "\x0f\x01\xc1"sv : r.pick(last);
	page result;

	result.fill(std::byte{0x90});
	std::memcpy(result.data() + page_size - chosen.size(), chosen.data(), chosen.size());
	return result;
}

/// All the bytes of a batch's image, and the argument that loads them.
class guest_image final
{
public:
	/// \p modes has one for each case; \p seed and \p batch decide the rest.
	guest_image(std::uint64_t seed, std::uint64_t batch, std::span<const code_mode> modes) : cases_(modes.size())
	{
		random r(seed, 1, batch);

		tables_ = page_tables();
		descriptors_ = descriptors(r);
		system_.fill(std::byte{0xcc});
		std::memcpy(system_.data(), fuzz_guest, static_cast<std::size_t>(fuzz_guest_end - fuzz_guest));
		edge_ = edge_page(r, modes.front().svm);
		fill_random(r, read_only_);
		remove_emulator_traps(read_only_);
		writable_code_ = r.chance(50);
		for (std::size_t i = 0; i < cases_.size(); i++)
			fill_page(r, cases_[i], modes[i]);
		describe(batch);
	}
	guest_image(const guest_image &) = delete;
	guest_image &operator=(const guest_image &) = delete;

	[[nodiscard]] const mayfly_image_create &request() const { return create_; }
	[[nodiscard]] std::uint64_t end() const { return FUZZ_CASES + page_size * cases_.size(); }

	/// Is a write there, or running code, what the module must not allow?
	[[nodiscard]] bool is_forbidden(std::uint64_t gpa, std::uint64_t memory) const
	{
		if (gpa >= memory || gpa < MAYFLY_GPA_IMAGE)
			return true;
		for (const mayfly_segment &segment : segments_)
			if (gpa >= segment.gpa && gpa - segment.gpa < segment.length)
				return segment.flags != (MAYFLY_SEGMENT_WRITE | MAYFLY_SEGMENT_EXECUTE);
		return false;
	}
	void add_to(digest &sum) const
	{
		sum.add(descriptors_);
		sum.add(edge_);
		for (const page &one : cases_)
			sum.add(one);
	}

private:
	template <class T> void piece(std::uint64_t gpa, const T *bytes, std::size_t length, std::uint32_t flags)
	{
		segments_.push_back(
			{.gpa = gpa, .length = length, .source = live::address(bytes), .flags = flags, .reserved = 0});
	}
	void describe(std::uint64_t batch)
	{
		piece(FUZZ_TABLES, tables_.data(), page_size * tables_.size(), MAYFLY_SEGMENT_WRITE);
		piece(FUZZ_DESCRIPTORS, descriptors_.data(), page_size, MAYFLY_SEGMENT_WRITE);
		piece(FUZZ_SYSTEM, system_.data(), page_size, MAYFLY_SEGMENT_EXECUTE);
		piece(FUZZ_EDGE, edge_.data(), page_size, MAYFLY_SEGMENT_EXECUTE);
		piece(FUZZ_READ_ONLY, read_only_.data(), page_size, 0);
		piece(FUZZ_CASES, cases_.data(), page_size * cases_.size(),
		      MAYFLY_SEGMENT_EXECUTE | (writable_code_ ? MAYFLY_SEGMENT_WRITE : 0));
		create_.segments = live::address(segments_.data());
		create_.nr_segments = static_cast<std::uint32_t>(segments_.size());
		create_.rip = FUZZ_WINDOW + FUZZ_SYSTEM;
		create_.rsp = FUZZ_WINDOW + FUZZ_STACK;
		create_.cr3 = FUZZ_TABLES;
		create_.rdi = FUZZ_WINDOW + MAYFLY_GPA_DEVICE;
		create_.profile = MAYFLY_PROFILE_UNIKERNEL;
		create_.cpu_level = MAYFLY_CPU_SSE2;
		std::snprintf(create_.label, sizeof(create_.label), "fuzz-%llu",
			      static_cast<unsigned long long>(batch));
	}

	std::vector<page> tables_, cases_;
	page descriptors_{}, system_{}, edge_{}, read_only_{};
	bool writable_code_ = false;
	std::vector<mayfly_segment> segments_;
	mayfly_image_create create_{};
};

}
