// SPDX-License-Identifier: Apache-2.0
//
// A batch of guests that run side by side from one image, what is done to them
// meanwhile, and the rules that must hold however they end.

#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <poll.h>

#include <fmt/core.h>

#include "../live/descriptor.hpp"
#include "guest_image.hpp"
#include "interrupter.hpp"
#include "options.hpp"
#include "tally.hpp"
#include "vcpu_state.hpp"
#include "watchdog.hpp"

namespace fuzz
{

using live::address;
using live::fd;

inline constexpr std::uint64_t batch_size = 32;

/// What a case does besides its code.
struct plan {
	code_mode mode{};
	std::uint64_t memory = 0;
	bool detached = false;
	bool bend = false;     ///< its first registers are changed
	bool attached = false; ///< runs in our thread
	std::uint32_t run_flags = 0;
	enum class meddle { nothing, notify, pause, restate, look, list, read, close, kill, start_twice };
	std::vector<meddle> steps;
};

inline plan make_plan(random r, bool svm)
{
	static constexpr std::uint64_t memories[] = {1 << 20,  2 << 20,          4 << 20,
						     16 << 20, (4 << 20) + 4096, 64ull << 30};
	plan p;

	p.mode = {.idt = r.chance(75), .user = r.chance(25), .bits32 = r.chance(15), .svm = svm};
	p.memory = r.pick(memories);
	p.detached = r.chance(20);
	p.bend = r.chance(50);
	p.attached = r.chance(15);
	p.run_flags = static_cast<std::uint32_t>(r.below(4));
	for (std::uint64_t n = r.below(6); n; n--)
		p.steps.push_back(static_cast<plan::meddle>(r.below(10)));
	// Most should live to see the others.
	if (r.chance(90))
		std::erase_if(p.steps,
			      [](plan::meddle m) { return m == plan::meddle::close || m == plan::meddle::kill; });
	return p;
}

class batch final
{
public:
	struct surroundings {
		const options &given;
		const fd &device;
		watchdog::post &post;
		std::chrono::milliseconds budget;
		bool svm;
	};

	/// Cases \p first to \p last - 1, all of batch \p number.
	batch(const surroundings &around, std::uint64_t number, std::uint64_t first, std::uint64_t last)
		: around_(around), number_(number), first_(first), last_(last), all_modes_(modes()),
		  image_(around.given.seed, number, all_modes_)
	{
	}

	/// Throws broken_rule.
	tally run()
	{
		mayfly_image_create request = image_.request();
		const int ret = call(around_.device, MAYFLY_IMAGE_CREATE, &request, "IMAGE_CREATE");
		digest sum;

		expect(ret == 0, first_, "IMAGE_CREATE", ret);
		const fd holder(request.fd);

		image_.add_to(sum);
		tally_.digest = sum.value();
		for (std::uint64_t i = first_; i < last_; i++)
			guests_.push_back(make_guest(holder, i));
		for (guest &one : guests_)
			begin(one);
		meddle_until_over();
		for (guest &one : guests_)
			finish(one);
		return tally_;
	}

private:
	struct guest {
		std::uint64_t index = 0, id = 0;
		plan what;
		random dice{0};
		fd handle;
		bool killed = false, closed = false, ended = false;
		std::size_t step = 0;
		std::string history; ///< for the report of a failure
	};

	random dice_of(std::uint64_t index) const { return random(around_.given.seed, 2, index); }

	std::vector<code_mode> modes() const
	{
		std::vector<code_mode> all;

		for (std::uint64_t i = 0; i < batch_size; i++)
			all.push_back(make_plan(dice_of(number_ * batch_size + i), around_.svm).mode);
		return all;
	}

	template <class T> int call(const fd &on, unsigned long request, T *argument, const char *name)
	{
		const watchdog::guard guard(around_.post, name, first_);

		return live::call(on, request, argument);
	}

