// SPDX-License-Identifier: Apache-2.0
// spawn and create: making VMs that stay.
#include "launch.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>

#include "find.hpp"
#include "place.hpp"
#include "screen.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace vmctl::cli
{

namespace
{

// While a large batch is made: a line that is drawn over itself on a terminal,
// and one for every tenth elsewhere.
class progress
{
public:
	enum class kind { none, bar, lines };

	progress(const context &world, kind shown) : world_(world), out_(world.err), shown_(shown) {}
	progress(const progress &) = delete;
	progress &operator=(const progress &) = delete;

	[[nodiscard]] bool is_shown() const { return shown_ != kind::none; }

	void draw(std::size_t done, std::size_t all)
	{
		if (shown_ == kind::bar)
			draw_bar(done, all);
		else if (10 * done / all > std::exchange(tenths_, 10 * done / all))
			out_.print("{:>{}} of {} VMs\n", done, std::to_string(all).size(), all);
		out_.flush();
	}

	~progress()
	{
		if (shown_ == kind::bar)
			out_.print("\r\033[K");
	}

private:
	// As wide as the terminal lets it be.
	void draw_bar(std::size_t done, std::size_t all)
	{
		constexpr std::size_t widest = 40;
		const std::size_t columns = screen_of(world_, STDERR_FILENO).columns;
		const std::size_t others = 2 * std::to_string(all).size() + std::string_view("[] /").size();
		const std::size_t width = std::min(columns - std::min(columns, others), widest);

		out_.print("\r{}", cut_to(columns, fmt::format("[{:<{}}] {}/{}\n", std::string(width * done / all, '#'),
							       width, done, all)));
	}

	const context &world_;
	stream &out_;
	kind shown_;
	std::size_t tenths_ = 0;
};

// Memory held while VMs are made and let go before we report: VMs are charged to
// our cgroup, and when they have filled it our next page fault would be the end of us.
class reserve
{
public:
	// Our code stays in memory too: the kernel would reclaim it first. Where that is
	// not allowed we take the risk.
	reserve()
	{
		// As much again is for ourselves: what the heap has, it keeps.
		::mallopt(M_TRIM_THRESHOLD, 1 << 30);
		::mallopt(M_MMAP_THRESHOLD, 16 << 20);
		{
			const std::vector<char> written(size, 1);

			asm volatile("" : : "r"(written.data()) : "memory"); // or it would be left out
		}
		static_cast<void>(::mlockall(MCL_CURRENT));
		bytes_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
				0);
	}
	// Not by munmap, which may split a mapping and takes memory for that.
	void let_go()
	{
		if (bytes_ != MAP_FAILED)
			static_cast<void>(::madvise(bytes_, size, MADV_DONTNEED));
	}

private:
	static constexpr std::size_t size = 1 << 20;

	void *bytes_ = MAP_FAILED;
};

// Makes `request.count` VMs. In one call, or in about fifty to show progress.
spawn_report spawn_all(const launch &plan, progress &shown)
{
	if (!shown.is_shown())
		return plan.to.spawn(plan.from, plan.request);

	const std::uint32_t count = plan.request.count;
	const std::uint32_t step = std::max(count / 50, 1u);
	spawn_report all;

	for (std::uint32_t done = 0; done < count && !all.failure; done += step) {
		spawn_request part = plan.request;

		part.count = std::min(step, count - done);
		if (part.first)
			part.first = *part.first + done;

		spawn_report made = plan.to.spawn(plan.from, part);

		all.ids.insert(all.ids.end(), made.ids.begin(), made.ids.end());
		all.failure = std::move(made.failure);
		shown.draw(all.ids.size(), count);
	}
	return all;
}

// What a new batch looks like: how many have run, and what they hold.
struct batch_view {
	std::uint64_t seen = 0, waiting = 0, private_bytes = 0;
};

result<batch_view> look_at(const device &to, std::span<const std::uint64_t> ids)
{
	batch_view view;
	auto next = ids.begin();

	for (const vm_info &row : VMCTL_TRY(to.list(ids.front(), ids.back()))) {
		next = std::lower_bound(next, ids.end(), row.id);
		if (next == ids.end() || *next != row.id)
			continue;
		view.seen++;
		view.private_bytes += row.private_bytes;
		view.waiting += row.state == vm_state::ready && row.exits == 0;
	}
	return view;
}

// Waits until all of a batch have run, if they were started.
result<batch_view> wait_until_run(const context &world, const device &to, std::vector<std::uint64_t> ids,
				  std::chrono::steady_clock::time_point start, bool started)
{
	using namespace std::chrono_literals;

	std::ranges::sort(ids);

	auto view = VMCTL_TRY(look_at(to, ids));

	for (int pause = 1; started && view.waiting > 0 && std::chrono::steady_clock::now() - start < 30s;
	     pause = std::min(2 * pause, 32)) {
		world.calls.poll({}, pause);
		view = VMCTL_TRY(look_at(to, ids));
	}
	return view;
}

// Says so once that "up" is true.
result<void> summarize(const context &world, const device &to, const std::vector<std::uint64_t> &ids,
		       std::chrono::steady_clock::time_point start, bool started)
{
	const auto view = VMCTL_TRY(wait_until_run(world, to, ids, start, started));
	const auto took = std::chrono::steady_clock::now() - start;
	const std::string late = started && view.waiting > 0 ? fmt::format(", {} of them still to run", view.waiting)
							     : "";

	world.err.print("{} {} in {}{}, {:.1f} KiB/VM\n", count_text(ids.size()), started ? "up" : "made",
			time_text(static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count())), late,
			static_cast<double>(view.private_bytes) / 1024 /
				static_cast<double>(std::max<std::uint64_t>(view.seen, 1)));
	return {};
}

