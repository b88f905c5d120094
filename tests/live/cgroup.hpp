// SPDX-License-Identifier: Apache-2.0
//
// A cgroup for a test, and code that runs inside of one.

#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "machine.hpp"

namespace live
{

/// A cgroup, gone in the end: rmdir needs its last task to be gone.
class cgroup final
{
public:
	explicit cgroup(const std::string &name = "mayfly-live-test") : path_(root + ("/" + name))
	{
		write(std::string(root) + "/cgroup.subtree_control", "+memory +cpu +cpuset");
		EXPECT_EQ(mkdir(path_.c_str(), 0755), 0) << path_ << ": " << strerror(errno);
	}
	~cgroup()
	{
		if (removed_)
			return;
		EXPECT_TRUE(eventually([this] { return rmdir(path_.c_str()) == 0; }))
			<< path_ << ": " << strerror(errno);
	}
	cgroup(const cgroup &) = delete;
	cgroup &operator=(const cgroup &) = delete;

	/// 0 or a negative errno, as rmdir(2) says it now.
	int remove()
	{
		const int ret = rmdir(path_.c_str()) ? -errno : 0;

		removed_ = ret == 0;
		return ret;
	}
	void set(const std::string &file, const std::string &text) const { write(path_ + "/" + file, text); }
	void set(const std::string &file, std::uint64_t number) const { set(file, std::to_string(number)); }
	/// A file to write, opened while the cgroup has room: that takes memory, and whoever
	/// is in a full one is killed for it.
	[[nodiscard]] fd file(const std::string &name) const
	{
		return fd(open((path_ + "/" + name).c_str(), O_WRONLY | O_CLOEXEC));
	}
	[[nodiscard]] std::string get(const std::string &file) const
	{
		std::ostringstream text;

		text << std::ifstream(path_ + "/" + file).rdbuf();
		return text.str();
	}
	[[nodiscard]] std::uint64_t number(const std::string &file) const
	{
		std::uint64_t n = 0;

		std::istringstream(get(file)) >> n;
		return n;
	}
	/// The number behind \p key in a file of lines "key number".
	[[nodiscard]] std::uint64_t number(const std::string &file, const std::string &key) const
	{
		std::istringstream text(get(file));
		std::string name;
		std::uint64_t n = 0;

		while (text >> name >> n)
			if (name == key)
				return n;
		ADD_FAILURE() << "no " << key << " in " << path_ << "/" << file;
		return 0;
	}
	/// Everything that is in it now: the caller's processes and the VMs' workers.
	[[nodiscard]] std::vector<pid_t> tasks() const
	{
		std::istringstream text(get("cgroup.procs"));
		std::vector<pid_t> found;

		for (pid_t task; text >> task;)
			found.push_back(task);
		return found;
	}
	/// The calling process goes in.
	void enter() const { set("cgroup.procs", "0"); }
	static void leave() { write(std::string(root) + "/cgroup.procs", "0"); }
	static void expel(pid_t task) { write(std::string(root) + "/cgroup.procs", std::to_string(task)); }

private:
	static void write(const std::string &path, const std::string &text)
	{
		std::ofstream file(path);

		file << text << std::flush;
		EXPECT_TRUE(file.good()) << path << ": " << strerror(errno);
	}
	static constexpr const char *root = "/sys/fs/cgroup";

	std::string path_;
	bool removed_ = false;
};

/// A process inside of a cgroup that runs \p body, which returns whether all is well,
/// and is waited for in the end, killed if need be.
class resident final
{
public:
	resident(const cgroup &group, const std::function<bool()> &body) : process_(fork())
	{
		if (process_)
			return;
		group.enter();
		// Nothing more: when the cgroup is full, code not yet in memory is the end of us.
		_exit(body() ? 0 : 1);
	}
	~resident()
	{
		if (process_ > 0) {
			kill(process_, SIGKILL);
			status();
		}
	}
	resident(const resident &) = delete;
	resident &operator=(const resident &) = delete;

	[[nodiscard]] pid_t process() const { return process_; }
	[[nodiscard]] bool has_ended() const
	{
		siginfo_t info{};

		return waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		       info.si_pid;
	}
	/// Waits for its end. As wait(2).
	int status()
	{
		int result = -1;

		waitpid(std::exchange(process_, 0), &result, 0);
		return result;
	}

private:
	pid_t process_;
};

/// Runs \p body inside of \p group: true when it returned true.
inline bool inside(const cgroup &group, const std::function<bool()> &body)
{
	return resident(group, body).status() == 0;
}

/// Puts at least 3 MiB of page cache into a cgroup: that of this program's file.
inline void fill_with_page_cache(const cgroup &group)
{
	std::ofstream("/proc/sys/vm/drop_caches") << 1 << std::flush;
	EXPECT_TRUE(inside(group, [] {
		const std::filesystem::path program = "/proc/self/exe";
		const fd file(open(program.c_str(), O_RDONLY | O_CLOEXEC));
		const std::size_t size = std::filesystem::file_size(program);
		const void *const mapping = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);

		if (mapping == MAP_FAILED)
			return false;
		for (std::size_t at = 0; at < size; at += 4096)
			static_cast<const volatile char *>(mapping)[at];
		return true;
	}));
	EXPECT_GT(group.number("memory.stat", "file"), 3u << 20);
}

/// One line of \p file that says "key number", as in /proc/vmstat and, in KiB, /proc/meminfo.
inline std::uint64_t system_number(const std::string &file, const std::string &key)
{
	std::ifstream text(file);
	std::uint64_t n = 0;

	for (std::string line; std::getline(text, line);) {
		std::istringstream words(line);
		std::string name;

		if (words >> name >> n && name == key)
			return n;
	}
	ADD_FAILURE() << "no " << key << " in " << file;
	return 0;
}

/// Bytes that the machine could give.
inline std::uint64_t free_memory()
{
	return system_number("/proc/meminfo", "MemAvailable:") << 10;
}

}