	[[noreturn]] void fail(std::uint64_t index, const std::string &what) const
	{
		throw broken_rule(fmt::format("case {}: {}\nalone:         {}\nwith its batch: {}", index, what,
					      around_.given.replay("fuzz-guests", index),
					      around_.given.replay("fuzz-guests", number_ * batch_size, batch_size)));
	}
	void expect(bool holds, std::uint64_t index, const char *what, int got) const
	{
		if (!holds)
			fail(index,
			     fmt::format("{} answered {} ({})", what, got, got < 0 ? strerror(-got) : "no error"));
	}
	void expect_one_of(std::uint64_t index, const char *what, int got, std::initializer_list<int> good) const
	{
		expect(std::ranges::find(good, got) != good.end(), index, what, got);
	}

	/// The case's number in the batch and its mode, as guest.S wants them.
	static std::array<char, 3> arguments(const guest &one)
	{
		const code_mode &mode = one.what.mode;

		return {static_cast<char>(one.index % batch_size + 1),
			static_cast<char>(FUZZ_MODE | (mode.idt ? FUZZ_MODE_IDT : 0) |
					  (mode.user ? FUZZ_MODE_USER : 0) | (mode.bits32 ? FUZZ_MODE_32 : 0)),
			0};
	}

	guest make_guest(const fd &image, std::uint64_t index)
	{
		guest one;
		mayfly_spawn spawn{};

		one.index = index;
		one.what = make_plan(dice_of(index), around_.svm);
		one.dice = random(around_.given.seed, 3, index);

		const auto args = arguments(one);

		spawn.image = image.get();
		spawn.count = 1;
		spawn.memory = one.what.memory;
		spawn.flags = one.what.detached ? MAYFLY_SPAWN_DETACHED : 0;
		spawn.args = address(args.data());
		spawn.args_length = args.size();
		spawn.ids = address(&one.id);
		expect_one_of(index, "SPAWN", call(around_.device, MAYFLY_SPAWN, &spawn, "SPAWN"), {0});
		one.handle = fd(spawn.fd);
		if (one.what.detached) {
			mayfly_open open{};

			open.id = one.id;
			expect_one_of(index, "OPEN", call(around_.device, MAYFLY_OPEN, &open, "OPEN"), {0});
			one.handle = fd(open.fd);
		}
		return one;
	}

	int get_state(const guest &one, live::vcpu_state &state)
	{
		mayfly_state args = live::state_request(state);

		return call(one.handle, MAYFLY_GET_STATE, &args, "GET_STATE");
	}
	int set_state(const guest &one, const live::vcpu_state &state)
	{
		mayfly_state args = live::state_request(state);

		return call(one.handle, MAYFLY_SET_STATE, &args, "SET_STATE");
	}

	static bool sets_clock(const live::vcpu_state &before, const live::vcpu_state &wanted)
	{
		return before.tsc_offset != wanted.tsc_offset || before.tsc_khz != wanted.tsc_khz ||
		       before.generation != wanted.generation || before.clock_seq != wanted.clock_seq;
	}

	/// A state that was refused has changed nothing; one that was taken is there.
	void bend(guest &one)
	{
		live::vcpu_state before{}, wanted, after{};

		expect_one_of(one.index, "GET_STATE", get_state(one, before), {0});
		wanted = before;
		// Into the code at once: the way there would change registers.
		if (one.dice.chance(70))
			enter_code(one, wanted);
		bend_state(one.dice, wanted);
		const int ret = set_state(one, wanted);

		expect_one_of(one.index, "SET_STATE", ret, {0, -EINVAL, -EOPNOTSUPP});
		expect_one_of(one.index, "GET_STATE", get_state(one, after), {0});
		if (!ret && (wanted.flags & MAYFLY_STATE_TSC) != 0) {
			wanted.flags &= ~MAYFLY_STATE_TSC;
			wanted.tsc_offset = after.tsc_offset;
		}
		// Where the clock was set, its page has been written, unless there is none now.
		if (sets_clock(before, wanted) && after.clock_seq == wanted.clock_seq + 2)
			wanted.clock_seq = after.clock_seq;
		if (std::memcmp(&after, ret ? &before : &wanted, sizeof(after)) != 0)
			fail(one.index, ret ? "a state that was refused has changed something"
					    : "a state that was set is not there");
		++(ret ? tally_.states_refused : tally_.states_set);
		if (!ret)
			one.history += fmt::format("\nSET_STATE changed words:{}", difference(before, wanted));
	}