outcome<found_image> find_operand(const context &world, const invocation &in, const outcome<device> &to)
{
	if (!in.operands.empty())
		return find_image(world, to, in.operands.front());

	auto bundled = find_bundled(world, default_image);

	if (!bundled)
		return std::unexpected(bundled.error());
	return std::move(*bundled);
}

} // namespace

bool tell_ids(const context &world, const device &to, std::span<const std::uint64_t> ids)
{
	// A reader that has gone must not end us before we have cleaned up.
	const handled_signals lasting(std::array{SIGPIPE}, SIG_IGN);

	for (const std::uint64_t id : ids)
		world.out.print("{}\n", id);
	if (world.out.flush())
		return true;
	static_cast<void>(to.control(operation::kill, ids));

	const auto removed = to.control(operation::remove, ids);
	const std::size_t left = !removed ? ids.size()
					  : static_cast<std::size_t>(std::ranges::count_if(*removed, [](int code) {
						    return code != 0 && code != ENOENT;
					    }));

	if (left < ids.size())
		world.complain({0, count_text(ids.size() - left) + " removed again: the ids could not be written"});
	if (left > 0)
		world.complain({EBUSY, count_text(left) + " could not be removed, nor the ids written",
				"'vmctl ps -a' shows all there are"});
	return false;
}

int tell_image(const context &world, const image &made, bool replaces)
{
	const auto info = made.info();

	if (!info)
		return world.end({status::broken, info.error()});

	const handled_signals lasting(std::array{SIGPIPE}, SIG_IGN);

	world.out.print("{}\n", info->id);
	// Nothing stays that nobody was told of.
	if (!world.out.flush() && !replaces)
		static_cast<void>(made.remove());
	return status::ok;
}

outcome<std::uint32_t> parse_count(const invocation &in)
{
	const auto text = in.value("number");

	if (!text)
		return 1u;

	const auto number = parse_number(*text);

	if (!number || *number == 0 || *number > UINT32_MAX)
		return bad_usage(fmt::format("-n {}: not a number from 1 to {}", *text, UINT32_MAX));
	return static_cast<std::uint32_t>(*number);
}

outcome<std::string> parse_name(const invocation &in, std::uint32_t count)
{
	const auto name = in.value("name");

	if (!name)
		return "";
	if (const auto judged = check_name(*name, count > 1 ? std::optional(count) : std::nullopt); !judged)
		return bad_usage(fmt::format("{}: {}", *name, judged.error().what));
	return *name;
}

