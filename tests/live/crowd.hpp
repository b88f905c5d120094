// SPDX-License-Identifier: Apache-2.0
//
// Many VMs that are made by one call and go together.

#pragma once

#include <algorithm>

#include "machine.hpp"

namespace live
{

/// Detached VMs of one SPAWN, killed and removed in the end. Makes no system call
/// but its ioctls and takes no memory once it is made.
class crowd final
{
public:
	crowd(const fd &device, const fd &image, std::uint32_t count, std::uint32_t flags = 0,
	      std::uint64_t memory = MAYFLY_MEMORY_DEFAULT)
		: device_(device), ids_(count), rows_(count)
	{
		mayfly_spawn spawn = spawn_request(image, flags | MAYFLY_SPAWN_DETACHED, count);

		spawn.ids = address(ids_.data());
		spawn.memory = memory;
		result_ = call(device_, MAYFLY_SPAWN, &spawn);
		ids_.resize(spawn.created);
		rows_.resize(spawn.created);
	}
	crowd(const crowd &) = delete;
	crowd &operator=(const crowd &) = delete;
	~crowd()
	{
		control(MAYFLY_OP_KILL);
		EXPECT_EQ(control(MAYFLY_OP_REMOVE), ids_.size());
	}

	[[nodiscard]] int result() const { return result_; }
	[[nodiscard]] std::size_t size() const { return ids_.size(); }

	/// How many it has worked for.
	std::uint64_t control(std::uint32_t op, std::uint32_t port = 0) const
	{
		mayfly_control control{};

		if (ids_.empty())
			return 0;
		control.op = op;
		control.port = port;
		control.ids = address(ids_.data());
		control.count = static_cast<std::uint32_t>(ids_.size());
		EXPECT_EQ(call(device_, MAYFLY_CONTROL, &control), 0);
		return control.done;
	}
	/// LIST's rows, while no other VMs of this user are made in between.
	[[nodiscard]] const std::vector<mayfly_vm_info> &rows()
	{
		mayfly_list list{};

		if (ids_.empty())
			return rows_;
		list.from = ids_.front();
		list.rows = address(rows_.data());
		list.row_size = sizeof(mayfly_vm_info);
		list.count = static_cast<std::uint32_t>(rows_.size());
		EXPECT_EQ(call(device_, MAYFLY_LIST, &list), 0);
		EXPECT_EQ(list.count, rows_.size());
		return rows_;
	}
	template <class Predicate> [[nodiscard]] std::size_t count(Predicate predicate)
	{
		return static_cast<std::size_t>(std::ranges::count_if(rows(), predicate));
	}

private:
	const fd &device_;
	std::vector<std::uint64_t> ids_;
	std::vector<mayfly_vm_info> rows_;
	int result_ = 0;
};

inline bool is_parked(const mayfly_vm_info &row)
{
	return row.state == MAYFLY_PARKED;
}

inline bool is_ended(const mayfly_vm_info &row)
{
	return row.state == MAYFLY_ENDED;
}

}
