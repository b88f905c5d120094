// SPDX-License-Identifier: Apache-2.0
// libelf decodes the headers; the lines below decide what to believe.
#include "vmctl/elf_image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>

namespace vmctl
{

namespace
{

// Far more than any linker writes; keeps a hostile count from costing time.
constexpr std::size_t max_program_headers = 1024;

struct elf_end {
	void operator()(Elf *elf) const { ::elf_end(elf); }
};

std::unexpected<error> refuse(std::string why)
{
	return fail(ENOEXEC, std::move(why));
}

constexpr std::uint64_t page_down(std::uint64_t address)
{
	return address & ~(page_size - 1);
}

constexpr std::uint64_t page_up(std::uint64_t address)
{
	return page_down(address + page_size - 1);
}

result<void> judge_type(const GElf_Ehdr &header)
{
	switch (header.e_type) {
	case ET_EXEC:
		return {};
	case ET_DYN:
		return refuse("position-independent or shared; link it static at a fixed address");
	case ET_REL:
		return refuse("an object file, not linked yet");
	default:
		return refuse("not an x86-64 ELF executable (neither program nor library)");
	}
}

// Class, byte order and machine, before libelf gets to see anything.
result<void> judge_identity(std::span<const std::byte> file)
{
	const auto ident = [&](std::size_t at) { return std::to_integer<unsigned>(file[at]); };

	if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0)
		return refuse("not an x86-64 ELF executable");
	if (file.size() < EI_NIDENT)
		return refuse("truncated within the ELF header");
	if (ident(EI_CLASS) == ELFCLASS32)
		return refuse("not an x86-64 ELF executable (32-bit)");
	if (ident(EI_CLASS) != ELFCLASS64 || ident(EI_DATA) != ELFDATA2LSB || ident(EI_VERSION) != EV_CURRENT)
		return refuse("not an x86-64 ELF executable");
	if (file.size() < sizeof(Elf64_Ehdr))
		return refuse("truncated within the ELF header");
	return {};
}

// A PT_LOAD that has memory, in the file's terms and checked alone.
struct load {
	std::uint64_t start, end; // guest-physical, exact
	std::span<const std::byte> bytes;
	bool writable, executable;
};

result<load> judge_load(std::span<const std::byte> file, const GElf_Phdr &header, std::size_t index)
{
	if (header.p_filesz > header.p_memsz)
		return refuse(fmt::format("segment {} has more bytes in the file than in memory", index));
	if (header.p_offset > file.size() || header.p_filesz > file.size() - header.p_offset)
		return refuse(fmt::format("truncated: segment {} ends beyond the file", index));
	if (header.p_paddr + header.p_memsz < header.p_paddr)
		return refuse(fmt::format("segment {} wraps around the end of the address space", index));
	if (header.p_vaddr != elf_image::kernel_base + header.p_paddr)
		return refuse(fmt::format("segment {} is linked at {:#x}, not at {:#x} plus its load address {:#x}",
					  index, header.p_vaddr, elf_image::kernel_base, header.p_paddr));
	if (header.p_paddr % page_size != 0)
		return refuse(fmt::format("segment {} at {:#x} does not start on a page", index, header.p_paddr));
	if (header.p_paddr < elf_image::lowest_gpa)
		return refuse(fmt::format("segment {} starts at {:#x}, below {:#x}", index, header.p_paddr,
					  elf_image::lowest_gpa));
	if (header.p_paddr + header.p_memsz > elf_image::highest_gpa)
		return refuse(fmt::format("segment {} ends at {:#x}, beyond the 1 GiB an image may span", index,
					  header.p_paddr + header.p_memsz));

	return load{
		.start = header.p_paddr,
		.end = header.p_paddr + header.p_memsz,
		.bytes = file.subspan(header.p_offset, header.p_filesz),
		// The rest of a partial page is .bss: it must be writable with it.
		.writable = (header.p_flags & PF_W) != 0 || header.p_memsz > header.p_filesz,
		.executable = (header.p_flags & PF_X) != 0,
	};
}

result<std::vector<load>> judge_program_headers(std::span<const std::byte> file, Elf *elf)
{
	std::size_t count = 0;

	if (elf_getphdrnum(elf, &count) != 0 || count > max_program_headers)
		return refuse("the program headers are missing or damaged");

	std::vector<load> loads;

	for (std::size_t i = 0; i < count; i++) {
		GElf_Phdr header;

		if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr)
			return refuse("truncated: the program headers end beyond the file");
		if (header.p_type == PT_INTERP || header.p_type == PT_DYNAMIC)
			return refuse("dynamically linked; link it static");
		if (header.p_type != PT_LOAD || (header.p_memsz == 0 && header.p_filesz == 0))
			continue;
		loads.push_back(VMCTL_TRY(judge_load(file, header, i)));
	}
	if (loads.empty())
		return refuse("nothing to load: no segment has memory");
	// One more is the loader's own.
	if (loads.size() >= max_segments)
		return refuse(fmt::format("{} segments; {} are allowed", loads.size(), max_segments - 1));
	return loads;
}

