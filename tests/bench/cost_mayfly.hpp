// SPDX-License-Identifier: Apache-2.0
//
// What a bare guest costs on Mayfly: a page of code, one of page tables.

#pragma once

#include <fcntl.h>
#include <mayfly.h>
#include <mayfly_guest.h>
#include <sched.h>
#include <unistd.h>

#include "bare_image.hpp"
#include "measure.hpp"

// wait: parks at once, and again after every event. It returns from the stub
// through an address in its code: a bare guest has no stack, and writes nothing.
// call, cpuid: end with the ticks of 1,000 round trips as their status.
asm(R"(
	.pushsection .rodata
	.globl mayfly_wait, mayfly_wait_end, mayfly_call, mayfly_call_end
	.globl mayfly_cpuid, mayfly_cpuid_end
mayfly_wait:
	mov	$0xffffffff80001000, %r15	# the stub
1:	lea	2f(%rip), %rsp
	mov	$2, %eax			# wait
	mov	$-1, %rdi			# for ever
	jmp	*%r15
2:	.quad	0xffffffff80020000 + (1b - mayfly_wait)
mayfly_wait_end:

mayfly_call:
	mov	$0xffffffff80001000, %r15
	mov	$0x1000, %eax			# no such hypercall
	call	*%r15
	rdtsc
	mov	%eax, %esi
	mov	$1000, %ebp
1:	mov	$0x1000, %eax
	call	*%r15
	dec	%ebp
	jnz	1b
	rdtsc
	sub	%esi, %eax
	mov	%eax, %edi
	xor	%eax, %eax			# exit
	call	*%r15
	ud2
mayfly_call_end:

mayfly_cpuid:
	mov	$0xffffffff80001000, %r15
	rdtsc
	mov	%eax, %esi
	mov	$1000, %ebp
1:	xor	%eax, %eax
	cpuid
	dec	%ebp
	jnz	1b
	rdtsc
	sub	%esi, %eax
	mov	%eax, %edi
	xor	%eax, %eax
	call	*%r15
	ud2
mayfly_cpuid_end:
	.popsection
)");
extern "C" const std::byte mayfly_wait[], mayfly_wait_end[], mayfly_call[], mayfly_call_end[], mayfly_cpuid[],
	mayfly_cpuid_end[];

namespace bench
{

/// Parts of create_cold, and what comes after it, per VM.
struct parts {
	double spawn = 0;      ///< SPAWN without START
	double run = 0;        ///< START of those, until all have parked
	double wake = 0;       ///< NOTIFY of all, until all have parked again
	double wake_cold = 0;  ///< the same after all have gone cold
	double kill = 0;       ///< of destroy
	double remove = 0;     ///< of destroy
	double list = 0;       ///< LIST of all, a row of MAYFLY_VM_INFO_GLANCE bytes each
	double cold_first = 0; ///< create_cold of the very first batch
};

/// Mayfly, by its bare ioctls.
class mayfly final
{
public:
	mayfly() : device_(open(MAYFLY_DEVICE, O_RDWR | O_CLOEXEC))
	{
		if (device_ < 0)
			die(MAYFLY_DEVICE);
		if (info().flags & MAYFLY_INFO_DEBUG)
			std::fprintf(stderr, "bench: this module has its debug checks: "
					     "its numbers mean nothing\n");
	}
	mayfly(const mayfly &) = delete;
	mayfly &operator=(const mayfly &) = delete;
	~mayfly() { close(device_); }

	costs measure(parts &parts)
	{
		costs result;
		int image = bare_image(device_, mayfly_wait, mayfly_wait_end);
		// Turning the hardware on is not measured, nor is learning what the
		// image's guests always write.
		spawn(image, MAYFLY_SPAWN_START, 1);
		std::vector<std::uint64_t> keeper = ids_;

		measure_life(image, result, parts);
		result.exit = measure_exit(mayfly_call, mayfly_call_end);
		result.exit_cpuid = measure_exit(mayfly_cpuid, mayfly_cpuid_end);
		ids_ = keeper;
		control(MAYFLY_OP_KILL);
		control(MAYFLY_OP_REMOVE);
		close(image);
		return result;
	}

private:
	static constexpr unsigned vms = 1000;
	static constexpr unsigned batches = 5;
	static constexpr std::uint64_t patience = 2'000'000'000; // ticks

	[[nodiscard]] mayfly_info info() const
	{
		mayfly_info info{};

		call_row(device_, MAYFLY_INFO, info, "MAYFLY_INFO");
		return info;
	}

	// Makes VMs, and waits until they have parked if they are started.
	void spawn(int image, std::uint32_t flags, std::uint32_t count)
	{
		mayfly_spawn spawn{};

		parked_ = info().parked;
		ids_.assign(count, 0);
		spawn.image = image;
		spawn.flags = flags | MAYFLY_SPAWN_DETACHED;
		spawn.count = count;
		spawn.memory = MAYFLY_MEMORY_DEFAULT;
		spawn.ids = reinterpret_cast<std::uintptr_t>(ids_.data());
		call(device_, MAYFLY_SPAWN, &spawn, "MAYFLY_SPAWN");
		if (flags & MAYFLY_SPAWN_START)
			wait_for_parking();
	}

