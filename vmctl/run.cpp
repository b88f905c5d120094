// SPDX-License-Identifier: Apache-2.0
// run: one VM in the foreground, in this thread.
#include <array>
#include <cerrno>
#include <csignal>
#include <span>

#include <fmt/format.h>
#include <unistd.h>

#include "find.hpp"
#include "launch.hpp"
#include "private_network.hpp"
#include "proxy.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

constexpr unsigned grace_seconds = 10;

// All that a signal handler can reach. It does the work itself, so a signal
// that comes just before RUN is entered is not lost.
volatile std::sig_atomic_t signalled_vm = -1;
volatile std::sig_atomic_t first_signal = 0;

void on_signal(int number)
{
	if (number == SIGALRM || (first_signal != 0 && number != SIGHUP)) {
		control_in_handler(signalled_vm, operation::kill);
	} else if (first_signal == 0) {
		first_signal = number;
		::alarm(grace_seconds);
		control_in_handler(signalled_vm, operation::notify, stop_port);
	}
}

// While it lives, SIGHUP, SIGINT and SIGTERM ask the VM to stop, and kill it the
// second time or after the grace. Only SIGHUP comes twice by itself: from the shell, and
// from the kernel when the shell has ended.
class stop_on_signal
{
public:
	explicit stop_on_signal(const vm &target) : signals_(prepare(target), on_signal) {}

	stop_on_signal(const stop_on_signal &) = delete;
	stop_on_signal &operator=(const stop_on_signal &) = delete;

	~stop_on_signal() { ::alarm(0); }

	// The first that came, or 0.
	[[nodiscard]] static int came() { return first_signal; }

private:
	static constexpr std::array numbers{SIGHUP, SIGINT, SIGTERM, SIGALRM};

	// What a handler needs. Returns which signals it handles.
	static std::span<const int> prepare(const vm &target)
	{
		signalled_vm = target.fd();
		first_signal = 0;
		// The alarm is ours, whoever ignored it before.
		std::signal(SIGALRM, SIG_DFL);
		return numbers;
	}

	handled_signals signals_;
};

// Copies what the console has now.
outcome<void> copy_console(const context &world, const vm &from)
{
	std::array<std::byte, 16384> buffer;

	for (;;) {
		const auto got = from.read(buffer);

		if (!got && got.error().code == EINTR)
			continue;
		if (!got && got.error().code != EAGAIN)
			return give_up(status::broken, got.error());
		if (!got || *got == 0)
			break;
		world.out.write({reinterpret_cast<const char *>(buffer.data()), *got});
	}
	return {};
}

// The name of the image to make when the guest is ready; nothing when there is none to
// make, or none any more.
using wish = std::optional<std::string>;

// Judges it before anything is made.
outcome<wish> parse_wish(const invocation &in)
{
	auto name = in.value("snapshot-when-ready");

	if (!name)
		return name;
	if (const auto judged = check_name(*name); !judged)
		return bad_usage(fmt::format("--snapshot-when-ready {}: {}", *name, judged.error().what));
	return name;
}

outcome<void> check_wish(const wish &wanted, const device &to)
{
	if (!wanted)
		return {};

	const auto other = find_loaded(to, *wanted);

	if (!other)
		return std::unexpected(other.error());
	if (*other)
		return give_up(status::broken, {EEXIST, "another image is called " + *wanted});
	return {};
}

// Not for a VM that has been asked to stop: every clone would find that event.
outcome<void> fulfil(wish &wanted, const vm &guest)
{
	if (stop_on_signal::came() != 0)
		return {};

	const auto taken = guest.snapshot(*wanted);

	if (stop_on_signal::came() != 0) {
		if (taken)
			static_cast<void>(taken->remove());
		return {};
	}
	if (!taken)
		return give_up(status::broken, taken.error());
	wanted.reset();
	return {};
}

failure never_ready(const launch &plan, const std::string &wanted)
{
	const int number = stop_on_signal::came();

	return {number != 0 ? 128 + number : status::broken,
		{ESRCH, fmt::format("{}: ended before it was ready: there is no image {}", plan.said, wanted)}};
}

// Is there a reason to go on? Lost output is none, unless the guest has been asked to
// stop, which it may do unseen.
bool goes_on(const context &world)
{
	if (world.out.flush())
		return true;
	// A terminal that has gone; the shell's SIGHUP may still be on its way.
	if (world.out_is_terminal && world.out.error() == EIO)
		std::raise(SIGHUP);
	if (stop_on_signal::came() == 0)
		return false;
	world.out.drop_rest();
	return true;
}

// Comes back early when output is lost.
outcome<void> run_to_end(const context &world, const vm &guest, wish &wanted)
{
	if (const auto prepared = guest.set_nonblocking(); !prepared)
		return give_up(status::broken, prepared.error());

	for (;;) {
		const auto ran = guest.run({.until_output = true, .until_ready = wanted.has_value()});

		// ESRCH: the signal handler's kill came in between.
		const bool ended = ran ? *ran == run_result::ended : ran.error().code == ESRCH;

		if (!ran && !ended && ran.error().code != EINTR)
			return give_up(status::broken, ran.error());
		if (ran && *ran == run_result::ready)
			if (const auto taken = fulfil(wanted, guest); !taken)
				return taken;
		if (const auto copied = copy_console(world, guest); !copied)
			return copied;
		if (!goes_on(world) || ended)
			return {};
	}
}