outcome<std::optional<std::uint64_t>> parse_memory(const invocation &in)
{
	const auto text = in.value("memory");

	if (!text)
		return std::nullopt;

	const auto bytes = parse_size(*text);

	if (!bytes)
		return bad_usage(fmt::format("--memory {}: not a size such as 512K, 16M or 1.5G", *text));
	if (const auto judged = check_memory(*bytes); !judged)
		return bad_usage(fmt::format("--memory {}: {}", *text, judged.error().what));
	return bytes;
}

outcome<void> check_needs(const std::string &word, std::optional<std::uint64_t> memory, std::uint64_t least)
{
	if (memory && *memory < least)
		return give_up(status::not_startable,
			       {EINVAL, fmt::format("{}: needs at least {} of memory, not {}", word, size_text(least),
						    size_text(*memory))});
	return {};
}

outcome<spawn_request> parse_request(const invocation &in, std::uint32_t count)
{
	auto name = parse_name(in, count);
	auto memory = parse_memory(in);
	const auto arguments = check_arguments(in.arguments);
	spawn_request request;

	if (!name)
		return std::unexpected(name.error());
	if (!memory)
		return std::unexpected(memory.error());
	if (!arguments)
		return bad_usage(arguments.error().what);
	if (const auto places = check_places(in, count); !places)
		return std::unexpected(places.error());
	request.count = count;
	request.memory = *memory;
	request.arguments = in.arguments;
	request.name = std::move(*name);
	if (count > 1 && !request.name.empty())
		request.first = 1;
	return request;
}

outcome<void> judge(const context &world, const invocation &in, spawn_request &request, const device &to)
{
	const auto info = to.info();
	auto places = find_places(world, in);

	if (!info)
		return give_up(status::broken, info.error());
	if (request.memory)
		if (const auto fits = check_memory(*request.memory, info->memory_max); !fits)
			return bad_usage(fmt::format("--memory {}: {}", size_text(*request.memory), fits.error().what));
	// Before the table of ids takes memory by the gigabyte.
	if (const std::uint64_t most = std::min(info->max_vms, info->max_vms_user); request.count > most)
		return give_up(status::broken,
			       {EDQUOT, fmt::format("-n {}: the module's limit is {} VMs", request.count, most),
				"as root, write more to " +
					parameter_path(most == info->max_vms ? "max_vms" : "max_vms_user")});
	if (!places)
		return std::unexpected(places.error());
	request.places = *std::move(places);
	return {};
}

namespace
{

// What the command line says.
struct wish {
	std::string said;
	spawn_request request;
	std::vector<port_pair> ports;
};

// Mistakes in what was found show without a module.
outcome<launch> finish(const context &world, const invocation &in, wish wanted, outcome<device> to,
		       outcome<found_image> found)
{
	if (!found)
		return std::unexpected(found.error());

	const auto least = memory_needed(*found);

	if (!least)
		return std::unexpected(least.error());
	if (const auto enough = check_needs(wanted.said, wanted.request.memory, *least); !enough)
		return std::unexpected(enough.error());
	if (!to)
		return std::unexpected(to.error());
	if (const auto judged = judge(world, in, wanted.request, *to); !judged)
		return std::unexpected(judged.error());
	if (auto *loaded = std::get_if<image>(&*found))
		return launch{std::move(*to), std::move(*loaded), std::move(wanted.said), std::move(wanted.request),
			      std::move(wanted.ports)};

	auto from = load_file(*to, std::get<guest_file>(*found));

	if (!from)
		return std::unexpected(from.error());
	return launch{std::move(*to), std::move(*from), std::move(wanted.said), std::move(wanted.request),
		      std::move(wanted.ports)};
}

} // namespace

outcome<launch> prepare_image(const context &world, const invocation &in, const std::string &word)
{
	auto request = parse_request(in, 1);

	if (!request)
		return std::unexpected(request.error());

	auto to = open_device(world);

	if (!to && !is_module_missing(to.error()))
		return std::unexpected(to.error());

	auto found = find_image(world, to, word);

	return finish(world, in, {.said = word, .request = *std::move(request), .ports = {}}, std::move(to),
		      std::move(found));
}