result<void> judge_neighbours(std::span<const load> loads)
{
	for (std::size_t i = 1; i < loads.size(); i++) {
		const load &before = loads[i - 1], &after = loads[i];

		if (before.end > after.start)
			return refuse(fmt::format("segments at {:#x} and {:#x} overlap", before.start, after.start));
		if (page_up(before.end) > after.start)
			return refuse(fmt::format("segments at {:#x} and {:#x} share a page", before.start,
						  after.start));
	}
	return {};
}

} // namespace

result<elf_image> elf_image::parse(std::span<const std::byte> file)
{
	VMCTL_TRY(judge_identity(file));
	if (elf_version(EV_CURRENT) == EV_NONE)
		return refuse("libelf is older than this program");

	// libelf takes a writable pointer but only reads from a memory image.
	auto *bytes = const_cast<char *>(reinterpret_cast<const char *>(file.data()));
	const std::unique_ptr<Elf, elf_end> elf(elf_memory(bytes, file.size()));
	GElf_Ehdr header;

	if (!elf || elf_kind(elf.get()) != ELF_K_ELF || gelf_getehdr(elf.get(), &header) == nullptr)
		return refuse("truncated or damaged ELF header");
	if (header.e_machine != EM_X86_64)
		return refuse(fmt::format("not an x86-64 ELF executable (machine {})", header.e_machine));
	VMCTL_TRY(judge_type(header));

	auto loads = VMCTL_TRY(judge_program_headers(file, elf.get()));

	std::ranges::sort(loads, {}, &load::start);
	VMCTL_TRY(judge_neighbours(loads));

	elf_image image;
	bool entry_found = false;

	for (const load &piece : loads) {
		const std::uint64_t first = kernel_base + piece.start;

		if (piece.executable && header.e_entry >= first && header.e_entry - first < piece.bytes.size())
			entry_found = true;
		if (!piece.bytes.empty())
			image.segments_.push_back({piece.start, piece.bytes, piece.writable, piece.executable});
	}
	if (!entry_found)
		return refuse(fmt::format("entry {:#x} is outside the code", header.e_entry));
	image.entry_ = header.e_entry;
	image.memory_min_ = page_up(loads.back().end);
	return image;
}

std::array<std::uint64_t, 512> elf_image::entry_table()
{
	constexpr std::uint64_t present = 1, writable = 2, accessed = 0x20, dirty = 0x40, large = 0x80;
	constexpr std::uint64_t leaf = present | writable | accessed | dirty | large;
	std::array<std::uint64_t, 512> table{};

	for (std::uint64_t gib = 0; gib < max_memory >> 30; gib++)
		table[gib] = gib << 30 | leaf;
	table[510] = leaf;
	// Points at its own page: the same entries are read again as next level.
	table[511] = table_gpa | present | writable | accessed;
	return table;
}

} // namespace vmctl
