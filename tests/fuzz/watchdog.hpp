// SPDX-License-Identifier: Apache-2.0
//
// Names a call that does not come back.

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>

#include <unistd.h>

namespace fuzz
{

/// Ends the process when a thread has been in one call for too long.
class watchdog final
{
public:
	using clock = std::chrono::steady_clock;

	/// What a thread is doing.
	struct post {
		std::atomic<const char *> call = nullptr;
		std::atomic<std::uint64_t> index = 0;
		std::atomic<clock::rep> since = 0;
	};

	/// \p explain tells how to see the case again.
	watchdog(std::chrono::seconds patience, std::function<std::string(std::uint64_t)> explain)
		: patience_(patience), explain_(std::move(explain)), thread_([this] { watch(); })
	{
	}
	~watchdog()
	{
		{
			const std::lock_guard lock(mutex_);

			over_ = true;
		}
		wake_.notify_one();
		thread_.join();
	}
	watchdog(const watchdog &) = delete;
	watchdog &operator=(const watchdog &) = delete;

	[[nodiscard]] post &post_of(std::size_t thread) { return posts_.at(thread); }

	/// A call that is being made.
	class guard final
	{
	public:
		guard(post &at, const char *call, std::uint64_t index) : post_(at)
		{
			at.index = index;
			at.since = clock::now().time_since_epoch().count();
			at.call = call;
		}
		~guard() { post_.call = nullptr; }
		guard(const guard &) = delete;
		guard &operator=(const guard &) = delete;

	private:
		post &post_;
	};

private:
	void watch()
	{
		std::unique_lock lock(mutex_);

		while (!wake_.wait_for(lock, std::chrono::seconds(1), [this] { return over_; }))
			for (const post &one : posts_)
				look(one);
	}
	void look(const post &one) const
	{
		const char *const call = one.call;
		const clock::time_point since{clock::duration(one.since)};

		if (!call || clock::now() - since < patience_)
			return;
		std::fprintf(stderr, "FAILED: %s has not come back for %lld s in case %llu\n%s\n", call,
			     static_cast<long long>(patience_.count()), static_cast<unsigned long long>(one.index),
			     explain_(one.index).c_str());
		_exit(1);
	}

	std::chrono::seconds patience_;
	std::function<std::string(std::uint64_t)> explain_;
	std::array<post, 16> posts_;
	std::mutex mutex_;
	std::condition_variable wake_;
	bool over_ = false;
	std::thread thread_;
};

}
