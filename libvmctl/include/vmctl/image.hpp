// SPDX-License-Identifier: Apache-2.0
/// \file
/// An image held by the module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "descriptor.hpp"
#include "error.hpp"
#include "image_info.hpp"
#include "vcpu_state.hpp"

namespace vmctl
{

/// Pages of an image that follow each other and are alike.
struct extent {
	std::uint64_t gpa = 0;    ///< guest-physical address of the first
	std::uint64_t length = 0; ///< in bytes: whole pages
	bool writable = false;    ///< VMs get their own copy when they write
	bool executable = false;  ///< may hold code

	bool operator==(const extent &) const = default;
};

/// A handle on an image: what VMs are made from, pages and a start state, immutable,
/// shared by them. VMs, handles and its name keep an image, so this handle may go as
/// soon as the last spawn is done.
class image final
{
public:
	/// Takes the descriptor that the module gave out for an image.
	explicit image(descriptor handle) : handle_(std::move(handle)) {}

	/// The descriptor, still owned by this object.
	[[nodiscard]] int fd() const { return handle_.fd(); }

	/// The image at a glance, now.
	[[nodiscard]] result<image_info> info() const;

	/// Gives it a name, instead of the one it may have: see check_name(). The name
	/// keeps it. With \p replace the name is taken from the image that has it. EEXIST
	/// another one of the caller's has it, EPERM someone else's image, EINVAL, ENOMEM.
	[[nodiscard]] result<void> tag(std::string_view name, bool replace = false) const;

	/// Takes its name away: it goes when nothing else keeps it. ENOENT it has none,
	/// EPERM someone else's.
	[[nodiscard]] result<void> remove() const;

	/// What VMs made from it begin with; tsc_offset is the guest's TSC at that moment, and
	/// generation one less than theirs. ENOMEM.
	[[nodiscard]] result<vcpu_state> state() const;

	/// The pages that it has from 64 KiB on, those of its parents included, by ascending
	/// address; without those that \p base has, too. Memory that neither has is zero. EINTR
	/// when a signal came.
	[[nodiscard]] result<std::vector<extent>> extents(const image *base = nullptr) const;

	/// Its memory from \p gpa on, as a new VM would see it. EFAULT below 64 KiB and for what
	/// the host's hardware has found broken, EINTR, ENOMEM.
	[[nodiscard]] result<void> read_memory(std::uint64_t gpa, std::span<std::byte> buffer) const;

private:
	descriptor handle_;
};

} // namespace vmctl
