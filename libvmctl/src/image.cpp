// SPDX-License-Identifier: Apache-2.0
// Images: made from ELF files.
#include "vmctl/image.hpp"

#include <cerrno>
#include <vector>

#include "vmctl/device.hpp"

#include "uapi.hpp"

namespace vmctl
{

result<image> device::load_image(std::span<const std::byte> file, std::string_view name) const
{
	return load_image(VMCTL_TRY(elf_image::parse(file)), name);
}

result<image> device::load_image(const elf_image &elf, std::string_view name) const
{
	const auto table = elf_image::entry_table();
	std::vector<mayfly_segment> segments;

	// Writable, so that VMs get a copy: walks by hardware set bits in it.
	segments.push_back({.gpa = elf_image::table_gpa,
			    .length = sizeof table,
			    .source = address_of(table.data()),
			    .flags = MAYFLY_SEGMENT_WRITE,
			    .reserved = 0});
	for (const auto &piece : elf.segments())
		segments.push_back({.gpa = piece.gpa,
				    .length = piece.bytes.size(),
				    .source = address_of(piece.bytes.data()),
				    .flags = (piece.writable ? MAYFLY_SEGMENT_WRITE : 0u) |
					     (piece.executable ? MAYFLY_SEGMENT_EXECUTE : 0u),
				    .reserved = 0});

	mayfly_image_create create{};

	create.segments = address_of(segments.data());
	create.nr_segments = static_cast<std::uint32_t>(segments.size());
	create.rip = elf.entry();
	create.cr3 = elf_image::table_gpa;
	create.rdi = elf_image::kernel_base + MAYFLY_GPA_DEVICE;
	create.memory_min = elf.memory_min();
	create.profile = MAYFLY_PROFILE_UNIKERNEL;
	create.cpu_level = MAYFLY_CPU_SSE2;
	if (name.empty() || !put_name(create.label, name.substr(0, max_name_length)))
		return fail(EINVAL, "the image has no name");

	const int ret = handle_.calls().ioctl(handle_.fd(), MAYFLY_IMAGE_CREATE, &create);

	if (ret < 0)
		return fail(-ret, "loading the image: " + errno_text(-ret));
	return image(descriptor(handle_.calls(), create.fd), create.label, elf.memory_min());
}

} // namespace vmctl
