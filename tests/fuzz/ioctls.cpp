// SPDX-License-Identifier: Apache-2.0
//
// Calls that nobody would make: programs of them, on descriptors that are shared,
// replaced and closed meanwhile. Where the kernel tells which code a program has
// come to, those that came to new code are kept and changed.

#include <algorithm>
#include <barrier>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>
#include <unordered_set>

#include <grp.h>
#include <sys/resource.h>

#include "device.hpp"
#include "lane.hpp"

namespace
{

using namespace fuzz;
using live::fd;

/// So many programs are made before everything must be gone.
constexpr std::uint64_t programs_of_a_stretch = 256;
constexpr uid_t nobody = 65534;

struct settings : options {
	bool user = false;
	std::string corpus;  ///< folder
	std::string program; ///< one to do again, by its lineage
	std::size_t steps = usual_steps;
};

void fail(const std::string &what)
{
	throw broken_rule(what);
}

/// Threads that do the lanes of one program after the other.
class crew final
{
public:
	crew(commons &shared, watchdog &dog)
	{
		for (std::size_t i = 0; i < max_lanes; i++)
			lanes_.push_back(std::make_unique<lane>(shared, dog.post_of(i)));
		for (std::size_t i = 0; i < max_lanes; i++)
			threads_.emplace_back([this, i] { work(i); });
	}
	~crew()
	{
		now_ = nullptr;
		begin_.arrive_and_wait();
	}
	crew(const crew &) = delete;
	crew &operator=(const crew &) = delete;

	void run(const program &p)
	{
		now_ = &p;
		begin_.arrive_and_wait();
		end_.arrive_and_wait();
		for (const auto &one : lanes_)
			if (!one->failure().empty())
				fail(one->failure());
	}
	/// Addresses that nothing had come to before.
	std::size_t learn(const program &p, std::unordered_set<std::uint64_t> &known) const
	{
		const std::size_t before = known.size();

		for (std::size_t i = 0; i < p.lanes.size(); i++)
			for (const std::uint64_t place : lanes_[i]->coverage().seen())
				known.insert(place);
		return known.size() - before;
	}
	[[nodiscard]] bool is_guided() const { return lanes_.front()->coverage().works(); }
	[[nodiscard]] answers seen() const
	{
		answers all;

		for (const auto &one : lanes_)
			all.add(one->seen());
		return all;
	}

private:
	void work(std::size_t number)
	{
		lane &mine = *lanes_[number];

		mine.enter();
		for (;;) {
			begin_.arrive_and_wait();
			const program *const p = now_;

			if (!p)
				break;
			if (number < p->lanes.size())
				mine.run(p->lanes[number]);
			end_.arrive_and_wait();
		}
		mine.leave();
	}

	std::barrier<> begin_{max_lanes + 1}, end_{max_lanes + 1};
	const program *now_ = nullptr;
	std::vector<std::unique_ptr<lane>> lanes_;
	std::vector<std::jthread> threads_;
};

/// Programs worth changing, kept in a file of the folder between runs.
class corpus final
{
public:
	corpus(std::string folder, std::uint64_t seed)
		: file_(folder.empty() ? "" : folder + "/" + std::to_string(seed))
	{
		std::ifstream file(file_);

		for (std::string line; std::getline(file, line);)
			all_.push_back(parse_lineage(line));
	}
	static lineage parse_lineage(const std::string &text)
	{
		std::istringstream stream(text);
		lineage line;

		for (std::string number; std::getline(stream, number, '.');)
			line.push_back(std::stoull(number));
		return line;
	}

