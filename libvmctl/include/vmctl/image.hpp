// SPDX-License-Identifier: Apache-2.0
/// \file
/// An image held by the module.
#pragma once

#include <string_view>
#include <utility>

#include "descriptor.hpp"
#include "error.hpp"
#include "image_info.hpp"

namespace vmctl
{

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

private:
	descriptor handle_;
};

} // namespace vmctl
