// SPDX-License-Identifier: Apache-2.0
// migrate: a VM goes on somewhere else. handover.hpp has what the two sides say.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <net/if.h>

#include "channel.hpp"
#include "cli.hpp"
#include "handover.hpp"
#include "launch.hpp"
#include "place.hpp"
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
	std::string word;                 // as the user calls it
	std::vector<std::string> command; // ssh's lacks what it shall run there
};

outcome<destination> find_destination(const invocation &in)
{
	if (const auto places = check_places(in, 1); !places)
		return std::unexpected(places.error());
	if (const auto command = in.value("via")) {
		if (in.operands.size() != 1)
			return bad_usage("one VM is needed, and with --via no host");
		if (in.has("net"))
			return bad_usage("--net and --via: the command says it");
		return destination{"the other side", {"/bin/sh", "-c", *command}};
	}
	if (in.operands.size() != 2)
		return bad_usage("a VM and a host are needed");

	const std::string &host = in.operands[1];

	if (host.empty())
		return bad_usage("which host?");
	return destination{host, {"ssh", "-T", "--", host}};
}

// The networks that the VM shall be on there: called as here, where nothing else is said.
outcome<std::vector<std::string>> find_networks_there(const invocation &in, const vm_info &row)
{
	std::vector<std::string> all = in.values("net");

	if (!all.empty())
		return all;
	for (const vm_place &place : row.places) {
		std::array<char, IF_NAMESIZE> name{};

		const bool is_here = ::if_indextoname(place.network, name.data()) != nullptr;

		// A shell reads it there.
		if (!is_here || !check_network_name(name.data()))
			return give_up(status::some_failed,
				       {EINVAL, row.name + ": one of its networks is not here, or has a strange name",
					"say --net, with networks of that host's"});
		all.emplace_back(name.data());
	}
	return all;
}

// What runs there.
outcome<std::string> receiver_for(const invocation &in, const vm_info &row)
{
	const auto all = find_networks_there(in, row);
	std::string command = "vmctl restore --incoming ";

	if (!all)
		return std::unexpected(all.error());
	for (const std::string &network : *all)
		command += fmt::format("--net {} ", network);
	return command + "-";
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

// What the VM shall be called there; empty: the receiver finds a name.
outcome<std::string> find_name_there(const invocation &in, const vm_info &row)
{
	if (in.has("name"))
		return parse_name(in, 1);
	// An automatic name is this module's.
	return check_name(row.name) ? row.name : "";
}

// The last word to the receiver. What does not run here shall not run there.
std::string order_for(const standstill &held, const std::string &name)
{
	const auto verb = held.was_going() ? handover::start : handover::keep;

	return fmt::format("{}{}{}", verb, name.empty() ? "" : " ", name);
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

	const std::size_t blank = line->find(' ');

	if (line->substr(0, blank) == handover::running && blank != std::string::npos)
		if (const auto id = parse_number(std::string_view(*line).substr(blank + 1)))
			return *id;
	return fail(undecided, "the other side has answered nonsense");
}

// A VM on its way.
struct traveller {
	std::string name; // here
	vm machine;
	std::string name_there; // or empty
	destination to;
};

// Gives the VM away: its id there. After a failure it is as it was, unless that is
// `undecided`. From the last word on, signals wait in \p undivided: nobody but us can say
// what became of it.
result<std::uint64_t> hand_over(const device &from, const traveller &who, standstill &held, const channel &to,
				std::optional<delayed_signals> &undivided)
{
	VMCTL_TRY(from.save(who.machine, [&](std::span<const std::byte> bytes) { return to.write(bytes); }));
	VMCTL_TRY(expect(to, handover::arrived));
	undivided.emplace(ending_signals);
	VMCTL_TRY(held.make_lasting());

	auto sent = to.write_line(order_for(held, who.name_there));
	auto answer = sent ? read_answer(to) : std::unexpected(sent.error());

	if (!answer && answer.error().code != undecided)
		if (const auto undone = held.undo(); !undone)
			return fail(answer.error().code, answer.error().what + "; and here " + undone.error().what);
	return answer;
}

// The VM was not given away.
failure explain(const traveller &who, error cause)
{
	const bool ours = cause.code == ENOTSUP || cause.code == EFBIG || cause.code == ENOMEM || cause.code == EFAULT;

	if (cause.code != undecided)
		return {ours ? status::broken : status::some_failed,
			{cause.code, fmt::format("{}: {}; it stays here", who.name, cause.what), cause.fix}};
	return {status::broken,
		{cause.code,
		 fmt::format("{}: whether it runs on {} is not known: {}; here it is paused", who.name, who.to.word,
			     cause.what),
		 fmt::format("look there, a minute from now: if it runs, 'vmctl rm -f {0}', else 'vmctl unpause {0}'",
			     who.name)}};
}

// It runs there.
result<void> forget(const vm &what)
{
	VMCTL_TRY(what.kill());
	// One that belonged to another process is gone with it.
	if (const auto removed = what.remove(); !removed && removed.error().code != ENOENT)
		return removed;
	return {};
}

outcome<traveller> find_traveller(const device &from, const invocation &in, destination to)
{
	const auto one = select_one(from, std::span(in.operands).first(1));

	if (!one)
		return std::unexpected(one.error());

	auto name_there = find_name_there(in, one->row);

	if (!name_there)
		return std::unexpected(name_there.error());

	if (!in.has("via")) {
		auto receiver = receiver_for(in, one->row);

		if (!receiver)
			return std::unexpected(receiver.error());
		to.command.push_back(std::move(*receiver));
	}

	auto machine = from.open_vm(one->row.id);

	if (!machine)
		return give_up(status::some_failed, machine.error());
	return traveller{one->row.name, std::move(*machine), std::move(*name_there), std::move(to)};
}

// Moves it, and tells how long it stood still.
int move(const context &world, const device &from, const traveller &who, channel &to)
{
	std::optional<delayed_signals> undivided;
	const auto since = clock::now();
	auto held = standstill::begin(who.machine);

	if (!held)
		return world.end(explain(who, held.error()));

	const auto id = hand_over(from, who, *held, to, undivided);
	const std::chrono::nanoseconds stood = clock::now() - since;

	if (!id)
		return world.end(explain(who, id.error()));

	const auto forgotten = forget(who.machine);

	world.out.print("{}\n", *id);
	world.out.flush();
	if (!forgotten)
		return world.end({status::broken,
				  {forgotten.error().code, fmt::format("{} is {} on {}, but here {}", who.name, *id,
								       who.to.word, forgotten.error().what)}});
	world.err.print("{} is {} on {}; it stood still for {}\n", who.name, *id, who.to.word,
			time_text(static_cast<std::uint64_t>(stood.count())));
	world.err.flush();
	to.finish();
	return status::ok;
}

} // namespace

int verb_migrate(const context &world, const invocation &in)
{
	destination where = CLI_TRY(world, find_destination(in));
	const milliseconds patience = CLI_TRY(world, parse_patience(in));
	const device from = CLI_TRY(world, open_device(world));
	const traveller who = CLI_TRY(world, find_traveller(from, in, std::move(where)));
	const handled_signals lasting(std::array{SIGPIPE}, SIG_IGN);
	auto to = channel::open(world.calls, who.to.command, patience);

	if (!to)
		return world.end({status::broken, to.error()});
	if (const auto ready = wait_until_ready(*to); !ready)
		return world.end(explain(who, ready.error()));
	return move(world, from, who, *to);
}

} // namespace vmctl::cli
