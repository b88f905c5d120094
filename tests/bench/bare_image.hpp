// SPDX-License-Identifier: Apache-2.0
//
// The image of a guest that is a page of code and one of page tables.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <mayfly.h>
#include <mayfly_guest.h>
#include <vmctl/elf_image.hpp>

#include "measure.hpp"

namespace bench
{

inline constexpr std::uint64_t code_gpa = 0x20000;
inline constexpr std::uint64_t stack_gpa = 0x40000;

/// A call that fills one row.
template <class Row> void call_row(int fd, unsigned long request, Row &row, const char *what)
{
	mayfly_row args{};

	args.row = reinterpret_cast<std::uintptr_t>(&row);
	args.row_size = sizeof(row);
	call(fd, request, &args, what);
}

/// A descriptor of the image that starts at the first byte of \p code.
inline int bare_image(int device, const std::byte *code, const std::byte *end)
{
	const std::uint64_t base = vmctl::elf_image::kernel_base;
	const auto table = vmctl::elf_image::entry_table();
	std::array<mayfly_segment, 2> segments{};
	mayfly_image_create create{};

	segments[0].gpa = vmctl::elf_image::table_gpa;
	segments[0].length = sizeof(table);
	segments[0].source = reinterpret_cast<std::uintptr_t>(table.data());
	segments[0].flags = MAYFLY_SEGMENT_WRITE;
	segments[1].gpa = code_gpa;
	segments[1].length = static_cast<std::uint64_t>(end - code);
	segments[1].source = reinterpret_cast<std::uintptr_t>(code);
	segments[1].flags = MAYFLY_SEGMENT_EXECUTE;
	create.segments = reinterpret_cast<std::uintptr_t>(segments.data());
	create.nr_segments = segments.size();
	create.rip = base + code_gpa;
	create.rsp = base + stack_gpa;
	create.cr3 = vmctl::elf_image::table_gpa;
	create.rdi = base + MAYFLY_GPA_DEVICE;
	create.profile = MAYFLY_PROFILE_UNIKERNEL;
	create.cpu_level = MAYFLY_CPU_SSE2;
	std::strcpy(create.label, "bare");
	call(device, MAYFLY_IMAGE_CREATE, &create, "MAYFLY_IMAGE_CREATE");
	return create.fd;
}

}
