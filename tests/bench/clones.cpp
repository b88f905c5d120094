// SPDX-License-Identifier: Apache-2.0
//
// clones [--json]: what snapshots and clones cost, in instructions and pages. Prints TAP,
// one line for each limit. Means something only under `nested-host --icount`; see
// docs/benchmarks.md.

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <mayfly.h>
#include <mayfly_guest.h>
#include <sched.h>
#include <unistd.h>

#include "bare_image.hpp"
#include "host.hpp"
#include "measure.hpp"
#include "report.hpp"

using namespace bench;

// Fills pages from 16 MiB on, if any, and waits; after each event it writes a word to
// each of the first 1,000 of them, if there are any, and waits again.
asm(R"(
	.pushsection .rodata
	.macro	clones_guest name, pages, writes
	.globl	\name, \name\()_end
\name:
	mov	$0xffffffff81000000, %rbx
	mov	$\pages, %ecx
	jmp	2f
1:	mov	%rcx, (%rbx)
	add	$4096, %rbx
	dec	%ecx
2:	test	%ecx, %ecx
	jnz	1b
	mov	$0xffffffff80001000, %r15	# the stub
	lea	3f(%rip), %rsp
	mov	$2, %eax			# wait
	mov	$-1, %rdi			# for ever
	jmp	*%r15
3:	.quad	0xffffffff80020000 + (4f - \name)
4:	mov	$0xffffffff81000000, %rbx
	mov	$\writes, %ecx
	jmp	2b
\name\()_end:
	.endm
	clones_guest clones_small, 0, 0
	clones_guest clones_walker, 1000, 1000
	clones_guest clones_64m, 16384, 0
	clones_guest clones_256m, 65536, 0
	.popsection
)");
extern "C" const std::byte clones_small[], clones_small_end[], clones_walker[], clones_walker_end[], clones_64m[],
	clones_64m_end[], clones_256m[], clones_256m_end[];

namespace
{

constexpr std::uint64_t page = 4096, memory_size = 288 << 20, patience = 4'000'000'000; // ticks

class module final
{
public:
	[[nodiscard]] int device() const { return device_; }
	[[nodiscard]] mayfly_info info() const
	{
		mayfly_info info{};

		call_row(device_, MAYFLY_INFO, info, "MAYFLY_INFO");
		return info;
	}
	[[nodiscard]] double pages() const { return static_cast<double>(info().pages); }

	/// Does something that makes \p count VMs park. Never sleeps: an idle CPU's clock jumps.
	template <class Work> void until_parked(std::uint64_t count, Work work) const
	{
		const std::uint64_t wanted = info().parked + count, start = ticks();

		work();
		while (info().parked < wanted) {
			if (ticks() - start > patience)
				bail_out("VMs do not park");
			sched_yield();
		}
	}

	/// All VMs go cold, as when the host is short of memory.
	void chill() const
	{
		const std::uint64_t start = ticks();

		for (mayfly_info now = info(); now.cold < now.vms; now = info()) {
			if (ticks() - start > patience)
				bail_out("VMs do not go cold");
			write_file("/proc/sys/vm/drop_caches", "2");
		}
	}

private:
	int device_ = open(MAYFLY_DEVICE, O_RDWR | O_CLOEXEC);
};

/// Ids of VMs that end with it.
class batch final
{
public:
	batch(const module &owner, int image, std::uint32_t count, std::uint32_t flags) : owner_(owner), ids_(count)
	{
		mayfly_spawn spawn{};

		spawn.image = image;
		spawn.flags = flags | MAYFLY_SPAWN_DETACHED;
		spawn.count = count;
		spawn.memory = memory_size;
		spawn.ids = reinterpret_cast<std::uintptr_t>(ids_.data());
		call(owner.device(), MAYFLY_SPAWN, &spawn, "MAYFLY_SPAWN");
	}
	batch(const batch &) = delete;
	batch &operator=(const batch &) = delete;
	~batch()
	{
		control(MAYFLY_OP_KILL);
		control(MAYFLY_OP_REMOVE);
	}

	void control(std::uint32_t op, std::uint32_t port = 0) const
	{
		mayfly_control control{};

		control.op = op;
		control.port = port;
		control.ids = reinterpret_cast<std::uintptr_t>(ids_.data());
		control.count = static_cast<std::uint32_t>(ids_.size());
		call(owner_.device(), MAYFLY_CONTROL, &control, "MAYFLY_CONTROL");
	}
	[[nodiscard]] int open_first() const
	{
		mayfly_open open{};

		open.id = ids_.front();
		call(owner_.device(), MAYFLY_OPEN, &open, "MAYFLY_OPEN");
		return open.fd;
	}

private:
	const module &owner_;
	std::vector<std::uint64_t> ids_;
};

/// A VM that has begun and waits.
class sleeper final
{
public:
	sleeper(const module &owner, int image, bool waits_already = false) : owner_(owner)
	{
		const auto make = [&] { vm_.emplace_back(new batch(owner, image, 1, MAYFLY_SPAWN_START)); };

		waits_already ? make() : owner.until_parked(1, make);
		fd_ = vm_.front()->open_first();
	}
	sleeper(const sleeper &) = delete;
	sleeper &operator=(const sleeper &) = delete;
	~sleeper() { close(fd_); }

