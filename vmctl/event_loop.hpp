// SPDX-License-Identifier: Apache-2.0
// One thread for many descriptors.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include <sys/epoll.h>
#include <vmctl/vmctl.hpp>

namespace vmctl::cli
{

class event_loop
{
public:
	using clock = std::chrono::steady_clock;

	// Whoever has descriptors.
	class member
	{
	public:
		member() = default;
		member(const member &) = delete;
		member &operator=(const member &) = delete;
		virtual ~member() = default;

		// What has changed at its descriptors, as epoll tells it; 0: its time has come. Does
		// what can be done without waiting. False at its end.
		virtual bool go_on(std::uint32_t events) = 0;

		// All shall end, and it comes to its own end soon. False: at once.
		virtual bool wind_up() { return false; }

	private:
		friend event_loop;
		clock::time_point alarm_{};
	};

	static constexpr std::uint32_t reading = EPOLLIN | EPOLLRDHUP | EPOLLET, both = reading | EPOLLOUT;

	explicit event_loop(system &calls);

	event_loop(const event_loop &) = delete;
	event_loop &operator=(const event_loop &) = delete;

	// False when there are no descriptors or no memory for it.
	[[nodiscard]] bool is_open() const { return epoll_.fd() >= 0 && end_.fd() >= 0; }

	// It lives until its end, or remove().
	void add(std::unique_ptr<member> one);
	void remove(member &one);

	// From now on `who` hears of changes at `fd`, once of each, until that is closed. False without memory.
	[[nodiscard]] bool watch(int fd, member &who, std::uint32_t events);
	// Tells it again of what is the case there, after others have been told.
	void tell_again(int fd, member &who, std::uint32_t events);

	void wake(member &who, clock::duration in);

	// Until end() has been called and all have ended, or some have not for `most`.
	void run(clock::duration most);
	// Other threads may.
	void end();

private:
	void end_all();
	void tell(member &who, std::uint32_t events);
	void tell_due();
	[[nodiscard]] int milliseconds_to_wait() const;
	[[nodiscard]] bool is_over() const { return is_ending_ && (members_.empty() || clock::now() >= deadline_); }

	descriptor epoll_, end_;
	std::set<std::pair<clock::time_point, member *>> alarms_;
	std::map<member *, std::unique_ptr<member>> members_;
	bool is_ending_ = false;
	clock::time_point deadline_{};
};

} // namespace vmctl::cli
