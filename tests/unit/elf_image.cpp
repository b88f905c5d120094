// SPDX-License-Identifier: Apache-2.0
// What the loader takes, and the many things it does not.
#include <functional>

#include <gtest/gtest.h>
#include <vmctl/elf_image.hpp>

#include "elf_builder.hpp"

namespace
{

using vmctl::elf_image;

// Copies, so that ASan sees every step beyond the end.
vmctl::result<elf_image> parse(const std::string &text, std::vector<std::byte> &keep)
{
	const auto bytes = std::as_bytes(std::span(text));

	keep.assign(bytes.begin(), bytes.end());
	keep.shrink_to_fit();
	return elf_image::parse(keep);
}

std::string refusal(const std::string &text)
{
	std::vector<std::byte> keep;
	const auto parsed = parse(text, keep);

	if (parsed)
		return "(taken)";
	EXPECT_EQ(parsed.error().code, ENOEXEC);
	return parsed.error().what;
}

TEST(elf_image, takes_a_guest)
{
	std::vector<std::byte> keep;
	const auto parsed = parse(elf_builder::guest().text(), keep);

	ASSERT_TRUE(parsed) << parsed.error().what;
	ASSERT_EQ(parsed->segments().size(), 2u);
	EXPECT_EQ(parsed->entry(), 0xffffffff80100000u);
	EXPECT_EQ(parsed->memory_min(), 0x104000u);
	EXPECT_EQ(parsed->segments()[0].gpa, 0x100000u);
	EXPECT_EQ(parsed->segments()[0].bytes.size(), 100u);
	EXPECT_TRUE(parsed->segments()[0].executable);
	EXPECT_FALSE(parsed->segments()[0].writable);
	EXPECT_EQ(parsed->segments()[1].gpa, 0x102000u);
	EXPECT_EQ(std::to_integer<char>(parsed->segments()[1].bytes[3]), 'a');
	EXPECT_TRUE(parsed->segments()[1].writable);
	EXPECT_FALSE(parsed->segments()[1].executable);
}

TEST(elf_image, sorts_segments_and_drops_pure_bss)
{
	elf_builder made;
	std::vector<std::byte> keep;

	made.add(0x200000, "", 0x5000, PF_R | PF_W);
	made.add(0x110000, "data", 4, PF_R | PF_W);
	made.add(0x100000, "code", 4, PF_R | PF_X);
	made.header.e_entry = elf_image::kernel_base + 0x100000;

	const auto parsed = parse(made.text(), keep);

	ASSERT_TRUE(parsed) << parsed.error().what;
	ASSERT_EQ(parsed->segments().size(), 2u);
	EXPECT_EQ(parsed->segments()[0].gpa, 0x100000u);
	EXPECT_EQ(parsed->segments()[1].gpa, 0x110000u);
	EXPECT_EQ(parsed->memory_min(), 0x205000u);
}

TEST(elf_image, makes_a_partial_page_with_bss_writable)
{
	elf_builder made;
	std::vector<std::byte> keep;

	made.add(0x100000, "code", 5, PF_R | PF_X);
	made.header.e_entry = elf_image::kernel_base + 0x100000;

	const auto parsed = parse(made.text(), keep);

	ASSERT_TRUE(parsed) << parsed.error().what;
	EXPECT_TRUE(parsed->segments()[0].writable);
}

TEST(elf_image, takes_the_whole_window)
{
	elf_builder made;
	std::vector<std::byte> keep;

	made.add(elf_image::lowest_gpa, "code", elf_image::highest_gpa - elf_image::lowest_gpa, PF_R | PF_X);
	made.header.e_entry = elf_image::kernel_base + elf_image::lowest_gpa;
	ASSERT_TRUE(parse(made.text(), keep));
}

// Whatever is cut off, it is seen, and nothing beyond the end is read.
TEST(elf_image, refuses_every_truncation)
{
	const std::string whole = elf_builder::guest().text();

	for (std::size_t length = 0; length < whole.size(); length++)
		EXPECT_NE(refusal(whole.substr(0, length)), "(taken)") << length;
	EXPECT_EQ(refusal(""), "not an x86-64 ELF executable");
	EXPECT_EQ(refusal(whole.substr(0, 10)), "truncated within the ELF header");
	EXPECT_EQ(refusal(whole.substr(0, 63)), "truncated within the ELF header");
	EXPECT_EQ(refusal(whole.substr(0, whole.size() - 1)), "truncated: segment 1 ends beyond the file");
}

// Any one byte of the headers changed to extremes: taken or refused, never a
// crash, never a segment outside the file or the window.
TEST(elf_image, survives_every_changed_byte)
{
	const std::string whole = elf_builder::guest().text();
	const std::size_t headers = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr);

