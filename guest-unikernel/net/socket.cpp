// SPDX-License-Identifier: BSD-2-Clause
//
// What all sockets have: a place in the list of those that have become ready.

#include "ready_list.hpp"

#include <mayfly/net.hpp>
#include <utility>

using mayfly::net::socket;

namespace
{

// First and last of it.
socket *oldest, *newest;

}

bool some_are_ready()
{
	return oldest != nullptr;
}

void socket::become_ready()
{
	if (std::exchange(is_queued_, true))
		return;
	previous_ready_ = newest;
	next_ready_ = nullptr;
	(newest != nullptr ? newest->next_ready_ : oldest) = this;
	newest = this;
}

void socket::leave_ready_list()
{
	if (!std::exchange(is_queued_, false))
		return;
	(previous_ready_ != nullptr ? previous_ready_->next_ready_ : oldest) = next_ready_;
	(next_ready_ != nullptr ? next_ready_->previous_ready_ : newest) = previous_ready_;
}

socket::~socket()
{
	leave_ready_list();
}

socket *mayfly::net::next_ready()
{
	auto *next = oldest;

	if (next != nullptr)
		next->leave_ready_list();
	return next;
}