	void control(std::uint32_t op, std::uint32_t port = 0)
	{
		mayfly_control control{};

		control.op = op;
		control.port = port;
		control.ids = reinterpret_cast<std::uintptr_t>(ids_.data());
		control.count = static_cast<std::uint32_t>(ids_.size());
		parked_ = info().parked;
		call(device_, MAYFLY_CONTROL, &control, "MAYFLY_CONTROL");
		if (control.done != control.count) {
			std::fprintf(stderr, "bench: operation %u: %llu of %u\n", op, control.done, control.count);
			std::exit(1);
		}
	}

	// Never sleeps: while the CPU is idle the clock jumps.
	void wait_for_parking() const
	{
		const std::uint64_t wanted = parked_ + ids_.size(), start = ticks();

		while (info().parked < wanted) {
			if (ticks() - start > patience) {
				std::fprintf(stderr, "bench: VMs do not park\n");
				std::exit(1);
			}
			sched_yield();
		}
	}

	template <class Work> static double per_vm(Work work)
	{
		const std::uint64_t start = ticks();

		work();
		return static_cast<double>(ticks() - start) / vms;
	}

	// All that sleep go cold, as when the host is short of memory.
	void chill()
	{
		const std::uint64_t start = ticks();

		while (info().cold < ids_.size()) {
			const int file = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

			if (file < 0 || write(file, "2", 1) != 1 || ticks() - start > patience)
				die("the VMs do not go cold");
			close(file);
		}
	}

	/// All that there are: the batch, and the keeper.
	void list()
	{
		mayfly_list list{};

		list.rows = reinterpret_cast<std::uintptr_t>(rows_.data());
		list.row_size = MAYFLY_VM_INFO_GLANCE;
		list.count = static_cast<std::uint32_t>(rows_.size() / MAYFLY_VM_INFO_GLANCE);
		call(device_, MAYFLY_LIST, &list, "MAYFLY_LIST");
		if (list.count != vms + 1 || list.next) {
			std::fprintf(stderr, "bench: %u VMs are listed\n", list.count);
			std::exit(1);
		}
	}

	void measure_life(int image, costs &result, parts &parts)
	{
		std::vector<double> colds, colds_own, destroys, own, deferred, kills, removes, spawns, runs, wakes,
			wakes_cold, lists;

		for (unsigned i = 0; i < batches; i++) {
			taken_by_others(quiet);
			const double before = taken_by_others(quiet);

			std::uint64_t own_start = own_ticks();
			colds.push_back(per_vm([&] { spawn(image, MAYFLY_SPAWN_START, vms); }));
			colds_own.push_back(static_cast<double>(own_ticks() - own_start) / vms);
			wakes.push_back(per_vm([&] {
				control(MAYFLY_OP_NOTIFY, 1);
				wait_for_parking();
			}));
			lists.push_back(per_vm([&] { list(); }));
			chill();
			wakes_cold.push_back(per_vm([&] {
				control(MAYFLY_OP_NOTIFY, 1);
				wait_for_parking();
			}));
			own_start = own_ticks();
			kills.push_back(per_vm([&] { control(MAYFLY_OP_KILL); }));
			removes.push_back(per_vm([&] { control(MAYFLY_OP_REMOVE); }));
			own.push_back(static_cast<double>(own_ticks() - own_start) / vms);
			destroys.push_back(kills.back() + removes.back());
			deferred.push_back((taken_by_others(quiet) - before) / vms);

			spawns.push_back(per_vm([&] { spawn(image, 0, vms); }));
			runs.push_back(per_vm([&] {
				control(MAYFLY_OP_START);
				wait_for_parking();
			}));
			control(MAYFLY_OP_KILL);
			control(MAYFLY_OP_REMOVE);
		}
		result.create_cold = median(colds);
		result.create_own = median(colds_own);
		result.destroy = median(destroys);
		result.destroy_own = median(own);
		result.destroy_deferred = median(deferred);
		parts = {.spawn = median(spawns),
			 .run = median(runs),
			 .wake = median(wakes),
			 .wake_cold = median(wakes_cold),
			 .kill = median(kills),
			 .remove = median(removes),
			 .list = median(lists),
			 .cold_first = colds[0]};
	}

	double measure_exit(const std::byte *code, const std::byte *end)
	{
		std::vector<double> values;
		int image = bare_image(device_, code, end);

		for (unsigned i = 0; i < readings; i++) {
			mayfly_spawn spawn{};
			mayfly_run run{};
			mayfly_vm_info stat{};

			spawn.image = image;
			spawn.count = 1;
			spawn.memory = MAYFLY_MEMORY_DEFAULT;
			call(device_, MAYFLY_SPAWN, &spawn, "MAYFLY_SPAWN");
			do
				call(spawn.fd, MAYFLY_RUN, &run, "MAYFLY_RUN");
			while (run.outcome == MAYFLY_RAN_AGAIN);
			call_row(spawn.fd, MAYFLY_STAT, stat, "MAYFLY_STAT");
			if (run.outcome != MAYFLY_RAN_ENDED || stat.reason != MAYFLY_END_EXITED) {
				std::fprintf(stderr, "bench: the guest ended for reason %u at %llx\n", stat.reason,
					     stat.rip);
				std::exit(1);
			}
			values.push_back(static_cast<double>(stat.status) / trips);
			close(spawn.fd);
		}
		close(image);
		return median(values);
	}

	int device_;
	std::vector<std::uint64_t> ids_;
	std::vector<std::byte> rows_ = std::vector<std::byte>((vms + 2) * MAYFLY_VM_INFO_GLANCE);
	std::uint64_t parked_ = 0;
};

}