	[[nodiscard]] std::size_t size() const { return all_.size(); }
	[[nodiscard]] const lineage &at(std::size_t i) const { return all_[i]; }
	void add(const lineage &line)
	{
		all_.push_back(line);
		if (!file_.empty())
			std::ofstream(file_, std::ios::app) << to_string(line) << '\n';
	}

private:
	std::string file_;
	std::vector<lineage> all_;
};

class fuzzer final
{
public:
	explicit fuzzer(const settings &s)
		: given_(s), progress_("fuzz-ioctls", given_), corpus_(s.corpus, s.seed),
		  watchdog_(std::chrono::seconds(s.patience), [this](std::uint64_t) { return replay(); })
	{
		if (device_.get() < 0)
			fail(fmt::format("{}: {}", MAYFLY_DEVICE, strerror(errno)));
		// The guests that spin should not take most of the time.
		if (setpriority(PRIO_PROCESS, 0, -19))
			fmt::print(stderr, "# fuzz-ioctls: no priority: {}\n", strerror(errno));
		if (s.user)
			enter_network_of(nobody);
		crew_.emplace(shared_, watchdog_);
		if (s.user)
			become_nobody();
		fmt::print(stderr, "# fuzz-ioctls: {}\n",
			   crew_->is_guided() ? "guided by the kernel's coverage" : "blind: this kernel has no KCOV");
	}

	void run()
	{
		const auto began = std::chrono::steady_clock::now();

		if (!given_.program.empty()) {
			now_ = corpus::parse_lineage(given_.program);
			keep_a_pool();
			one_program();
			let_it_go();
			return;
		}
		for (next_ = given_.start; !given_.is_over(next_, began);) {
			keep_a_pool();
			for (std::uint64_t i = 0; i < programs_of_a_stretch && !given_.is_over(next_, began); i++) {
				choose();
				progress_.at(next_, next_, fmt::format(" program {}", to_string(now_)));
				one_program();
				next_++;
			}
			let_it_go();
		}
	}

	[[nodiscard]] std::string replay() const
	{
		return fmt::format("build/tests/fuzz-ioctls --seed {} --steps {} --program {}{}", given_.seed,
				   given_.steps, to_string(now_), given_.user ? " --user" : "");
	}
	void report(double seconds) const
	{
		const answers seen = crew_->seen();

		if (given_.json)
			fmt::print(
				"{{\"seed\":{},\"programs\":{},\"ioctls\":{},\"seconds\":{:.1f},\"places\":{},\"corpus\":{},"
				"\"digest\":\"{:016x}\",\"answers\":{}}}\n",
				given_.seed, done_, seen.ioctls(), seconds, places_.size(), corpus_.size(),
				digest_.value(), seen.to_json());
		else
			fmt::print(
				"{} programs, {} ioctls in {:.1f} s, {:.0f} ioctls a second\n{}  places {}, programs kept {}\n"
				"  digest {:016x}\n",
				done_, seen.ioctls(), seconds, static_cast<double>(seen.ioctls()) / seconds,
				seen.to_text(), places_.size(), corpus_.size(), digest_.value());
	}

private:
	static void become_nobody()
	{
		// Without its effects on /proc, which the watchdog's report does not need.
		if (setgroups(0, nullptr) || setresgid(nobody, nobody, nobody) || setresuid(nobody, nobody, nobody))
			fail(fmt::format("cannot become nobody: {}", strerror(errno)));
	}

	/// A program of its own, or one of those kept, changed once more.
	void choose()
	{
		fuzz::random r(given_.seed, 6, next_);

		now_.clear();
		if (corpus_.size() && r.chance(75))
			now_ = corpus_.at(r.below(corpus_.size()));
		if (now_.size() >= max_lineage)
			now_.clear();
		now_.push_back(next_);
	}

	void one_program()
	{
		const program p = make_program(given_.seed, now_, given_.steps);

		for (const std::vector<step> &lane : p.lanes)
			for (const step &s : lane) {
				digest_.add_value(s.call);
				digest_.add_value(s.dice);
			}
		shared_.index = next_;
		set_up();
		crew_->run(p);
		if (crew_->learn(p, places_))
			corpus_.add(now_);
		clean_up();
		done_++;
	}

	int make_image(small_guest which)
	{
		mayfly_image_create create = image_of(memory_, small_guests[which]);
		const int made = live::create_image(device_, create);

		if (made < 0)
			fail(fmt::format("IMAGE_CREATE of a good image answered {}", made));
		return made;
	}
	int make_vm(int image, std::uint32_t flags)
	{
		mayfly_spawn spawn{};
		std::uint64_t id = 0;

		spawn.image = image;
		spawn.flags = flags;
		spawn.count = 1;
		spawn.memory = 1 << 20;
		spawn.ids = live::address(&id);
		if (const int ret = live::call(device_, MAYFLY_SPAWN, &spawn))
			fail(fmt::format("SPAWN of a good VM answered {}", ret));
		shared_.last_id = id;
		return spawn.fd;
	}

