// SPDX-License-Identifier: Apache-2.0
// Small ELF files made in memory, right by default and wrong where a test says.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include <elf.h>
#include <vmctl/elf_image.hpp>

struct elf_builder {
	struct piece {
		Elf64_Phdr header;
		std::string bytes;
	};

	Elf64_Ehdr header{};
	std::vector<piece> pieces;

	elf_builder()
	{
		std::memcpy(header.e_ident, ELFMAG, SELFMAG);
		header.e_ident[EI_CLASS] = ELFCLASS64;
		header.e_ident[EI_DATA] = ELFDATA2LSB;
		header.e_ident[EI_VERSION] = EV_CURRENT;
		header.e_type = ET_EXEC;
		header.e_machine = EM_X86_64;
		header.e_version = EV_CURRENT;
		header.e_ehsize = sizeof(Elf64_Ehdr);
		header.e_phentsize = sizeof(Elf64_Phdr);
		header.e_phoff = sizeof(Elf64_Ehdr);
	}

	// A guest with code at 1 MiB and a page of data with .bss behind it.
	static elf_builder guest()
	{
		elf_builder made;

		made.add(0x100000, std::string(100, '\x90'), 100, PF_R | PF_X);
		made.add(0x102000, "data", 0x1800, PF_R | PF_W);
		made.header.e_entry = vmctl::elf_image::kernel_base + 0x100000;
		return made;
	}

	Elf64_Phdr &add(std::uint64_t gpa, const std::string &bytes, std::uint64_t memory, std::uint32_t flags)
	{
		Elf64_Phdr made{};

		made.p_type = PT_LOAD;
		made.p_flags = flags;
		made.p_paddr = gpa;
		made.p_vaddr = vmctl::elf_image::kernel_base + gpa;
		made.p_filesz = bytes.size();
		made.p_memsz = memory;
		made.p_offset = UINT64_MAX; // text() finds a place
		made.p_align = 4096;
		return pieces.emplace_back(piece{made, bytes}).header;
	}

	[[nodiscard]] std::string text() const
	{
		Elf64_Ehdr first = header;
		std::string headers, content;
		const std::size_t start = sizeof first + pieces.size() * sizeof(Elf64_Phdr);

		if (first.e_phnum == 0)
			first.e_phnum = static_cast<Elf64_Half>(pieces.size());
		for (const piece &each : pieces) {
			Elf64_Phdr placed = each.header;

			if (placed.p_offset == UINT64_MAX)
				placed.p_offset = start + content.size();
			content += each.bytes;
			headers.append(reinterpret_cast<const char *>(&placed), sizeof placed);
		}
		return std::string(reinterpret_cast<const char *>(&first), sizeof first) + headers + content;
	}
};