outcome<launch> prepare(const context &world, const invocation &in, std::uint32_t count, lone_ports without_net)
{
	std::string word = in.operands.empty() ? default_image : in.operands.front();
	auto request = parse_request(in, count);
	auto ports = parse_publish(in, count, without_net);

	if (!ports)
		return std::unexpected(ports.error());
	// Shorter than CLI_TRY can be here: the failure goes to the caller.
	if (!request)
		return std::unexpected(request.error());

	auto to = open_device(world);

	if (!to && !is_module_missing(to.error()))
		return std::unexpected(to.error());

	auto found = find_operand(world, in, to);

	return finish(world, in, {.said = std::move(word), .request = *std::move(request), .ports = *std::move(ports)},
		      std::move(to), std::move(found));
}

outcome<void> open_ports(const context &world, const launch &plan, std::uint64_t id)
{
	const std::array ids{id};
	auto opened = publish(world, plan.to, id, plan.ports);

	if (!opened) {
		static_cast<void>(plan.to.control(operation::kill, ids));
		static_cast<void>(plan.to.control(operation::remove, ids));
	}
	return opened;
}

// Nobody ends us while there is a VM that nobody knows of, and that does not run.
spawn_report make_published(const context &world, launch &plan)
{
	const delayed_signals lasting(ending_signals);
	const bool start = std::exchange(plan.request.start, false);
	auto made = plan.to.spawn(plan.from, plan.request);

	if (made.failure)
		return made;
	if (const auto opened = open_ports(world, plan, made.ids.front()); !opened)
		return {.ids = {}, .failure = opened.error().cause};
	if (!start)
		return made;

	const auto started = plan.to.control(operation::start, made.ids);

	if (!started)
		made.failure = started.error();
	else if (const int code = started->front(); code != 0)
		made.failure = error{code, refusal(operation::start, code)};
	return made;
}

int make_all(const context &world, const invocation &in, launch plan, bool start)
{
	const std::uint32_t count = plan.request.count;
	const bool quiet = in.has("quiet");
	const auto wanted = quiet || count < 100    ? progress::kind::none
			    : world.err_is_terminal ? progress::kind::bar
			    : in.has("progress")    ? progress::kind::lines
						    : progress::kind::none;

	plan.request.start = start;

	const auto before = std::chrono::steady_clock::now();
	spawn_report made;
	std::optional<reserve> for_the_report;

	// One alone fills nothing that was not full.
	if (count > 1)
		for_the_report.emplace();
	{
		progress bar(world, wanted);

		made = plan.ports.empty() ? spawn_all(plan, bar) : make_published(world, plan);
	}
	// Those that still run would take what is let go.
	if (made.failure && !made.ids.empty())
		static_cast<void>(wait_until_run(world, plan.to, made.ids, before, start));
	if (for_the_report)
		for_the_report->let_go();

	const bool told = (world.out_is_terminal && !quiet) || tell_ids(world, plan.to, made.ids);

	if (!plan.ports.empty() && (made.failure || !told))
		sweep_silently(world);
	if (made.failure) {
		if (count > 1)
			made.failure->what = fmt::format("made {} of {}: {}", made.ids.size(), count,
							 made.failure->what);
		world.complain(*made.failure);
		return made.ids.empty() ? status::broken : status::some_failed;
	}
	tell_address(world, plan.to, plan.request, made.ids.front());
	if (quiet || !told)
		return status::ok;
	if (const auto summed = summarize(world, plan.to, made.ids, before, start); !summed)
		world.complain(summed.error());
	return status::ok;
}

int verb_spawn(const context &world, const invocation &in)
{
	const std::uint32_t count = CLI_TRY(world, parse_count(in));

	return make_all(world, in, CLI_TRY(world, prepare(world, in, count)), true);
}

int verb_create(const context &world, const invocation &in)
{
	const std::uint32_t count = CLI_TRY(world, parse_count(in));

	return make_all(world, in, CLI_TRY(world, prepare(world, in, count)), false);
}

} // namespace vmctl::cli
