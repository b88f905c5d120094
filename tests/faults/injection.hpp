// SPDX-License-Identifier: Apache-2.0
//
// The kernel's fault injection: allocations and copies from and to user space that
// fail on purpose (Documentation/fault-injection/fault-injection.rst).

#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace faults
{

inline const std::filesystem::path debugfs = "/sys/kernel/debug";

/// Writes \p value to a kernel file; the test fails where it cannot.
inline void put(const std::filesystem::path &file, const std::string &value)
{
	std::ofstream stream(file);

	stream << value << std::flush;
	EXPECT_TRUE(stream.good()) << file;
}

/// Says of allocations of any kind that they may fail, for as long as it lives.
class Injection : public ::testing::Environment
{
public:
	void SetUp() override
	{
		if (!std::filesystem::exists(debugfs / "failslab"))
			GTEST_SKIP() << "a kernel without fault injection: scripts/nested-host --debug-kernel";
		for (const char *kind : {"failslab", "fail_page_alloc", "fail_usercopy"}) {
			put(debugfs / kind / "task-filter", "Y");
			put(debugfs / kind / "verbose", "0");
			put(debugfs / kind / "times", "-1");
		}
		for (const char *kind : {"failslab", "fail_page_alloc"})
			put(debugfs / kind / "ignore-gfp-wait", "N");
		put(debugfs / "fail_page_alloc" / "ignore-gfp-highmem", "N");
		put(debugfs / "fail_page_alloc" / "min-order", "0");
	}
	/// One in \p of_hundred allocations fails for tasks with make_it_fail().
	static void set_probability(int of_hundred)
	{
		put(debugfs / "failslab" / "probability", std::to_string(of_hundred));
		put(debugfs / "fail_page_alloc" / "probability", std::to_string(of_hundred));
	}
};

/// One in \p of_hundred allocations of the threads that \p wanted picks by their name
/// fails, for as long as this lives.
class unlucky_threads final
{
public:
	template <class Wanted> unlucky_threads(int of_hundred, Wanted wanted)
	{
		for (const auto &process : std::filesystem::directory_iterator("/proc"))
			if (std::string name; std::ifstream(process.path() / "comm") >> name && wanted(name))
				chosen_.push_back(process.path() / "make-it-fail");
		EXPECT_FALSE(chosen_.empty());
		for (const auto &file : chosen_)
			put(file, "1");
		Injection::set_probability(of_hundred);
	}
	unlucky_threads(const unlucky_threads &) = delete;
	unlucky_threads &operator=(const unlucky_threads &) = delete;
	~unlucky_threads()
	{
		Injection::set_probability(0);
		for (const auto &file : chosen_)
			std::ofstream(file) << "0"; // it may have ended
	}

private:
	std::vector<std::filesystem::path> chosen_;
};

/// The host has no 256 pages in one block for this thread and those that it makes, for
/// as long as this lives.
class no_blocks final
{
public:
	no_blocks() { set("8", "1", "100"); }
	no_blocks(const no_blocks &) = delete;
	no_blocks &operator=(const no_blocks &) = delete;
	~no_blocks() { set("0", "0", "0"); }

private:
	static void set(const char *order, const char *this_thread, const char *of_hundred)
	{
		put(debugfs / "fail_page_alloc" / "min-order", order);
		put("/proc/thread-self/make-it-fail", this_thread);
		put(debugfs / "fail_page_alloc" / "probability", of_hundred);
	}
};

/// Makes the nth allocation or copy of this thread fail, from now on.
class nth_fault final
{
public:
	explicit nth_fault(int n) { write_number(n); }
	nth_fault(const nth_fault &) = delete;
	nth_fault &operator=(const nth_fault &) = delete;
	~nth_fault() { write_number(0); }

	/// Ends it; whether the fault has come in the meantime.
	bool happened()
	{
		char text[16]{};
		const bool read = pread(file_, text, sizeof(text) - 1, 0) > 0;

		// The read itself may have been what failed: then nothing before it has.
		write_number(0);
		return read && std::atoi(text) == 0;
	}

private:
	void write_number(int n) const
	{
		const std::string text = std::to_string(n);

		// What is left of a fault may hit the first attempt to end it.
		const bool written = pwrite(file_, text.data(), text.size(), 0) > 0 ||
				     pwrite(file_, text.data(), text.size(), 0) > 0;

		EXPECT_TRUE(written);
	}

	/// Kept open: opening it would be counted.
	inline static const thread_local int file_ = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
};

}