	/// One VM keeps the pool and its workers while programs come and go.
	void keep_a_pool()
	{
		image_ = fd(make_image(guest_waits));
		spinning_image_ = fd(make_image(guest_spins));
		ending_image_ = fd(make_image(guest_exits));
		make_keeper();

		const fd fresh(make_vm(image_.get(), 0));

		if (const int ret = live::get_state(fresh, shared_.start))
			fail(fmt::format("GET_STATE of a fresh VM answered {}", ret));
	}
	void make_keeper()
	{
		keeper_ = fd(make_vm(image_.get(), MAYFLY_SPAWN_START));
		keeper_id_ = shared_.last_id;
		if (!live::eventually([&] { return stat_of(keeper_).state == MAYFLY_PARKED; }, given_.patience))
			fail("a guest that waits has not parked");
		keepers_image_ = stat_of(keeper_).image_id;
	}
	[[nodiscard]] mayfly_vm_info stat_of(const fd &vm) const
	{
		mayfly_vm_info stat{};

		if (const int ret = live::call_row(vm, MAYFLY_STAT, stat))
			fail(fmt::format("STAT answered {}", ret));
		return stat;
	}
	void let_it_go()
	{
		keeper_.reset();
		image_.reset();
		spinning_image_.reset();
		ending_image_.reset();

		mayfly_info left{};

		if (!live::eventually(
			    [&] {
				    left = info(device_);
				    return !left.vms && !left.images && !left.pages && !left.bytes && !left.pools;
			    },
			    given_.patience))
			fail(fmt::format("at the end are left: VMs {}, images {}, pages {}, bytes {}, pools {}",
					 left.vms, left.images, left.pages, left.bytes, left.pools));
	}

	void set_up()
	{
		for (std::atomic<int> &one : shared_.descriptors)
			one = -1;
		shared_.descriptors[slot_device] = fcntl(device_.get(), F_DUPFD_CLOEXEC, 3);
		shared_.descriptors[slot_image] = fcntl(image_.get(), F_DUPFD_CLOEXEC, 3);
		shared_.descriptors[slot_fresh] = make_vm(image_.get(), 0);
		shared_.descriptors[slot_waiting] = make_vm(image_.get(), MAYFLY_SPAWN_START);
		shared_.descriptors[slot_spinning] = make_vm(spinning_image_.get(), MAYFLY_SPAWN_START);
		shared_.descriptors[slot_ended] = make_vm(ending_image_.get(), MAYFLY_SPAWN_START);
		int ends[2];

		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
			fail(strerror(errno));
		close(ends[1]);
		shared_.descriptors[slot_pipe] = ends[0];
		shared_.descriptors[slot_null] = open("/dev/null", O_RDWR | O_CLOEXEC);
	}

	/// After it, all is as before the program.
	void clean_up()
	{
		const watchdog::guard guard(watchdog_.post_of(max_lanes), "cleaning up", shared_.index);

		for (std::atomic<int> &one : shared_.descriptors)
			if (one >= 0)
				close(one);
		mayfly_info left{};
		const mayfly_vm_info keeper = stat_of(keeper_);
		// Ended, or made from another image by a snapshot.
		const bool spoiled = keeper.state == MAYFLY_ENDED || keeper.image_id != keepers_image_;

		if (spoiled)
			keeper_.reset();
		if (!live::eventually(
			    [&] {
				    remove_demands();
				    remove_all();
				    remove_names();
				    left = info(device_);
				    return left.vms == !spoiled && left.images == 3;
			    },
			    given_.patience))
			fail(fmt::format("after the program are left: VMs {} and images {}, not {:d} and 3", left.vms,
					 left.images, !spoiled));
		if (spoiled)
			make_keeper();
	}

