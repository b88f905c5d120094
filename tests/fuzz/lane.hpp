// SPDX-License-Identifier: Apache-2.0
//
// One thread's part of a program: it does the steps, one after the other, on
// descriptors that the other threads use, replace and close at the same time.

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "answers.hpp"
#include "arguments.hpp"
#include "interrupter.hpp"
#include "kcov.hpp"
#include "network.hpp"
#include "options.hpp"
#include "program.hpp"
#include "watchdog.hpp"

namespace fuzz
{

/// What the threads of a program share.
struct commons {
	std::array<std::atomic<int>, slots> descriptors{};
	std::atomic<std::uint64_t> last_id = 0; ///< of the VMs made so far, about
	live::vcpu_state start{};               ///< the state in which small guests start
	std::uint64_t index = 0;                ///< of the program
};

class lane final
{
public:
	lane(commons &shared, watchdog::post &post) : shared_(shared), post_(post) {}

	[[nodiscard]] const answers &seen() const { return answers_; }
	[[nodiscard]] const std::string &failure() const { return failure_; }
	[[nodiscard]] kcov &coverage() { return kcov_; }

	/// In the thread that will do the steps.
	void enter()
	{
		kcov_.enable();
		clock_.emplace();
	}
	void leave() { clock_.reset(); }

	void run(std::span<const step> steps)
	{
		kcov_.forget();
		memory_.forget();
		for (const step &one : steps)
			if (failure_.empty())
				perform(one);
	}

private:
	[[nodiscard]] int number_of(std::uint8_t which) const { return shared_.descriptors[which]; }

	/// The descriptor that was in the slot before is closed.
	void keep(std::uint8_t which, int made)
	{
		const int before = shared_.descriptors[which].exchange(made);

		if (before >= 0)
			close(before);
	}

	template <class T> int call(const step &s, unsigned long request, T *argument)
	{
		const rule &by = *rule_of(s.call);
		const watchdog::guard guard(post_, by.name, shared_.index);
		const int ret = ioctl(number_of(s.on), request, argument);
		const int answer = ret < 0 ? -errno : ret;

		answers_.count(by.name, answer);
		if (!is_allowed(by, answer))
			failure_ = fmt::format("{} answered {} ({})", by.name, answer, strerror(-answer));
		return answer;
	}
	/// The argument is somewhere in the arena, or at an address that is wrong. What the
	/// kernel has left there is in \p argument afterwards.
	template <class T> int call_with(const step &s, random &r, unsigned long request, T &argument)
	{
		const std::uint64_t at = memory_.place(r, std::as_bytes(std::span(&argument, 1)));
		const int answer = call(s, request, reinterpret_cast<void *>(at));

		if (answer >= 0)
			std::memcpy(&argument, reinterpret_cast<const void *>(at), sizeof(argument));
		return answer;
	}
	void count(const char *name, ssize_t ret) { answers_.count(name, ret < 0 ? -errno : 0); }

	void perform(const step &s)
	{
		random r(s.dice);

		switch (s.call) {
		case what::info: {
			mayfly_row row = random_row(r, memory_, sizeof(mayfly_info));

			call_with(s, r, MAYFLY_INFO, row);
			break;
		}
		case what::image_create:
			image_create(s, r);
			break;
		case what::spawn:
			spawn(s, r);
			break;
		case what::list:
			list(s, r, MAYFLY_LIST);
			break;
		case what::open:
			open(s, r, MAYFLY_OPEN, shared_.last_id);
			break;
		case what::control_many:
			control_many(s, r);
			break;
		case what::control: {
			mayfly_control control = random_control(r);

			call_with(s, r, MAYFLY_CONTROL, control);
			break;
		}
		case what::stat: {
			mayfly_row row = random_row(r, memory_, sizeof(mayfly_vm_info));

			call_with(s, r, MAYFLY_STAT, row);
			break;
		}
		case what::run:
			run_vm(s, r);
			break;
		case what::get_state: {
			mayfly_state args = random_state_request(r, memory_, {});

			call_with(s, r, MAYFLY_GET_STATE, args);
			break;
		}
		case what::set_state: {
			mayfly_state args = random_state_request(r, memory_, random_state(r, shared_.start));

			call_with(s, r, MAYFLY_SET_STATE, args);
			break;
		}
		case what::image_list:
			list(s, r, MAYFLY_IMAGE_LIST);
			break;
		case what::image_open:
			open(s, r, MAYFLY_IMAGE_OPEN, 8);
			break;
		case what::image_tag: {
			mayfly_tag tag = random_tag(r);

			call_with(s, r, MAYFLY_IMAGE_TAG, tag);
			break;
		}
		case what::image_remove:
			call<void>(s, MAYFLY_IMAGE_REMOVE, nullptr);
			break;
		case what::memory:
			memory(s, r);
			break;
		case what::snapshot:
			snapshot(s, r);
			break;
		case what::extents:
			extents(s, r);
			break;
		case what::arguments: {
			mayfly_arguments args = random_arguments(r, memory_);

			call_with(s, r, MAYFLY_ARGUMENTS, args);
			break;
		}
		case what::on_demand: {
			mayfly_spawn args = random_spawn_on_demand(r, memory_, number_of(slot_image));

			call_with(s, r, MAYFLY_SPAWN, args);
			break;
		}
		case what::demand_list:
			list(s, r, MAYFLY_DEMAND_LIST);
			break;
		case what::demand_remove: {
			mayfly_demand_remove args = random_demand_remove(r, shared_.last_id);

			call_with(s, r, MAYFLY_DEMAND_REMOVE, args);
			break;
		}
		default:
			perform_other(s, r);
			break;
		}
	}

