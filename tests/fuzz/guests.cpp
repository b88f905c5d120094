// SPDX-License-Identifier: Apache-2.0
//
// Guests that do what nobody would: see code.hpp for what they run, batch.hpp for
// what is done to them and which rules must hold.
//
// Case i of a seed is always the same code, the same first registers and the same
// meddling; only when the meddling comes is up to the machine.

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "batch.hpp"
#include "device.hpp"

extern "C" const std::byte fuzz_canary[], fuzz_canary_end[];

namespace
{

using namespace fuzz;

/// So many rounds are made before everything must be gone.
constexpr unsigned rounds_of_a_stretch = 16;

/// A VM that does honest work beside the others, and must not be harmed.
class canary final
{
public:
	canary(const fd &device, unsigned patience) : patience_(patience)
	{
		const auto table = vmctl_table();
		const std::size_t length = static_cast<std::size_t>(fuzz_canary_end - fuzz_canary);
		mayfly_segment segments[] = {
			{.gpa = 0x10000,
			 .length = sizeof(table),
			 .source = address(table.data()),
			 .flags = MAYFLY_SEGMENT_WRITE,
			 .reserved = 0},
			{.gpa = 0x20000,
			 .length = length,
			 .source = address(fuzz_canary),
			 .flags = MAYFLY_SEGMENT_EXECUTE,
			 .reserved = 0},
		};
		mayfly_image_create create{};
		mayfly_spawn spawn{};

		create.segments = address(segments);
		create.nr_segments = 2;
		create.rip = FUZZ_WINDOW + 0x20000;
		create.cr3 = 0x10000;
		create.rdi = FUZZ_WINDOW + MAYFLY_GPA_DEVICE;
		create.profile = MAYFLY_PROFILE_UNIKERNEL;
		create.cpu_level = MAYFLY_CPU_SSE2;
		std::strcpy(create.label, "canary");
		const fd image(live::create_image(device, create));

		spawn.image = image.get();
		spawn.count = 1;
		spawn.memory = 4 << 20;
		spawn.flags = MAYFLY_SPAWN_START;
		if (image.get() < 0 || live::call(device, MAYFLY_SPAWN, &spawn))
			throw broken_rule("the canary could not be made");
		handle_ = fd(spawn.fd);
	}

	/// Throws if it is not as it should be.
	void release()
	{
		mayfly_control control{};
		mayfly_vm_info stat{};

		control.op = MAYFLY_OP_NOTIFY;
		control.port = MAYFLY_EVENT_STOP;
		const int told = live::call(handle_, MAYFLY_CONTROL, &control);
		const bool ended = live::eventually(
			[&] { return !live::call_row(handle_, MAYFLY_STAT, stat) && stat.state == MAYFLY_ENDED; },
			patience_);

		if (told || !ended || stat.reason != MAYFLY_END_EXITED || stat.status != 42)
			throw broken_rule(
				fmt::format("the canary: NOTIFY {}, state {}, reason {}, status {}, rip {:#x}", told,
					    stat.state, stat.reason, stat.status, stat.rip));
		handle_.reset();
	}

private:
	/// One page, top and next level at once: entry 511 points to the page itself.
	static std::array<std::uint64_t, 512> vmctl_table()
	{
		std::array<std::uint64_t, 512> table{};

		table[510] = 0xe7;
		table[511] = 0x10000 | 0x67;
		return table;
	}

	unsigned patience_;
	fd handle_;
};

class fuzzer final
{
public:
	fuzzer(const options &o, unsigned threads, unsigned budget)
		: given_(o), threads_(threads), budget_(budget), progress_("fuzz-guests", given_),
		  watchdog_(std::chrono::seconds(o.patience),
			    [this](std::uint64_t index) { return given_.replay("fuzz-guests", index, batch_size); }),
		  next_(o.start)
	{
		if (device_.get() < 0)
			throw broken_rule(fmt::format("{}: {}", MAYFLY_DEVICE, strerror(errno)));
		svm_ = info(device_).backend == 1;
	}

	tally run()
	{
		const auto began = std::chrono::steady_clock::now();

		while (!given_.is_over(next_, began)) {
			canary beside(device_, given_.patience);

			for (unsigned i = 0; i < rounds_of_a_stretch && !given_.is_over(next_, began); i++)
				round();
			beside.release();
			nothing_is_left();
		}
		return total_;
	}

private:
	/// A batch in each thread.
	void round()
	{
		const std::uint64_t first = next_;
		std::vector<std::jthread> all;

		for (unsigned i = 0; i < threads_ && (!given_.count || next_ < given_.start + given_.count); i++) {
			std::uint64_t last = (next_ / batch_size + 1) * batch_size;

			if (given_.count)
				last = std::min(last, given_.start + given_.count);
			all.emplace_back([this, i, from = next_, last] { one_batch(i, from, last); });
			next_ = last;
		}
		progress_.at(first, next_ - 1);
		all.clear();
		if (failure_)
			std::rethrow_exception(failure_);
	}

	void one_batch(unsigned thread, std::uint64_t first, std::uint64_t last)
	{
		try {
			batch now({.given = given_,
				   .device = device_,
				   .post = watchdog_.post_of(thread),
				   .budget = std::chrono::milliseconds(budget_),
				   .svm = svm_},
				  first / batch_size, first, last);
			const tally result = now.run();
			const std::lock_guard lock(mutex_);

			total_.add(result);
		} catch (...) {
			const std::lock_guard lock(mutex_);

			failure_ = std::current_exception();
		}
	}

	void nothing_is_left()
	{
		mayfly_info left{};

		if (!live::eventually(
			    [&] {
				    left = info(device_);
				    return !left.vms && !left.images && !left.pages && !left.bytes && !left.pools &&
					   !left.user_vms;
			    },
			    given_.patience))
			throw broken_rule(
				fmt::format("before case {}: left are VMs {}, images {}, pages {}, bytes {}, pools {}",
					    next_, left.vms, left.images, left.pages, left.bytes, left.pools));
	}

	options given_;
	unsigned threads_, budget_;
	progress progress_;
	watchdog watchdog_;
	fd device_ = live::open_device();
	bool svm_ = true;
	std::uint64_t next_;
	std::mutex mutex_;
	std::exception_ptr failure_;
	tally total_;
};

}

int main(int argc, char **argv)
{
	fuzz::options given;
	unsigned threads, budget;
	auto described = fuzz::describe(given);
	auto add = described.add_options();

	add("threads", boost::program_options::value(&threads)->default_value(2), "batches side by side (at most 16)");
	add("budget", boost::program_options::value(&budget)->default_value(30), "milliseconds a batch may run");
	try {
		if (!fuzz::parse(argc, argv, described, given))
			return 0;
		threads = std::clamp(threads, 1u, 16u);
	} catch (const boost::program_options::error &error) {
		fmt::print(stderr, "fuzz-guests: {}\n", error.what());
		return 2;
	}
	fuzz::interrupter::prepare();
	try {
		const auto began = std::chrono::steady_clock::now();
		const fuzz::tally total = fuzzer(given, threads, budget).run();
		const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;

		fmt::print("{}", given.json ? fuzz::to_json(total, given.seed, took.count()) + "\n"
					    : fuzz::to_text(total, took.count()));
	} catch (const fuzz::broken_rule &rule) {
		fmt::print(stderr, "FAILED: {}\n", rule.what());
		return 1;
	}
	return 0;
}