	/// Up to \p most rows that a LIST call has.
	template <class Row> std::vector<Row> list(unsigned long request, const char *name, std::size_t most) const
	{
		std::vector<Row> rows(most);
		mayfly_list list{};

		list.rows = live::address(rows.data());
		list.row_size = sizeof(Row);
		list.count = static_cast<std::uint32_t>(rows.size());
		if (const int ret = live::call(device_, request, &list))
			fail(fmt::format("{} answered {}", name, ret));
		rows.resize(list.count);
		return rows;
	}
	/// So that no packet that is still on its way makes a VM.
	void remove_demands() const
	{
		for (const auto &row : list<mayfly_demand_info>(MAYFLY_DEMAND_LIST, "DEMAND_LIST", 64)) {
			mayfly_demand_remove args{};

			args.id = row.id;
			live::call(device_, MAYFLY_DEMAND_REMOVE, &args);
		}
	}
	/// The detached ones.
	void remove_all()
	{
		std::vector<std::uint64_t> ids;

		for (const auto &row : list<mayfly_vm_info>(MAYFLY_LIST, "LIST", 256))
			if (row.id != keeper_id_)
				ids.push_back(row.id);
		for (const std::uint32_t op : {MAYFLY_OP_KILL, MAYFLY_OP_REMOVE})
			control(op, ids);
	}
	/// What programs have given to images.
	void remove_names() const
	{
		for (const auto &row : list<mayfly_image_info>(MAYFLY_IMAGE_LIST, "IMAGE_LIST", 64)) {
			mayfly_open open{};

			open.id = row.id;
			if (row.name[0] && !live::call(device_, MAYFLY_IMAGE_OPEN, &open))
				live::call<void>(fd(open.fd), MAYFLY_IMAGE_REMOVE, nullptr);
		}
	}
	void control(std::uint32_t op, std::span<const std::uint64_t> ids)
	{
		mayfly_control control{};

		control.op = op;
		control.ids = live::address(ids.data());
		control.count = static_cast<std::uint32_t>(ids.size());
		if (ids.empty())
			return;
		if (const int ret = live::call(device_, MAYFLY_CONTROL, &control))
			fail(fmt::format("CONTROL {} answered {}", op, ret));
	}

	settings given_;
	progress progress_;
	lineage now_;
	corpus corpus_;
	commons shared_;
	watchdog watchdog_;
	fd device_ = live::open_device();
	arena memory_;
	fd image_, spinning_image_, ending_image_, keeper_;
	std::uint64_t keeper_id_ = 0, keepers_image_ = 0, next_ = 0, done_ = 0;
	std::unordered_set<std::uint64_t> places_;
	digest digest_;
	std::optional<crew> crew_;
};

bool read_options(int argc, char **argv, settings &s)
{
	auto described = describe(s);
	auto add = described.add_options();

	add("user", boost::program_options::bool_switch(&s.user),
	    "as nobody, with the device opened before and a network namespace of his own");
	add("corpus", boost::program_options::value(&s.corpus), "folder that keeps programs between runs");
	add("steps", boost::program_options::value(&s.steps), "calls of a thread, at most (60)");
	add("program", boost::program_options::value(&s.program), "only this one, by its lineage");
	if (!parse(argc, argv, described, s))
		return false;
	if (s.steps < 5)
		throw boost::program_options::error("--steps takes 5 and more");
	return true;
}

}

int main(int argc, char **argv)
{
	settings given;

	try {
		if (!read_options(argc, argv, given))
			return 0;
	} catch (const boost::program_options::error &error) {
		fmt::print(stderr, "fuzz-ioctls: {}\n", error.what());
		return 2;
	}
	fuzz::interrupter::prepare();
	std::optional<fuzzer> all;

	try {
		const auto began = std::chrono::steady_clock::now();

		all.emplace(given);
		all->run();
		all->report(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
	} catch (const fuzz::broken_rule &rule) {
		fmt::print(stderr, "FAILED: {}\n{}\n", rule.what(), all ? all->replay() : "");
		return 1;
	}
	return 0;
}