	void image_create(const step &s, random &r)
	{
		mayfly_image_create create = random_image(r, memory_);

		if (!call_with(s, r, MAYFLY_IMAGE_CREATE, create))
			keep(s.to, create.fd);
	}

	void spawn(const step &s, random &r)
	{
		const std::uint8_t image = r.chance(70) ? std::uint8_t{slot_image} : s.to;
		mayfly_spawn spawn = random_spawn(r, memory_, number_of(image));

		if (call_with(s, r, MAYFLY_SPAWN, spawn))
			return;
		shared_.last_id += spawn.created;
		if (spawn.fd >= 0)
			keep(s.to, spawn.fd);
	}

	void list(const step &s, random &r, unsigned long request)
	{
		mayfly_list list = random_list(r, memory_);
		const std::uint32_t asked = list.count;

		if (!call_with(s, r, request, list) && list.count > asked)
			failure_ = fmt::format("LIST of {} rows has filled {}", asked, list.count);
	}

	void open(const step &s, random &r, unsigned long request, std::uint64_t last)
	{
		mayfly_open open = random_open(r, last);

		if (!call_with(s, r, request, open))
			keep(s.to, open.fd);
	}

	void memory(const step &s, random &r)
	{
		mayfly_memory args = random_memory(r, memory_);

		if (!call_with(s, r, MAYFLY_MEMORY, args) && args.done != args.length)
			failure_ = fmt::format("MEMORY of {} bytes has copied {}", args.length, args.done);
	}

	void snapshot(const step &s, random &r)
	{
		mayfly_snapshot args = random_snapshot(r);

		interrupt_soon(r);
		if (!call_with(s, r, MAYFLY_SNAPSHOT, args))
			keep(s.to, args.fd);
		clock_->stop();
	}

	void extents(const step &s, random &r)
	{
		const std::uint8_t base = r.chance(70) ? std::uint8_t{slot_image} : s.to;
		mayfly_extents args = random_extents(r, memory_, r.chance(50) ? -1 : number_of(base));
		const std::uint32_t asked = args.count;

		if (!call_with(s, r, MAYFLY_EXTENTS, args) && args.count > asked)
			failure_ = fmt::format("EXTENTS of {} has filled {}", asked, args.count);
	}

	void control_many(const step &s, random &r)
	{
		mayfly_control control = random_control_many(r, memory_, shared_.last_id);
		const std::uint64_t at = memory_.place(r, std::as_bytes(std::span(&control, 1)));
		const std::uint64_t results = control.results, size = 4 * std::uint64_t{control.count};

		if (call(s, MAYFLY_CONTROL, reinterpret_cast<void *>(at)))
			return;
		std::memcpy(&control, reinterpret_cast<const void *>(at), sizeof(control));
		if (control.done > control.count)
			failure_ = fmt::format("CONTROL of {} VMs has done {}", control.count, control.done);
		// Where both are in one place, the structure was written last.
		if (results && !control.flags && (results + size <= at || at + sizeof(control) <= results))
			check_results({reinterpret_cast<const std::int32_t *>(results), control.count});
	}
	void check_results(std::span<const std::int32_t> results)
	{
		for (const std::int32_t result : results) {
			answers_.count("CONTROL, each", result);
			if (!is_allowed_result(result))
				failure_ = fmt::format("CONTROL of many said {} about one", result);
		}
	}

	/// Signals end a call that may wait for ever, again and again.
	void interrupt_soon(random &r) { clock_->every(std::chrono::microseconds(50 + r.below(500))); }

	void run_vm(const step &s, random &r)
	{
		mayfly_run run = random_run(r);

		interrupt_soon(r);
		call_with(s, r, MAYFLY_RUN, run);
		clock_->stop();
	}

