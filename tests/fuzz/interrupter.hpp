// SPDX-License-Identifier: Apache-2.0
//
// Signals that end a call which would go on.

#pragma once

#include <chrono>
#include <csignal>
#include <ctime>

#include <sys/syscall.h>
#include <unistd.h>

namespace fuzz
{

/// A timer that sends the thread that made it a signal, again and again.
class interrupter final
{
public:
	interrupter()
	{
		sigevent event{};

		event.sigev_notify = SIGEV_THREAD_ID;
		event.sigev_signo = SIGUSR1;
		event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
		timer_create(CLOCK_MONOTONIC, &event, &timer_);
	}
	~interrupter() { timer_delete(timer_); }
	interrupter(const interrupter &) = delete;
	interrupter &operator=(const interrupter &) = delete;

	void every(std::chrono::microseconds interval)
	{
		itimerspec spec{};

		spec.it_value.tv_nsec = std::chrono::nanoseconds(interval).count();
		spec.it_interval = spec.it_value;
		timer_settime(timer_, 0, &spec, nullptr);
	}
	void stop() { every({}); }

	/// Once for the process: the signal ends calls and does nothing else.
	static void prepare()
	{
		struct sigaction action {};

		action.sa_handler = [](int) {};
		sigaction(SIGUSR1, &action, nullptr);
	}

private:
	timer_t timer_{};
};

}
