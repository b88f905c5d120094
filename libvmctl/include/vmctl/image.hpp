// SPDX-License-Identifier: Apache-2.0
/// \file
/// An image held by the module.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "descriptor.hpp"

namespace vmctl
{

/// What VMs are made from: pages and a start state, immutable, shared by them.
/// Made by device::load_image(). VMs keep their image alive, so this handle may
/// go as soon as the last spawn is done.
class image final
{
public:
	/// Takes the descriptor that IMAGE_CREATE returned.
	image(descriptor handle, std::string name, std::uint64_t memory_min)
		: handle_(std::move(handle)), name_(std::move(name)), memory_min_(memory_min)
	{
	}

	/// The descriptor, still owned by this object.
	[[nodiscard]] int fd() const { return handle_.fd(); }

	/// The name lists will show.
	[[nodiscard]] const std::string &name() const { return name_; }

	/// Bytes of memory a VM of this image needs at least.
	[[nodiscard]] std::uint64_t memory_min() const { return memory_min_; }

private:
	descriptor handle_;
	std::string name_;
	std::uint64_t memory_min_;
};

} // namespace vmctl