	void perform_other(const step &s, random &r)
	{
		const int on = number_of(s.on);

		switch (s.call) {
		case what::strange:
			strange(on, r);
			break;
		case what::read:
			read_some(on, r);
			break;
		case what::write: {
			const watchdog::guard guard(post_, "write", shared_.index);

			// Not to the pipe, which may be full.
			if (s.on != slot_pipe)
				count("write", ::write(on, "x", 1));
			break;
		}
		case what::poll: {
			pollfd all[] = {{.fd = on, .events = POLLIN, .revents = 0},
					{.fd = number_of(s.to), .events = POLLIN | POLLOUT, .revents = 0}};
			const watchdog::guard guard(post_, "poll", shared_.index);

			count("poll", ::poll(all, 2, static_cast<int>(r.below(20) / 19)));
			break;
		}
		case what::seek:
			count("lseek", lseek(on, static_cast<off_t>(r.word()), static_cast<int>(r.below(5))));
			break;
		case what::map:
			map(on, r);
			break;
		case what::network: {
			const watchdog::guard guard(post_, "network", shared_.index);

			answers_.count("network", play_with_network(r));
			break;
		}
		case what::dup:
			if (const int made = fcntl(on, F_DUPFD_CLOEXEC, 3); made >= 0)
				keep(s.to, made);
			break;
		case what::dup2:
			replace(s, on);
			break;
		case what::close: {
			const watchdog::guard guard(post_, "close", shared_.index);

			keep(s.on, -1);
			break;
		}
		case what::fork:
			fork_and_leave(on, r);
			break;
		default:
			fcntl(on, F_SETFL, r.chance(50) ? O_NONBLOCK : 0);
			break;
		}
	}

	/// Commands that the descriptor does not know, of Mayfly and of others.
	void strange(int on, random &r)
	{
		static constexpr unsigned long commands[] = {MAYFLY_INFO,
							     MAYFLY_IMAGE_CREATE,
							     MAYFLY_SPAWN,
							     MAYFLY_LIST,
							     MAYFLY_OPEN,
							     MAYFLY_CONTROL,
							     MAYFLY_STAT,
							     MAYFLY_RUN,
							     MAYFLY_GET_STATE,
							     MAYFLY_SET_STATE,
							     MAYFLY_IMAGE_LIST,
							     MAYFLY_IMAGE_OPEN,
							     MAYFLY_IMAGE_TAG,
							     MAYFLY_IMAGE_REMOVE,
							     MAYFLY_MEMORY,
							     MAYFLY_SNAPSHOT,
							     MAYFLY_EXTENTS,
							     MAYFLY_ARGUMENTS,
							     MAYFLY_DEMAND_LIST,
							     MAYFLY_DEMAND_REMOVE,
							     0x5401,
							     0x541b,
							     0xae01};
		const unsigned long command = r.chance(70) ? r.pick(commands) ^ (r.chance(50) ? 1ul << r.below(32) : 0)
							   : static_cast<std::uint32_t>(r.next());
		const std::uint64_t at = memory_.room(r, 2048);
		const watchdog::guard guard(post_, "an unknown ioctl", shared_.index);

		// As they are, RUN blocks, and SNAPSHOT makes a descriptor of any zeros.
		if (command != MAYFLY_RUN && command != MAYFLY_SNAPSHOT)
			count("unknown", ioctl(on, command, at));
	}

	void read_some(int on, random &r)
	{
		const std::size_t length = r.chance(80) ? r.below(5000) : 0;
		const std::uint64_t at = memory_.room(r, length);

		clock_->every(std::chrono::microseconds(50 + r.below(200)));
		{
			const watchdog::guard guard(post_, "read", shared_.index);

			count("read", ::read(on, reinterpret_cast<void *>(at), length));
		}
		clock_->stop();
	}

	/// None of our descriptors can be mapped.
	void map(int on, random &r)
	{
		void *const at = mmap(nullptr, page_size, PROT_READ | PROT_WRITE,
				      r.chance(50) ? MAP_SHARED : MAP_PRIVATE, on,
				      static_cast<off_t>(page_size * r.below(3)));

		count("mmap", at == MAP_FAILED ? -1 : 0);
		if (at == MAP_FAILED)
			return;
		munmap(at, page_size);
		failure_ = "a descriptor could be mapped";
	}

	/// Another open file under a number that others are using.
	void replace(const step &s, int on)
	{
		const int with = number_of(s.to);

		if (on >= 0 && with >= 0 && on != with)
			count("dup2", dup3(with, on, O_CLOEXEC));
	}

	/// A child with all descriptors, which makes a few calls and is gone.
	void fork_and_leave(int on, random &r)
	{
		const watchdog::guard guard(post_, "fork", shared_.index);
		const pid_t child = fork();

		if (!child) {
			mayfly_info info;
			mayfly_vm_info stat;
			mayfly_row info_args = live::row_request(info), stat_args = live::row_request(stat);

			ioctl(number_of(slot_device), MAYFLY_INFO, &info_args);
			ioctl(on, MAYFLY_STAT, &stat_args);
			if (r.chance(50))
				::close(on);
			_exit(0);
		}
		count("fork", child);
		if (child > 0)
			waitpid(child, nullptr, 0);
	}

	commons &shared_;
	watchdog::post &post_;
	arena memory_;
	kcov kcov_;
	std::optional<interrupter> clock_;
	answers answers_;
	std::string failure_;
};

}