	for (std::size_t at = 0; at < headers; at++) {
		for (const char value : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
			std::string changed = whole;
			std::vector<std::byte> keep;

			changed[at] = value;

			const auto parsed = parse(changed, keep);

			if (!parsed)
				continue;
			for (const auto &piece : parsed->segments()) {
				EXPECT_GE(piece.bytes.data(), keep.data());
				EXPECT_LE(piece.bytes.data() + piece.bytes.size(), keep.data() + keep.size());
				EXPECT_GE(piece.gpa, elf_image::lowest_gpa);
				EXPECT_LE(piece.gpa + piece.bytes.size(), parsed->memory_min());
			}
			EXPECT_LE(parsed->memory_min(), elf_image::highest_gpa);
		}
	}
}

struct wrong_file {
	const char *name;
	std::function<void(elf_builder &)> spoil;
	const char *text;
};

class wrong_files : public testing::TestWithParam<wrong_file>
{};

TEST_P(wrong_files, are_refused)
{
	elf_builder made = elf_builder::guest();

	GetParam().spoil(made);
	EXPECT_EQ(refusal(made.text()), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
	elf_image, wrong_files,
	testing::Values(
		wrong_file{"no_magic", [](auto &elf) { elf.header.e_ident[0] = 'E'; }, "not an x86-64 ELF executable"},
		wrong_file{"class32", [](auto &elf) { elf.header.e_ident[EI_CLASS] = ELFCLASS32; },
			   "not an x86-64 ELF executable (32-bit)"},
		wrong_file{"big_endian", [](auto &elf) { elf.header.e_ident[EI_DATA] = ELFDATA2MSB; },
			   "not an x86-64 ELF executable"},
		wrong_file{"wrong_machine", [](auto &elf) { elf.header.e_machine = EM_AARCH64; },
			   "not an x86-64 ELF executable (machine 183)"},
		wrong_file{"shared", [](auto &elf) { elf.header.e_type = ET_DYN; },
			   "position-independent or shared; link it static at a fixed address"},
		wrong_file{"object", [](auto &elf) { elf.header.e_type = ET_REL; }, "an object file, not linked yet"},
		wrong_file{"core", [](auto &elf) { elf.header.e_type = ET_CORE; },
			   "not an x86-64 ELF executable (neither program nor library)"},
		wrong_file{"interpreter", [](auto &elf) { elf.add(0, "/lib/ld.so", 0, 0).p_type = PT_INTERP; },
			   "dynamically linked; link it static"},
		wrong_file{"dynamic", [](auto &elf) { elf.add(0, "", 0, 0).p_type = PT_DYNAMIC; },
			   "dynamically linked; link it static"},
		wrong_file{"nothing", [](auto &elf) { elf.pieces.clear(); },
			   "the program headers are missing or damaged"},
		wrong_file{"no_load",
			   [](auto &elf) {
				   for (auto &each : elf.pieces)
					   each.header.p_type = PT_NOTE;
			   },
			   "nothing to load: no segment has memory"},
		wrong_file{"headers_outside", [](auto &elf) { elf.header.e_phoff = 1 << 20; },
			   "the program headers are missing or damaged"},
		wrong_file{"more_file_than_memory", [](auto &elf) { elf.pieces[1].header.p_memsz = 3; },
			   "segment 1 has more bytes in the file than in memory"},
		wrong_file{"offset_outside", [](auto &elf) { elf.pieces[1].header.p_offset = 1 << 20; },
			   "truncated: segment 1 ends beyond the file"},
		wrong_file{"offset_wraps", [](auto &elf) { elf.pieces[1].header.p_offset = UINT64_MAX - 1; },
			   "truncated: segment 1 ends beyond the file"},
		wrong_file{"address_wraps",
			   [](auto &elf) {
				   elf.pieces[1].header.p_paddr = UINT64_MAX - 0xfff;
				   elf.pieces[1].header.p_vaddr = elf_image::kernel_base - 0x1000;
				   elf.pieces[1].header.p_memsz = 0x2000;
			   },
			   "segment 1 wraps around the end of the address space"},
		wrong_file{"claims_4_GiB", [](auto &elf) { elf.pieces[1].header.p_memsz = 4ull << 30; },
			   "segment 1 ends at 0x100102000, beyond the 1 GiB an image may span"},
		wrong_file{"claims_everything", [](auto &elf) { elf.pieces[1].header.p_memsz = UINT64_MAX; },
			   "segment 1 wraps around the end of the address space"},
		wrong_file{"linked_elsewhere", [](auto &elf) { elf.pieces[1].header.p_vaddr = 0x102000; },
			   "segment 1 is linked at 0x102000, not at 0xffffffff80000000 plus its load address 0x102000"},
		wrong_file{"too_low",
			   [](auto &elf) {
				   elf.pieces[1].header.p_paddr = 0x1f000;
				   elf.pieces[1].header.p_vaddr = elf_image::kernel_base + 0x1f000;
			   },
			   "segment 1 starts at 0x1f000, below 0x20000"},
		wrong_file{"off_a_page",
			   [](auto &elf) {
				   elf.pieces[1].header.p_paddr += 8;
				   elf.pieces[1].header.p_vaddr += 8;
			   },
			   "segment 1 at 0x102008 does not start on a page"},
		wrong_file{"overlap", [](auto &elf) { elf.pieces[0].header.p_memsz = 0x3000; },
			   "segments at 0x100000 and 0x102000 overlap"},
		wrong_file{"same_place",
			   [](auto &elf) {
				   elf.pieces[1].header.p_paddr = 0x100000;
				   elf.pieces[1].header.p_vaddr = elf_image::kernel_base + 0x100000;
			   },
			   "segments at 0x100000 and 0x100000 overlap"},
		wrong_file{"entry_in_data", [](auto &elf) { elf.header.e_entry += 0x2000; },
			   "entry 0xffffffff80102000 is outside the code"},
		wrong_file{"entry_behind_code", [](auto &elf) { elf.header.e_entry += 100; },
			   "entry 0xffffffff80100064 is outside the code"},
		wrong_file{"entry_physical", [](auto &elf) { elf.header.e_entry = 0x100000; },
			   "entry 0x100000 is outside the code"},
		wrong_file{"too_many",
			   [](auto &elf) {
				   for (std::uint64_t i = 0; i < vmctl::max_segments; i++)
					   elf.add(0x200000 + i * 4096, "x", 1, PF_R);
			   },
			   "66 segments; 63 are allowed"}),
	[](const auto &each) { return std::string(each.param.name); });

TEST(elf_image, entry_table_maps_the_window_and_itself)
{
	const auto table = elf_image::entry_table();

	EXPECT_EQ(table[511], 0x10023u);
	EXPECT_EQ(table[510], 0xe3u);
	EXPECT_EQ(table[0], 0xe3u);
	EXPECT_EQ(table[63], (63ull << 30) | 0xe3);
	EXPECT_EQ(table[64], 0u);
	EXPECT_EQ(table[509], 0u);
}

} // namespace