	/// As if it had come there through guest.S.
	static void enter_code(const guest &one, live::vcpu_state &state)
	{
		constexpr std::uint64_t base = FUZZ_WINDOW + FUZZ_DESCRIPTORS;

		state.waiting = MAYFLY_WAITING_NOT;
		state.deadline = 0;
		state.rip = FUZZ_WINDOW + FUZZ_CASES + page_size * (one.index % batch_size);
		state.regs[MAYFLY_RSP] = FUZZ_WINDOW + FUZZ_STACK;
		state.gdtr = {.base = base + FUZZ_GDT, .limit = FUZZ_GDT_END - 1, .reserved = 0};
		state.tr = {.base = base + FUZZ_TSS, .limit = 0x67, .selector = FUZZ_TASK, .attributes = 0x8b};
		if (one.what.mode.idt)
			state.idtr = {.base = base + FUZZ_IDT, .limit = 32 * 16 - 1, .reserved = 0};
	}

	void begin(guest &one)
	{
		if (one.what.bend)
			for (std::uint64_t n = 1 + one.dice.below(3); n; n--)
				bend(one);
		if (one.what.attached)
			run_here(one);
		else
			expect_one_of(one.index, "START", control(one, MAYFLY_OP_START), {0});
	}

	/// RUN, for a few milliseconds at most.
	void run_here(guest &one)
	{
		interrupter clock;

		clock.every(std::chrono::milliseconds(2));
		for (int tries = 0; tries < 3; tries++) {
			mayfly_run run{};

			run.flags = one.what.run_flags;
			const int ret = call(one.handle, MAYFLY_RUN, &run, "RUN");

			expect_one_of(one.index, "RUN", ret, {0, -EINTR});
			expect(ret || (run.outcome >= MAYFLY_RAN_ENDED && run.outcome <= MAYFLY_RAN_AGAIN), one.index,
			       "RUN's outcome", static_cast<int>(run.outcome));
			if (!ret && run.outcome == MAYFLY_RAN_ENDED)
				return;
		}
	}

	int control(const guest &one, std::uint32_t op, std::uint32_t port = 0)
	{
		static constexpr const char *names[] = {"", "START", "PAUSE", "RESUME", "KILL", "REMOVE", "NOTIFY"};
		mayfly_control control{};

		control.op = op;
		control.port = port;
		return call(one.handle, MAYFLY_CONTROL, &control, names[op]);
	}

	void meddle_until_over()
	{
		const auto until = std::chrono::steady_clock::now() + around_.budget;
		std::size_t alive;

		do {
			alive = 0;
			for (guest &one : guests_) {
				if (one.ended || one.closed)
					continue;
				alive++;
				if (one.step < one.what.steps.size())
					meddle(one, one.what.steps[one.step++]);
			}
			wait_a_little();
		} while (alive && std::chrono::steady_clock::now() < until);
	}

	void wait_a_little()
	{
		std::vector<pollfd> all;
		std::vector<guest *> whose;

		for (guest &one : guests_) {
			if (one.ended || one.closed)
				continue;
			all.push_back({.fd = one.handle.get(), .events = 0, .revents = 0});
			whose.push_back(&one);
		}
		if (poll(all.data(), all.size(), 2) <= 0)
			return;
		for (std::size_t i = 0; i < all.size(); i++)
			whose[i]->ended = all[i].revents & POLLHUP;
	}