int run_attached(const context &world, launch plan, wish wanted)
{
	plan.request.start = false;

	const auto guest = plan.to.spawn_attached(plan.from, plan.request);

	if (!guest)
		return world.end(failure{status::broken, guest.error()});

	if (!plan.ports.empty()) {
		const auto made = guest->info();

		if (!made)
			return world.end(failure{status::broken, made.error()});
		CLI_TRY(world, open_ports(world, plan, made->id));
	}

	const stop_on_signal signals(*guest);

	CLI_TRY(world, run_to_end(world, *guest, wanted));
	if (!world.out.flush())
		return status::broken;
	if (stop_on_signal::came() != 0)
		return 128 + stop_on_signal::came();

	const auto row = guest->info();

	if (!row)
		return world.end(failure{status::broken, row.error()});

	const int result = exit_status(*row);

	if (result == status::broken && row->reason != end_reason::exited)
		world.complain({EIO, plan.said + ": " + row->end_text()});
	else if (wanted)
		return world.end(never_ready(plan, *wanted));
	return result;
}

// On a network of its own, and with this process as the proxy of its ports.
int run_behind_proxy(const context &world, launch plan, wish wanted)
{
	const auto cannot = [](const error &cause) { return failure{status::broken, about("--publish", cause)}; };

	if (const auto free = check_unpublished(world, plan.ports); !free)
		return world.end(cannot(free.error()));

	// They belong to the namespace that we are in now.
	auto door = proxy::open(world.calls, plan.ports);

	if (!door)
		return world.end(cannot(door.error()));

	const auto place = enter_private_network();

	if (!place)
		return world.end(cannot(about("without --net", place.error())));
	if (const auto started = door->start(place->ip4); !started)
		return world.end(cannot(started.error()));
	plan.request.places = {*place};
	plan.ports.clear();
	return run_attached(world, std::move(plan), std::move(wanted));
}

// Runs it in this thread, until it is ready: so nobody else gets it before.
outcome<void> run_until_ready(const vm &guest, wish &wanted, const launch &plan)
{
	for (;;) {
		const auto ran = guest.run({.until_ready = true});

		if (ran && *ran == run_result::ready) {
			if (const auto taken = fulfil(wanted, guest); !taken || !wanted)
				return taken;
		} else if (ran || ran.error().code == ESRCH) {
			return std::unexpected(never_ready(plan, *wanted));
		} else if (ran.error().code != EINTR) {
			return give_up(status::broken, ran.error());
		}
	}
}

outcome<void> warm_up(std::uint64_t id, wish &wanted, const launch &plan)
{
	const auto guest = plan.to.open_vm(id);

	if (!guest)
		return give_up(status::broken, guest.error());

	const stop_on_signal signals(*guest);

	if (const auto ready = run_until_ready(*guest, wanted, plan); !ready)
		return ready;
	if (const auto started = guest->start(); !started)
		return give_up(status::broken, started.error());
	return {};
}

int run_detached(const context &world, launch plan, wish wanted)
{
	plan.request.start = !wanted;

	const spawn_report made = plan.ports.empty() ? plan.to.spawn(plan.from, plan.request)
						     : make_published(world, plan);

	if (made.failure)
		return world.end(failure{status::broken, *made.failure});
	if (wanted) {
		if (const auto warm = warm_up(made.ids.front(), wanted, plan); !warm) {
			const auto killed = plan.to.control(operation::kill, made.ids);

			// One that has ended by itself stays for those who want to know why.
			if (killed && killed->front() == 0)
				static_cast<void>(plan.to.control(operation::remove, made.ids));
			return world.end(warm.error());
		}
	}
	tell_ids(world, plan.to, made.ids);
	return status::ok;
}

} // namespace

int verb_run(const context &world, const invocation &in)
{
	const bool detached = in.has("detach");
	wish wanted = CLI_TRY(world, parse_wish(in));
	launch plan = CLI_TRY(world,
			      prepare(world, in, 1, detached ? lone_ports::are_refused : lone_ports::have_a_proxy));

	CLI_TRY(world, check_wish(wanted, plan.to));

	const bool has_ports = !plan.ports.empty();

	if (has_ports && !in.has("net"))
		return run_behind_proxy(world, std::move(plan), std::move(wanted));

	const int result = detached ? run_detached(world, std::move(plan), std::move(wanted))
				    : run_attached(world, std::move(plan), std::move(wanted));

	// One that stays has been told of, and keeps its ports.
	if (has_ports && (!detached || result != status::ok))
		result == status::broken ? sweep_silently(world) : sweep_firewall(world);
	return result;
}

} // namespace vmctl::cli
