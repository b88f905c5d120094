// SPDX-License-Identifier: Apache-2.0
//
// VMs come and go while a thousand are alive: first in good order, then with
// clients that are killed at random moments. The machine must look as before.

#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.hpp"
#include "measure.hpp"

namespace bench
{

/// What must not grow.
struct holdings {
	std::uint64_t vms = 0, images = 0, pools = 0, pages = 0; ///< the module's counters
	long slab_objects = 0;
	long files = 0;   ///< open ones, of the whole machine; /proc/sys/fs/file-nr is too vague
	long threads = 0; ///< the kernel's, without its kworkers, which come and go by themselves
};

/// Threads of the kernel: those without a command line.
inline long kernel_threads()
{
	long found = 0;

	for (const auto &entry : std::filesystem::directory_iterator("/proc")) {
		const auto name = entry.path().filename().string();
		std::string comm;

		if (name.find_first_not_of("0123456789") != std::string::npos ||
		    std::ifstream(entry.path() / "cmdline").get() != EOF)
			continue;
		std::getline(std::ifstream(entry.path() / "comm"), comm);
		found += !comm.empty() && !comm.starts_with("kworker");
	}
	return found;
}

/// Makes an image through a device; the file it comes from has been read before.
using image_loader = std::function<vmctl::image(vmctl::device &)>;

class churn final
{
public:
	churn(crowd &crowd, report &report, image_loader load, std::uint32_t cycles)
		: crowd_(&crowd), report_(&report), load_(std::move(load)), cycles_(cycles)
	{
	}

	void measure()
	{
		set_cold_age(0); // Going cold would look like memory that came back.
		crowd_->spawn(alive);
		repeat("churn", "in good order", [&] { turn_over(); });
		repeat("killed", "by clients that are killed", [&] { kill_a_client(); });
		images_ = 2; // The others', and that of the one which is snapshotted.
		repeat("clones", "as clones of one", [&] { clone_oldest(); });
		crowd_->remove_all();
		check_empty(*crowd_, *report_, "after the end");
	}

private:
	static constexpr std::uint32_t alive = 1000;
	static constexpr std::uint32_t step = 100;
	static constexpr std::uint32_t reading_every = 1000;
	static constexpr double memory_limit = 512;   // KiB from the first reading to the last
	static constexpr long files_error = 32;       // a CPU's own slab counts as full: 16 on each
	static constexpr unsigned longest_life = 100; // ms of a client

	// Works until so many VMs have come and gone, and compares what there is then
	// with what there was after the first thousand.
	template <class Work> void repeat(const std::string &key, const std::string &how, Work work)
	{
		const auto start = crowd_->info().spawned;
		std::vector<double> free, slab;
		std::optional<holdings> first;
		std::uint64_t done = 0;

		while (done < cycles_) {
			work();
			done = crowd_->info().spawned - start;
			if (done < (free.size() + 1) * reading_every)
				continue;
			settle();
			if (!first)
				first = look();
			free.push_back(memory("MemFree:"));
			slab.push_back(-meminfo("SUnreclaim:"));
		}
		settle();
		report::remark(fmt::format("{} VMs have come and gone {}", done, how));
		compare(*first, look(), how);
		limit_drift(key + "_memory_kib", "free memory lost " + how, free);
		limit_drift(key + "_slab_kib", "slab gained " + how, slab);
	}

	[[nodiscard]] bool is_settled() const
	{
		const auto info = crowd_->info();

		return info.vms == alive && info.images <= images_ && slab_objects() == alive;
	}

	// What is gone one RCU grace period or one work item later.
	void settle() const
	{
		if (!wait_until([&] { return is_settled(); }))
			report::remark(fmt::format("{} VMs, {} structures", crowd_->info().vms, slab_objects()));
	}

	[[nodiscard]] holdings look() const
	{
		const auto info = crowd_->info();

		return {.vms = info.vms,
			.images = info.images,
			.pools = info.pools,
			.pages = info.pages,
			.slab_objects = slab_objects(),
			.files = slab_objects("filp"),
			.threads = kernel_threads()};
	}