	void meddle(guest &one, plan::meddle what)
	{
		switch (what) {
		case plan::meddle::notify:
			expect_one_of(one.index, "NOTIFY",
				      control(one, MAYFLY_OP_NOTIFY, static_cast<std::uint32_t>(one.dice.below(64))),
				      {0, -ESRCH});
			break;
		case plan::meddle::pause:
			pause(one, false);
			break;
		case plan::meddle::restate:
			pause(one, true);
			break;
		case plan::meddle::look:
			check(one, stat(one));
			break;
		case plan::meddle::list:
			list(one);
			break;
		case plan::meddle::read:
			read(one);
			break;
		case plan::meddle::close:
			close(one);
			break;
		case plan::meddle::kill:
			kill(one);
			break;
		case plan::meddle::start_twice:
			expect_one_of(one.index, "START", control(one, MAYFLY_OP_START),
				      {one.what.attached ? 0 : -EALREADY, -ESRCH});
			one.what.attached = false;
			break;
		case plan::meddle::nothing:
			break;
		}
	}

	/// Nobody else pauses or resumes it, so what it answers is known.
	void pause(guest &one, bool change)
	{
		live::vcpu_state state{};
		const int ret = control(one, MAYFLY_OP_PAUSE);

		expect_one_of(one.index, "PAUSE", ret, {0, -ESRCH});
		if (ret)
			return;
		expect_one_of(one.index, "GET_STATE", get_state(one, state), {0});
		const int back = set_state(one, state);

		// It may be in code of 32 bits, which SET_STATE does not take.
		expect_one_of(one.index, "SET_STATE", back, {0, -EINVAL});
		tally_.own_state_refused += back != 0;
		if (change)
			bend(one);
		expect_one_of(one.index, "RESUME", control(one, MAYFLY_OP_RESUME), {0});
	}

	mayfly_vm_info stat(const guest &one)
	{
		mayfly_vm_info result{};
		mayfly_row args = live::row_request(result);

		expect_one_of(one.index, "STAT", call(one.handle, MAYFLY_STAT, &args, "STAT"), {0});
		return result;
	}

	/// What is true of every VM at any time.
	void check(const guest &one, const mayfly_vm_info &s) const
	{
		const auto wrong = [&](const char *what, std::uint64_t value) {
			fail(one.index, fmt::format("STAT: {} is {:#x}", what, value));
		};

		if (s.id != one.id)
			wrong("id", s.id);
		if (s.state > MAYFLY_ENDED)
			wrong("state", s.state);
		if (s.memory != one.what.memory)
			wrong("memory", s.memory);
		if (s.guest_pages > one.what.memory / page_size)
			wrong("guest_pages", s.guest_pages);
		if (s.console_lost > s.console_bytes)
			wrong("console_lost", s.console_lost);
		if ((s.state == MAYFLY_ENDED) != (s.reason != MAYFLY_END_NONE))
			wrong("reason", s.reason);
	}

	void list(guest &one)
	{
		mayfly_vm_info rows[4]{};
		mayfly_list list{};

		list.from = one.id;
		list.rows = address(rows);
		list.count = 4;
		list.row_size = sizeof(rows[0]);
		expect_one_of(one.index, "LIST", call(around_.device, MAYFLY_LIST, &list, "LIST"), {0});
		if (!list.count || rows[0].id != one.id)
			fail(one.index, "LIST does not show it");
	}

	void read(guest &one)
	{
		char bytes[300];

		fcntl(one.handle.get(), F_SETFL, O_NONBLOCK);
		const watchdog::guard guard(around_.post, "read", first_);
		const ssize_t n = ::read(one.handle.get(), bytes, sizeof(bytes));

		if (n < 0 && errno != EAGAIN)
			fail(one.index, fmt::format("read: {}", strerror(errno)));
	}

	void close(guest &one)
	{
		if (one.what.detached)
			return;
		const watchdog::guard guard(around_.post, "close", first_);

		one.handle.reset();
		one.closed = true;
		tally_.closed++;
		tally_.cases++;
	}

