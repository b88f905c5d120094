// SPDX-License-Identifier: Apache-2.0
// logs and console: what guests have written.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include "select.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr std::byte escape{0x1d}; // Ctrl-]
constexpr std::byte interrupt{0x03};

// The terminal whose keys are read, and how it was, where a signal's handler finds them.
int terminal = -1;
termios as_it_was{};

void restore_terminal()
{
	::tcsetattr(terminal, TCSANOW, &as_it_was);
}

// Ends as without a handler, once this one has returned.
void restore_and_end(int number)
{
	restore_terminal();
	end_by(number);
}

// While it lives, keys come one by one, unechoed, and make no signals.
class raw_keys
{
public:
	explicit raw_keys(int fd) : signals_(remember(fd), restore_and_end)
	{
		termios raw = as_it_was;

		raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
		::tcsetattr(fd, TCSANOW, &raw);
	}

	raw_keys(const raw_keys &) = delete;
	raw_keys &operator=(const raw_keys &) = delete;

	~raw_keys() { restore_terminal(); }

private:
	// All that end a process unless it handles them, and that can be handled.
	static std::vector<int> ending()
	{
		constexpr std::array others{SIGKILL, SIGSTOP, SIGCHLD, SIGCONT, SIGTSTP,
					    SIGTTIN, SIGTTOU, SIGURG,  SIGWINCH};
		std::vector<int> numbers;

		for (int number = 1; number <= SIGRTMAX; number++)
			if (!std::ranges::count(others, number))
				numbers.push_back(number);
		return numbers;
	}

	// What a handler needs. Returns which signals it handles.
	static std::span<const int> remember(int fd)
	{
		static const std::vector<int> numbers = ending();

		terminal = fd;
		::tcgetattr(fd, &as_it_was);
		return numbers;
	}

	handled_signals signals_;
};

// Writes console bytes, with a VM's name before every line if there are several.
class printer
{
public:
	printer(stream &out, std::string prefix) : out_(out), prefix_(std::move(prefix)) {}

	void write(std::string_view text)
	{
		while (!text.empty()) {
			const std::size_t length = std::min(text.find('\n'), text.size() - 1) + 1;

			if (at_start_)
				out_.write(prefix_);
			out_.write(text.substr(0, length));
			at_start_ = text[length - 1] == '\n';
			text.remove_prefix(length);
		}
	}

	// Ends a line that the guest has left open, so that the next VM's stands alone.
	void end()
	{
		if (!at_start_ && !prefix_.empty())
			out_.write("\n");
	}

private:
	stream &out_;
	std::string prefix_;
	bool at_start_ = true;
};

// What one guest has written, on its way to the output: from the oldest byte that is
// kept on.
class copier
{
public:
	copier(const context &world, const vm &guest, std::string name, bool prefixed)
		: world_(&world), guest_(&guest), name_(std::move(name)), to_(world.out, prefixed ? name_ + " | " : "")
	{
	}

	copier(const copier &) = delete;
	copier &operator=(const copier &) = delete;

	// Copies until the VM has ended or the output is lost (true), or until no more is
	// there (false).
	result<bool> copy()
	{
		std::array<std::byte, 16384> buffer;

		for (;;) {
			const auto before = guest_->stat();

			tell_lost(before, &vm_stat::console_lost);

			const auto got = guest_->read(buffer);

			// What was there before and does not come was overwritten meanwhile.
			if (!got && got.error().code == EAGAIN) {
				tell_lost(before, &vm_stat::console_bytes);
				return false;
			}
			if (!got && got.error().code != EINTR)
				return std::unexpected(got.error());
			if (!got)
				continue;
			if (*got == 0) {
				tell_lost(guest_->stat(), &vm_stat::console_bytes);
				return true;
			}
			to_.write({reinterpret_cast<const char *>(buffer.data()), *got});
			position_ += *got;
			if (!world_->out.flush())
				return true;
		}
	}

