// SPDX-License-Identifier: BSD-2-Clause
//
// Being warm: the moment for a snapshot, and what differs in every VM that is made from
// it. Such a VM, a clone, goes on from there with memory and registers as they were, but
// with an id, a name, arguments and random numbers of its own.

#pragma once

#include <cstddef>
#include <iterator>
#include <mayfly/vm.hpp>
#include <string_view>

namespace mayfly
{

/// A VM's arguments, without its name: strings, one behind the other, each with its NUL.
/// In clones this is what main()'s argv was in the first VM. They are the VM's as long as
/// its generation() is the same: after a snapshot that did not wait for ready(), begin again.
class arguments
{
public:
	class iterator
	{
	public:
		using iterator_category = std::forward_iterator_tag;
		using value_type = std::string_view;
		using difference_type = std::ptrdiff_t;
		using pointer = const std::string_view *;
		using reference = std::string_view;

		iterator() = default;
		iterator(const char *at, std::size_t left) : at_(at), left_(left) {}

		std::string_view operator*() const { return at_; }
		iterator &operator++()
		{
			at_ += std::string_view(at_).size() + 1;
			--left_;
			return *this;
		}
		iterator operator++(int)
		{
			const auto before = *this;
			++*this;
			return before;
		}
		bool operator==(const iterator &other) const { return left_ == other.left_; }

	private:
		const char *at_ = nullptr;
		std::size_t left_ = 0; // words
	};

	iterator begin() const { return {first(), size()}; }
	iterator end() const { return {}; }
	std::size_t size() const { return device_page().argc; }
	bool empty() const { return size() == 0; }

private:
	static const char *first() { return reinterpret_cast<const char *>(window + device_page().args_gpa); }
};

/// Says that this VM is warm, and that this is the moment for a snapshot, if anybody wants
/// one (`vmctl run --snapshot-when-ready`). Returns this VM's arguments: at once where
/// nobody does, and again in every clone, whose generation() is higher and whose arguments
/// are its own.
arguments ready();

using generation_hook = void (*)();

/// Has @p hook called in every clone, once, before ready(), wait_until() or wait_forever()
/// returns there: for what must not be the same in two VMs. Returns the hook before it, which it
/// should call; null if there was none.
generation_hook set_generation_hook(generation_hook hook);

}