	void compare(const holdings &first, const holdings &last, const std::string &how) const
	{
		report_->check(last.vms == alive && last.slab_objects == alive && all_parked(),
			       fmt::format("{}: {} VMs, {} structures, as many as ever, all parked", how, last.vms,
					   last.slab_objects));
		report_->check(last.images == first.images && last.pools == first.pools && last.pages == first.pages,
			       fmt::format("{}: {} images, {} pools, {} pages; were {}, {}, {}", how, last.images,
					   last.pools, last.pages, first.images, first.pools, first.pages));
		report_->check(last.files <= first.files + files_error,
			       fmt::format("{}: {} open files; were {}", how, last.files, first.files));
		report_->check(last.threads == first.threads,
			       fmt::format("{}: {} kernel threads; were {}", how, last.threads, first.threads));
	}

	[[nodiscard]] bool all_parked() const
	{
		return std::ranges::all_of(must(crowd_->device().list()),
					   [](const auto &row) { return row.state == vmctl::vm_state::parked; });
	}

	// \p free: what is left, in KiB, reading by reading.
	void limit_drift(const std::string &key, const std::string &what, const std::vector<double> &free) const
	{
		report_->limit(key.c_str(), what + fmt::format(", {} readings, least squares", free.size()),
			       -slope(free) * static_cast<double>(free.size() - 1), memory_limit, "KiB");
	}

	void turn_over()
	{
		crowd_->kill(step);
		crowd_->remove(step);
		crowd_->spawn(step);
	}

	// It has something of its own each time.
	void clone_oldest() const
	{
		const auto &device = crowd_->device();
		const auto oldest = must(device.open_vm(crowd_->ids().front()));
		const auto parked = crowd_->info().parked;

		must(oldest.notify(1));
		if (!wait_until([&] { return crowd_->info().parked > parked; }, 0ms))
			bail_out("the VM does not answer");

		const vmctl::image image = must(oldest.snapshot());
		const auto made = device.spawn(image, {.count = 1});

		if (made.failure)
			bail_out(made.failure->what);
		must(device.control(vmctl::operation::kill, made.ids));
		must(device.control(vmctl::operation::remove, made.ids));
	}

	void kill_a_client()
	{
		int status = 0;
		const pid_t id = fork();

		if (id < 0)
			die("fork");
		if (id == 0)
			live_as_client();
		std::this_thread::sleep_for(
			std::chrono::milliseconds(std::uniform_int_distribution<unsigned>(0, longest_life)(random_)));
		::kill(id, SIGKILL);
		waitpid(id, &status, 0);
		if (!WIFSIGNALED(status))
			bail_out("a client ended by itself");
		if (!wait_until([&] { return remove_strangers(); }))
			bail_out("VMs of a dead client stay");
	}

	// Makes VMs that end with it and VMs that do not, runs some itself, until it is
	// killed.
	[[noreturn]] void live_as_client()
	{
		vmctl::posix_system system;
		vmctl::device device = must(vmctl::device::open(system));
		crowd mine(device, load_(device));
		const vmctl::image image = load_(device);

		for (;;) {
			must(must(device.spawn_attached(image, {.start = false})).run({.until_park = true}));
			mine.spawn(step / 10);
			mine.kill(mine.size());
			mine.remove(mine.size());
		}
	}

	// Ends VMs that are younger than ours. True when none is left.
	[[nodiscard]] bool remove_strangers() const
	{
		const auto &device = crowd_->device();
		std::vector<std::uint64_t> ids;

		for (const auto &row : must(device.list(crowd_->ids().back() + 1)))
			ids.push_back(row.id);
		if (ids.empty())
			return crowd_->info().vms == alive;
		must(device.control(vmctl::operation::kill, ids));
		must(device.control(vmctl::operation::remove, ids));
		return false;
	}

	crowd *crowd_;
	report *report_;
	image_loader load_;
	std::uint32_t cycles_;
	std::uint64_t images_ = 1; // at most
	std::mt19937 random_{std::random_device{}()};
};

}