	void end() { to_.end(); }

private:
	// Of the bytes before `next`, those that have not come are overwritten. More may be
	// by the time we read; they count the next time, and at the end all do.
	void tell_lost(const result<vm_stat> &stat, std::uint64_t vm_stat::*next)
	{
		if (!stat || (*stat).*next <= position_)
			return;
		world_->complain({0, fmt::format("{}: {} older bytes are lost", name_, (*stat).*next - position_)});
		position_ = (*stat).*next;
	}

	const context *world_;
	const vm *guest_;
	std::string name_;
	printer to_;
	std::uint64_t position_ = 0;
};

outcome<void> print_retained(const context &world, const device &from, const vm_info &row, bool prefixed)
{
	const auto opened = from.open_vm(row.id);

	if (!opened)
		return give_up(status::some_failed, opened.error());
	if (const auto prepared = opened->set_nonblocking(); !prepared)
		return give_up(status::broken, prepared.error());

	copier console(world, *opened, printable(row.name), prefixed);
	const auto copied = console.copy();

	console.end();
	if (!copied)
		return give_up(status::broken, copied.error());
	return {};
}

// Shows a console until the VM ends (true) or the user leaves (false) by a key of
// `keys`, which may be -1.
result<bool> watch(const context &world, const vm &guest, const vm_info &row, int keys)
{
	copier console(world, guest, printable(row.name), false);

	VMCTL_TRY(guest.set_nonblocking());
	while (!VMCTL_TRY(console.copy())) {
		std::array<pollfd, 2> entries{{{guest.fd(), POLLIN, 0}, {keys, POLLIN, 0}}};
		const int ready = world.calls.poll(entries, -1);

		if (ready < 0 && ready != -EINTR)
			return fail(-ready, "waiting for the console: " + errno_text(-ready));
		if (entries[1].revents != 0) {
			std::array<std::byte, 64> typed;
			const ssize_t got = world.calls.read(keys, typed);

			for (ssize_t i = 0; i < got; i++)
				if (typed[static_cast<std::size_t>(i)] == escape ||
				    typed[static_cast<std::size_t>(i)] == interrupt)
					return false;
			// Nobody can type any more.
			if (got == 0 || (got < 0 && got != -EINTR && got != -EAGAIN))
				return false;
		}
	}
	return true;
}

int follow(const context &world, const invocation &in)
{
	const device from = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(from, in.operands));
	const auto opened = from.open_vm(one.row.id);

	if (!opened)
		return world.end(failure{status::some_failed, opened.error()});
	if (const auto watched = watch(world, *opened, one.row, -1); !watched)
		return world.end(failure{status::broken, watched.error()});
	return status::ok;
}

} // namespace

int verb_logs(const context &world, const invocation &in)
{
	if (in.has("follow"))
		return follow(world, in);

	const device from = CLI_TRY(world, open_device(world));
	const selection picked = CLI_TRY(world, select(from, in));
	int result = picked.missing.empty() ? status::ok : status::some_failed;

	for (const error &missing : picked.missing)
		world.complain(missing);
	for (const chosen &one : picked.vms) {
		const auto printed = print_retained(world, from, one.row, picked.vms.size() > 1);

		if (printed || (!one.by_name && printed.error().cause.code == ENOENT))
			continue;
		world.complain(printed.error().cause);
		result = status::some_failed;
	}
	return result;
}

int verb_attach(const context &world, const invocation &in)
{
	if (world.in < 0 || ::isatty(world.in) == 0)
		return follow(world, in);

	const device from = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(from, in.operands));
	const auto opened = from.open_vm(one.row.id);

	if (!opened)
		return world.end(failure{status::some_failed, opened.error()});
	world.err.print("console of {}; Ctrl-] leaves it\n", printable(one.row.name));

	result<bool> ended = false;

	{
		const raw_keys keys(world.in);

		ended = watch(world, *opened, one.row, world.in);
	}
	if (!ended)
		return world.end(failure{status::broken, ended.error()});
	if (!*ended) {
		world.err.print("\nleft; {} goes on\n", printable(one.row.name));
	} else if (const auto row = opened->info(); row && row->ended()) {
		world.err.print("{}: {}\n", printable(one.row.name), row->end_text());
	}
	return status::ok;
}

} // namespace vmctl::cli
