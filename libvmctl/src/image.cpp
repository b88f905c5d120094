// SPDX-License-Identifier: Apache-2.0
// Images: made from ELF files, named.
#include "vmctl/image.hpp"

#include <array>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "vmctl/device.hpp"

#include "convert.hpp"

namespace vmctl
{

static_assert(std::to_underlying(guest_profile::unikernel) == MAYFLY_PROFILE_UNIKERNEL);

namespace
{

// The pieces of an image with \p elf, whose page table is \p table.
std::vector<image_segment> segments_of(const elf_image &elf, std::span<const std::uint64_t> table)
{
	std::vector<image_segment> segments;

	// Writable, so that VMs get a copy: walks by hardware set bits in it.
	segments.push_back(
		{.gpa = elf_image::table_gpa, .bytes = std::as_bytes(table), .writable = true, .executable = false});
	for (const auto &piece : elf.segments())
		segments.push_back({.gpa = piece.gpa,
				    .bytes = piece.bytes,
				    .writable = piece.writable,
				    .executable = piece.executable});
	return segments;
}

std::vector<mayfly_segment> raw_of(std::span<const image_segment> segments)
{
	std::vector<mayfly_segment> all;

	for (const image_segment &one : segments)
		all.push_back({.gpa = one.gpa,
			       .length = one.bytes.size(),
			       .source = address_of(one.bytes.data()),
			       .flags = (one.writable ? MAYFLY_SEGMENT_WRITE : 0u) |
					(one.executable ? MAYFLY_SEGMENT_EXECUTE : 0u),
			       .reserved = 0});
	return all;
}

error load_error(int code, cpu_level level)
{
	if (code == EOPNOTSUPP)
		return {code, fmt::format("this host's CPU lacks what {} needs", to_string(level))};
	return {code, "loading the image: " + errno_text(code)};
}

error tag_error(int code, std::string_view name)
{
	switch (code) {
	case EEXIST:
		return {code, fmt::format("another image is called {}", name)};
	case EPERM:
		return {code, "someone else's image"};
	default:
		return {code, "naming the image: " + errno_text(code)};
	}
}

} // namespace

std::string_view to_string(guest_profile profile)
{
	return profile == guest_profile::unikernel ? "unikernel" : "unknown";
}

image_info info_of(const mayfly_image_info &raw)
{
	return {
		.id = raw.id,
		.parent = raw.parent,
		.bytes = raw.bytes,
		.users = raw.users,
		.memory_min = raw.memory_min,
		.memory_default = raw.memory_default,
		.created_ns = raw.created_ns,
		.snapshot = (raw.flags & MAYFLY_IMAGE_SNAPSHOT) != 0,
		.same_tsc = (raw.flags & MAYFLY_IMAGE_SAME_TSC) != 0,
		.uid = raw.uid,
		.profile = static_cast<guest_profile>(raw.profile),
		.vendor = static_cast<cpu_vendor>(raw.cpu_vendor),
		.level = static_cast<cpu_level>(raw.cpu_level),
		.label = std::string(text_of(raw.label)),
		.name = std::string(text_of(raw.name)),
	};
}

result<image_info> image::info() const
{
	mayfly_image_info raw{};
	mayfly_row argument = row_argument(raw);

	VMCTL_TRY(call(handle_, MAYFLY_STAT, &argument, "reading the image's numbers"));
	return info_of(raw);
}

result<void> image::tag(std::string_view name, bool replace) const
{
	mayfly_tag argument{};

	VMCTL_TRY(check_name(name));
	put_name(argument.name, name);
	argument.flags = replace ? MAYFLY_TAG_REPLACE : 0u;

	const int ret = handle_.calls().ioctl(handle_.fd(), MAYFLY_IMAGE_TAG, &argument);

	if (ret < 0)
		return std::unexpected(tag_error(-ret, name));
	return {};
}

result<void> image::remove() const
{
	const int ret = handle_.calls().ioctl(handle_.fd(), MAYFLY_IMAGE_REMOVE, nullptr);

	switch (-ret) {
	case 0:
		return {};
	case ENOENT:
		return fail(ENOENT, "has no name; it goes with the last VM made from it");
	case EPERM:
		return fail(EPERM, "someone else's image");
	default:
		return fail(-ret, "removing the image's name: " + errno_text(-ret));
	}
}

result<vcpu_state> image::state() const
{
	return get_state(handle_);
}

result<std::vector<extent>> image::extents(const image *base) const
{
	std::array<mayfly_extent, 512> rows;
	std::vector<extent> all;
	mayfly_extents argument{};

	argument.base = base ? base->fd() : -1;
	// Below is what belongs to the VM, not to what it goes on from: its rings, too.
	argument.gpa = MAYFLY_GPA_IMAGE;
	while (argument.gpa < MAYFLY_MEMORY_MAX) {
		argument.extents = address_of(rows.data());
		argument.count = rows.size();
		VMCTL_TRY(call(handle_, MAYFLY_EXTENTS, &argument, "listing the image's pages"));
		for (const mayfly_extent &row : std::span(rows).first(argument.count))
			all.push_back({.gpa = row.gpa,
				       .length = row.length,
				       .writable = (row.flags & MAYFLY_SEGMENT_WRITE) != 0,
				       .executable = (row.flags & MAYFLY_SEGMENT_EXECUTE) != 0});
	}
	return all;
}

result<void> image::read_memory(std::uint64_t gpa, std::span<std::byte> buffer) const
{
	return copy_memory(handle_, gpa, buffer.data(), buffer.size(), 0);
}

result<image> device::load_image(std::span<const std::byte> file, std::string_view label,
				 const image_options &options) const
{
	return load_image(VMCTL_TRY(elf_image::parse(file)), label, options);
}

result<image> device::load_image(const elf_image &elf, std::string_view label, const image_options &options) const
{
	if (options.memory)
		VMCTL_TRY(check_memory(*options.memory));
	if (options.memory && *options.memory < elf.memory_min())
		return fail(EINVAL, fmt::format("needs at least {} bytes of memory", elf.memory_min()));

	const auto table = elf_image::entry_table();
	const auto segments = segments_of(elf, table);

	return make_image({.label = label,
			   .segments = segments,
			   .rip = elf.entry(),
			   .cr3 = elf_image::table_gpa,
			   .rdi = elf_image::kernel_base + MAYFLY_GPA_DEVICE,
			   .memory_min = elf.memory_min(),
			   .memory_default = options.memory.value_or(0),
			   .level = options.level,
			   .same_tsc = options.same_tsc});
}

result<image> device::make_image(const image_parts &parts) const
{
	const auto segments = raw_of(parts.segments);
	mayfly_image_create create{};

	create.segments = address_of(segments.data());
	create.nr_segments = static_cast<std::uint32_t>(segments.size());
	create.rip = parts.rip;
	create.rsp = parts.rsp;
	create.cr3 = parts.cr3;
	create.rdi = parts.rdi;
	create.memory_min = parts.memory_min;
	create.memory_default = parts.memory_default;
	create.profile = std::to_underlying(parts.profile);
	create.cpu_level = std::to_underlying(parts.level);
	create.flags = parts.same_tsc ? MAYFLY_IMAGE_SAME_TSC : 0;
	create.cpu_vendor = parts.vendor ? std::to_underlying(*parts.vendor) : 0;
	if (parts.label.empty() || !put_name(create.label, parts.label.substr(0, max_name_length)))
		return fail(EINVAL, "the image has no label");

	const int ret = handle_.calls().ioctl(handle_.fd(), MAYFLY_IMAGE_CREATE, &create);

	if (ret == -EDQUOT)
		return std::unexpected(bytes_error(VMCTL_TRY(info())));
	if (ret < 0)
		return std::unexpected(load_error(-ret, parts.level));
	return image(descriptor(handle_.calls(), create.fd));
}

} // namespace vmctl