	void kill(guest &one)
	{
		const int ret = control(one, MAYFLY_OP_KILL);

		expect_one_of(one.index, "KILL", ret, {0, -ESRCH});
		one.killed = true;
		one.ended = true;
	}

	void finish(guest &one)
	{
		if (one.closed)
			return;
		if (!one.ended)
			kill(one);
		const mayfly_vm_info s = stat(one);

		check(one, s);
		check_end(one, s);
		tally_.cases++;
		tally_.ends[s.reason]++;
		for (std::size_t i = 0; i < MAYFLY_EXIT_REASONS; i++)
			tally_.exits[i] += s.exits_by[i];
		tally_.done += s.reason == MAYFLY_END_EXITED && s.status == FUZZ_STATUS_DONE;
		tally_.faulted += s.reason == MAYFLY_END_EXITED && s.status == FUZZ_STATUS_FAULTS;
		if (one.what.detached)
			expect_one_of(one.index, "REMOVE", control(one, MAYFLY_OP_REMOVE), {0});
		const watchdog::guard guard(around_.post, "close", first_);

		one.handle.reset();
	}

	void check_end(const guest &one, const mayfly_vm_info &s) const
	{
		const auto wrong = [&](const char *what) {
			const char *const reason = s.reason < std::size(end_names) ? end_names[s.reason] : "?";

			fail(one.index, fmt::format("{}: ended {}, status {}, rip {:#x}, address {:#x}, detail {:#x}{}",
						    what, reason, s.status, s.rip, s.address, s.detail, one.history));
		};
		std::uint64_t sum = 0;

		for (std::size_t i = 0; i < std::size(s.exits_by); i++)
			sum += s.exits_by[i];
		if (s.state != MAYFLY_ENDED)
			wrong("it has not ended");
		if (sum != s.exits)
			wrong("its exits do not add up");
		switch (s.reason) {
		case MAYFLY_END_EXITED:
			break;
		case MAYFLY_END_KILLED:
			if (!one.killed)
				wrong("nobody killed it");
			break;
		case MAYFLY_END_TRIPLE_FAULT:
			if (s.exits_by[MAYFLY_EXIT_SHUTDOWN] != 1)
				wrong("no shutdown was seen");
			break;
		case MAYFLY_END_BAD_ACCESS:
			if (!image_.is_forbidden(s.address, one.what.memory))
				wrong("it may go there");
			break;
		default:
			if (!is_beyond_the_edge(s) && !is_of_its_own_making(s))
				wrong("guests cannot end so");
		}
	}

	/// An instruction that Mayfly answers was the last one below the hole in the
	/// address space: the next one has an address that no CPU takes.
	[[nodiscard]] static bool is_beyond_the_edge(const mayfly_vm_info &row)
	{
		return row.reason == MAYFLY_END_BAD_STATE && row.address == offsetof(mayfly_vcpu_state, rip) &&
		       row.rip == 1ull << 47;
	}

	/// Some states an emulator lets a guest bring itself into that it cannot be entered
	/// with again: QEMU 7.2 takes a CS with both L and D, where a CPU raises #GP; Bochs
	/// 2.7 lets code of 32 bits go on with a RIP of 33. What is named is the first
	/// segment register that SET_STATE would not take. A fresh guest has not had the time.
	[[nodiscard]] static bool is_of_its_own_making(const mayfly_vm_info &row)
	{
		return row.reason == MAYFLY_END_BAD_STATE && row.exits > 1 &&
		       row.address >= offsetof(mayfly_vcpu_state, cs) &&
		       row.address < offsetof(mayfly_vcpu_state, gdtr);
	}

	surroundings around_;
	std::uint64_t number_, first_, last_;
	std::vector<code_mode> all_modes_;
	guest_image image_;
	std::vector<guest> guests_;
	tally tally_;
};

}
