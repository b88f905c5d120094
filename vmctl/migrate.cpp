// SPDX-License-Identifier: Apache-2.0
// migrate: a VM goes on somewhere else. handover.hpp has what the two sides say.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "channel.hpp"
#include "cli.hpp"
#include "handover.hpp"
#include "select.hpp"
#include "signals.hpp"
#include "standstill.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds default_patience{60'000};

// Whether the VM runs on the other side is not known.
constexpr int undecided = EINPROGRESS;

// Where the VM goes.
struct destination {
	std::string word; // as the user calls it
	std::vector<std::string> command;
};

outcome<destination> find_destination(const invocation &in)
{
	if (const auto command = in.value("via")) {
		if (in.operands.size() != 1)
			return bad_usage("one VM is needed, and with --via no host");
		return destination{*command, {"/bin/sh", "-c", *command}};
	}
	if (in.operands.size() != 2)
		return bad_usage("a VM and a host are needed");

	const std::string &host = in.operands[1];

	if (host.empty())
		return bad_usage("which host?");
	return destination{host, {"ssh", "-T", "--", host, "vmctl restore --incoming -"}};
}

outcome<milliseconds> parse_patience(const invocation &in)
{
	const auto text = in.value("timeout");

	if (!text)
		return default_patience;

	const auto patience = parse_seconds(*text);

	if (!patience || *patience == 0 || *patience > INT32_MAX)
		return bad_usage(fmt::format("--timeout {}: not a number of seconds", *text));
	return milliseconds(*patience);
}

// The last word to the receiver.
outcome<std::string> parse_order(const invocation &in, const vm_info &row)
{
	// Made to be started later, or paused: it shall not run there either.
	const bool keeps = row.state == vm_state::paused ||
			   (row.state == vm_state::ready && !row.started && row.detached);
	const auto wanted = in.value("name");

	if (wanted)
		if (const auto judged = check_name(*wanted); !judged)
			return bad_usage(fmt::format("{}: {}", *wanted, judged.error().what));

	// An automatic name is this module's.
	const std::string name = wanted ? *wanted : check_name(row.name) ? row.name : "";

	return fmt::format("{}{}{}", keeps ? handover::keep : handover::start, name.empty() ? "" : " ", name);
}

// A shell may greet before it.
result<void> wait_until_ready(const channel &to)
{
	for (unsigned lines = 0; lines < 1000; lines++)
		if (VMCTL_TRY(to.read_line()) == handover::waiting)
			return {};
	return fail(EPROTO, "the other side is no vmctl, or one of another version");
}

result<void> expect(const channel &to, std::string_view wanted)
{
	if (const std::string line = VMCTL_TRY(to.read_line()); line != wanted)
		return fail(EPROTO, "the other side is no vmctl");
	return {};
}

// The VM's id there, from the answer to the last word.
result<std::uint64_t> read_answer(const channel &to)
{
	const auto line = to.read_line();

	if (!line)
		return fail(undecided, line.error().what);
	if (*line == handover::failed)
		return fail(ECANCELED, "the other side could not start it");
	if (line->starts_with(handover::running))
		if (const auto id = parse_number(std::string_view(*line).substr(handover::running.size() + 1)))
			return *id;
	return fail(undecided, "the other side has answered nonsense");
}

// Gives the VM away: its id there. After a failure it goes on here, unless that is `undecided`.
result<std::uint64_t> hand_over(const device &from, const vm &what, const standstill &held, const std::string &order,
				const channel &to)
{
	VMCTL_TRY(from.save(what, [&](std::span<const std::byte> bytes) { return to.write(bytes); }));
	VMCTL_TRY(expect(to, handover::arrived));

	// It must not go on by itself any more, and nobody but us can say what became of it.
	const delayed_signals undivided(std::array{SIGHUP, SIGINT, SIGQUIT, SIGTERM});

	VMCTL_TRY(held.make_lasting());

	auto sent = to.write_line(order);
	auto answer = sent ? read_answer(to) : std::unexpected(sent.error());

	if (!answer && answer.error().code != undecided)
		held.undo();
	return answer;
}

// What is said when a VM was not given away.
error explain(const std::string &name, const destination &where, error cause)
{
	if (cause.code != undecided)
		return {cause.code, fmt::format("{}: {}; it stays here", name, cause.what), cause.fix};
	return {cause.code,
		fmt::format("{}: whether it runs on {} is not known: {}; here it is paused", name, where.word,
			    cause.what),
		fmt::format("if it does, 'vmctl rm -f {0}', else 'vmctl unpause {0}'", name)};
}

result<void> forget(const vm &what)
{
	if (const auto killed = what.kill(); !killed && killed.error().code != ESRCH)
		return killed;
	if (const auto removed = what.remove(); !removed && removed.error().code != ENOENT)
		return removed;
	return {};
}

} // namespace

int verb_migrate(const context &world, const invocation &in)
{
	const destination where = CLI_TRY(world, find_destination(in));
	const milliseconds patience = CLI_TRY(world, parse_patience(in));
	const device from = CLI_TRY(world, open_device(world));
	const chosen one = CLI_TRY(world, select_one(from, std::span(in.operands).first(1)));
	const std::string order = CLI_TRY(world, parse_order(in, one.row));
	const auto what = from.open_vm(one.row.id);
	const handled_signals lasting(std::array{SIGPIPE}, SIG_IGN);

	if (!what)
		return world.end({status::some_failed, what.error()});

	auto to = channel::open(world.calls, where.command, patience);

	if (!to)
		return world.end({status::broken, to.error()});
	if (const auto ready = wait_until_ready(*to); !ready)
		return world.end({status::some_failed, explain(one.row.name, where, ready.error())});

	const auto since = clock::now();
	const auto held = standstill::begin(*what);

	if (!held)
		return world.end({status::some_failed, held.error()});

	const auto id = hand_over(from, *what, *held, order, *to);
	const std::chrono::nanoseconds stood = clock::now() - since;

	if (!id)
		return world.end({id.error().code == undecided ? status::broken : status::some_failed,
				  explain(one.row.name, where, id.error())});
	if (const auto forgotten = forget(*what); !forgotten)
		return world.end({status::broken,
				  {forgotten.error().code,
				   fmt::format("{} runs on {} as {}, but is not removed here: {}", one.row.name,
					       where.word, *id, forgotten.error().what)}});
	to->finish();
	world.out.print("{}\n", *id);
	world.err.print("{} is {} on {}; it stood still for {}\n", one.row.name, *id, where.word,
			time_text(static_cast<std::uint64_t>(stood.count())));
	return status::ok;
}

} // namespace vmctl::cli
