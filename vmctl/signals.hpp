// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <csignal>
#include <span>
#include <utility>
#include <vector>

namespace vmctl::cli
{

// Those that somebody sends to end us.
inline constexpr std::array ending_signals{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

// The last step of a handler that has tidied up: the signal ends us as if there were none.
inline void end_by(int number)
{
	::signal(number, SIG_DFL);
	::raise(number);
}

// While it lives, signals are handled by `handler`, which is not interrupted by them.
// Those that are ignored stay so: who started us wants that, as nohup does.
class handled_signals
{
public:
	handled_signals(std::span<const int> numbers, void (*handler)(int))
	{
		struct sigaction action = {};

		action.sa_handler = handler;
		action.sa_flags = SA_RESTART;
		sigfillset(&action.sa_mask);
		for (const int number : numbers) {
			struct sigaction before = {};

			// The C library keeps two for itself.
			if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler == SIG_IGN)
				continue;
			before_.emplace_back(number, before);
			::sigaction(number, &action, nullptr);
		}
	}

	handled_signals(const handled_signals &) = delete;
	handled_signals &operator=(const handled_signals &) = delete;

	~handled_signals()
	{
		for (const auto &[number, action] : before_)
			::sigaction(number, &action, nullptr);
	}

private:
	std::vector<std::pair<int, struct sigaction>> before_;
};

// While it lives, these signals wait.
class delayed_signals
{
public:
	explicit delayed_signals(std::span<const int> numbers)
	{
		sigset_t these;

		sigemptyset(&these);
		for (const int number : numbers)
			sigaddset(&these, number);
		::sigprocmask(SIG_BLOCK, &these, &before_);
	}

	delayed_signals(const delayed_signals &) = delete;
	delayed_signals &operator=(const delayed_signals &) = delete;

	~delayed_signals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

private:
	sigset_t before_{};
};

} // namespace vmctl::cli
