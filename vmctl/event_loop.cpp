// SPDX-License-Identifier: Apache-2.0
#include "event_loop.hpp"

#include <algorithm>

#include <sys/eventfd.h>
#include <unistd.h>

namespace vmctl::cli
{

event_loop::event_loop(system &calls)
	: epoll_(calls, ::epoll_create1(EPOLL_CLOEXEC)), end_(calls, ::eventfd(0, EFD_CLOEXEC))
{
	epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};

	::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, end_.fd(), &event);
}

void event_loop::add(std::unique_ptr<member> one)
{
	member *const key = one.get();

	members_.emplace(key, std::move(one));
}

void event_loop::remove(member &one)
{
	alarms_.erase({one.alarm_, &one});
	members_.erase(&one);
}

bool event_loop::watch(int fd, member &who, std::uint32_t events)
{
	epoll_event event{.events = events, .data = {.ptr = &who}};

	return ::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void event_loop::tell_again(int fd, member &who, std::uint32_t events)
{
	epoll_event event{.events = events, .data = {.ptr = &who}};

	::epoll_ctl(epoll_.fd(), EPOLL_CTL_MOD, fd, &event);
}

void event_loop::wake(member &who, clock::duration in)
{
	alarms_.erase({who.alarm_, &who});
	who.alarm_ = clock::now() + in;
	alarms_.emplace(who.alarm_, &who);
}

void event_loop::end()
{
	static_cast<void>(::eventfd_write(end_.fd(), 1));
}

void event_loop::end_all()
{
	is_ending_ = true;
	for (auto next = members_.begin(); next != members_.end();) {
		member &one = *next++->second;

		if (!one.wind_up())
			remove(one);
	}
}

void event_loop::tell(member &who, std::uint32_t events)
{
	if (!who.go_on(events))
		remove(who);
}

void event_loop::tell_due()
{
	while (!alarms_.empty() && alarms_.begin()->first <= clock::now()) {
		member &due = *alarms_.begin()->second;

		alarms_.erase(alarms_.begin());
		tell(due, 0);
	}
}

int event_loop::milliseconds_to_wait() const
{
	auto until = clock::time_point::max();

	if (!alarms_.empty())
		until = alarms_.begin()->first;
	if (is_ending_)
		until = std::min(until, deadline_);
	if (until == clock::time_point::max())
		return -1;

	const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());

	return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

// One event at a time: who is told may remove others.
void event_loop::run(clock::duration most)
{
	while (!is_over()) {
		epoll_event event;
		const int count = ::epoll_wait(epoll_.fd(), &event, 1, milliseconds_to_wait());

		if (count == 1 && event.data.ptr) {
			tell(*static_cast<member *>(event.data.ptr), event.events);
		} else if (count == 1) {
			deadline_ = clock::now() + most;
			end_all();
		}
		tell_due();
	}
}

} // namespace vmctl::cli