	[[nodiscard]] int snapshot(const char *name = "") const
	{
		mayfly_snapshot args{};

		std::strcpy(args.name, name);
		args.flags = *name ? MAYFLY_SNAPSHOT_REPLACE : 0;
		call(fd_, MAYFLY_SNAPSHOT, &args, "MAYFLY_SNAPSHOT");
		return args.fd;
	}
	void control(std::uint32_t op, std::uint32_t port = 0) const { vm_.front()->control(op, port); }
	/// It wakes up, does its work and waits again: ticks.
	[[nodiscard]] double answer() const
	{
		const std::uint64_t start = ticks();

		owner_.until_parked(1, [&] { control(MAYFLY_OP_NOTIFY, 1); });
		return static_cast<double>(ticks() - start);
	}
	[[nodiscard]] double private_bytes() const
	{
		mayfly_vm_info info{};

		call_row(fd_, MAYFLY_STAT, info, "MAYFLY_STAT");
		return static_cast<double>(info.private_bytes);
	}

private:
	const module &owner_;
	std::vector<std::unique_ptr<batch>> vm_;
	int fd_;
};

/// The first SNAPSHOT call of a VM, from beginning to end: it stands still for less.
double snapshot_cost(const module &owner, int image)
{
	std::vector<double> all;

	for (unsigned i = 0; i < 5; i++) {
		const sleeper vm(owner, image);

		taken_by_others(quiet / 10);
		const std::uint64_t start = ticks();
		const int taken = vm.snapshot();

		all.push_back(static_cast<double>(ticks() - start));
		close(taken);
	}
	close(image);
	return median(all);
}

/// Does \p work while \p vm stands still and has an event that clones find, or they would
/// wait as it does.
template <class Work> void with_event(const module &owner, const sleeper &vm, Work work)
{
	vm.control(MAYFLY_OP_PAUSE);
	vm.control(MAYFLY_OP_NOTIFY, 1);
	taken_by_others(quiet / 10);
	work();
	owner.until_parked(1, [&] { vm.control(MAYFLY_OP_RESUME); });
}

/// From the call until a clone has left guest mode once, in this thread.
double clone_here(const module &owner, const sleeper &vm)
{
	std::vector<double> all;

	for (unsigned i = 0; i < readings; i++)
		with_event(owner, vm, [&] {
			mayfly_spawn spawn{};
			mayfly_run run{};
			const std::uint64_t start = ticks();

			spawn.image = vm.snapshot();
			spawn.count = 1;
			spawn.memory = memory_size;
			call(owner.device(), MAYFLY_SPAWN, &spawn, "MAYFLY_SPAWN");
			run.flags = MAYFLY_RUN_UNTIL_PARK;
			do
				call(spawn.fd, MAYFLY_RUN, &run, "MAYFLY_RUN");
			while (run.outcome == MAYFLY_RAN_AGAIN);
			all.push_back(static_cast<double>(ticks() - start));
			close(spawn.fd);
			close(spawn.image);
		});
	return median(all);
}

/// From the call until each of 1,000 clones has done so, on workers; per clone.
double clone_thousand(const module &owner, const sleeper &vm)
{
	std::vector<double> all;

	for (unsigned i = 0; i < 9; i++)
		with_event(owner, vm, [&] {
			std::unique_ptr<batch> clones;
			const std::uint64_t start = ticks();

			owner.until_parked(1000, [&] {
				const int image = vm.snapshot();

				clones = std::make_unique<batch>(owner, image, 1000, MAYFLY_SPAWN_START);
				close(image);
			});
			all.push_back(static_cast<double>(ticks() - start) / 1000);
		});
	return median(all);
}

void measure_snapshots(const module &owner, report &report)
{
	const double of_small = snapshot_cost(owner, bare_image(owner.device(), clones_small, clones_small_end));
	const double of_large = snapshot_cost(owner, bare_image(owner.device(), clones_256m, clones_256m_end));

	report.limit("snapshot", "SNAPSHOT of a small guest", of_small, 25000, "instructions");
	report.limit("snapshot_256m", "SNAPSHOT of one that has written 256 MiB, by that", of_large / of_small, 1.1,
		     "");
}

void measure_original(const module &owner, report &report)
{
	const int image = bare_image(owner.device(), clones_walker, clones_walker_end);
	const sleeper vm(owner, image);
	const auto writes = [&](const char *key, const char *when) {
		const double pages = owner.pages(), took = vm.answer();

		report.note(key, fmt::format("1,000 writes {}: pages {}", when, owner.pages() - pages), took,
			    "instructions");
	};

	close(image);
	static_cast<void>(vm.answer());
	writes("writes_alone", "of a VM without a snapshot");
	const int taken = vm.snapshot();
	writes("writes_after", "right after a snapshot");
	writes("writes_again", "once more");
	close(taken);
	writes("writes_gone", "when nobody else has the image any more");
}

void measure_clones(const module &owner, report &report)
{
	const int image = bare_image(owner.device(), clones_small, clones_small_end);
	const sleeper vm(owner, image);
	const double one = clone_here(owner, vm), many = clone_thousand(owner, vm);

	report.limit("clone_one", "clone, from call to first exit", one, 20000, "instructions");
	report.limit("clone_each", "each of 1,000", many, 16000, "instructions");

	std::vector<std::unique_ptr<sleeper>> chain;

	for (int depth = 0; depth < 10; depth++) {
		const int next = (chain.empty() ? vm : *chain.back()).snapshot();

		chain.push_back(std::make_unique<sleeper>(owner, next, true));
		close(next);
		// Or it would have nothing of its own.
		static_cast<void>(chain.back()->answer());
	}
	report.limit("clone_deep", "each of 1,000 at depth 10, by that", clone_thousand(owner, *chain.back()) / many,
		     1.05, "");
	chain.clear();

	std::unique_ptr<batch> crowd;

	owner.until_parked(10000, [&] { crowd = std::make_unique<batch>(owner, image, 10000, MAYFLY_SPAWN_START); });
	report.limit("clone_crowd", "each of 1,000 beside 10,000 VMs, by that", clone_thousand(owner, vm) / many, 1.05,
		     "");
	close(image);
}

struct private_bytes {
	double warm, cold;
};

/// What a VM has for itself that waits and has written nothing.
private_bytes measure_bytes(const module &owner, int image, bool waits_already)
{
	const sleeper vm(owner, image, waits_already);
	const double warm = vm.private_bytes();

	owner.chill();
	return {warm, vm.private_bytes()};
}

void measure_one_clone(const module &owner, report &report)
{
	const int image = bare_image(owner.device(), clones_small, clones_small_end);
	const private_bytes fresh = measure_bytes(owner, image, false);
	const int taken = sleeper(owner, image).snapshot();
	const private_bytes clone = measure_bytes(owner, taken, true);

	report.limit("clone_warm", "private bytes of a clone that has written nothing", clone.warm, fresh.warm, "B");
	report.limit("clone_cold", "the same, cold", clone.cold, fresh.cold, "B");
	close(taken);
	close(image);
}

void measure_memory(const module &owner, report &report)
{
	const int image = bare_image(owner.device(), clones_64m, clones_64m_end);
	const sleeper vm(owner, image);
	const int taken = vm.snapshot();
	double fresh, cloned, before = owner.pages();
	{
		const batch all(owner, image, 1000, 0);

		fresh = owner.pages() - before;
	}
	before = owner.pages();
	{
		const batch all(owner, taken, 1000, 0);

		cloned = owner.pages() - before;
	}
	report.limit("clone_pages", "pages of 1,000 clones of a guest that has written 64 MiB, by those of fresh VMs",
		     cloned / fresh, 1.01, "");
	close(taken);
	close(image);

	const double whole = owner.pages();
	double most = 0;

	for (unsigned i = 0; i < 1000; i++) {
		close(vm.snapshot("periodic"));
		static_cast<void>(vm.answer());
		most = std::max(most, owner.pages());
	}
	report.limit("periodic", "pages at most in 1,000 snapshots by one name, by those of the VM", most / whole, 2,
		     "");

	mayfly_open open{};

	std::strcpy(open.name, "periodic");
	call(owner.device(), MAYFLY_IMAGE_OPEN, &open, "MAYFLY_IMAGE_OPEN");
	call(open.fd, MAYFLY_IMAGE_REMOVE, nullptr, "MAYFLY_IMAGE_REMOVE");
	close(open.fd);
}

}

int main(int argc, char **argv)
{
	const bool json = argc == 2 && std::string_view(argv[1]) == "--json";

	if (argc > 1 && !json) {
		std::fprintf(stderr, "usage: clones [--json]\n");
		return 2;
	}
	const module owner;

	if (owner.device() < 0)
		die(MAYFLY_DEVICE);
	check_clock();
	report report(json);

	measure_snapshots(owner, report);
	measure_original(owner, report);
	measure_clones(owner, report);
	measure_one_clone(owner, report);
	measure_memory(owner, report);
	return report.end();
}
