// SPDX-License-Identifier: Apache-2.0
// vmctl stats: samples, what they say beside each other, and how they are shown.
#include "command_line.hpp"

#include <sstream>

#include <nlohmann/json.hpp>

#include "sample.hpp"

namespace
{

using namespace std::chrono_literals;
using vmctl::cli::reading;
using vmctl::cli::sample;

// --- paces --------------------------------------------------------------------

reading counted(std::uint64_t id, vmctl::cli::sample_clock::time_point taken, std::uint64_t cpu_ns, std::uint64_t exits)
{
	reading made{.taken = taken};

	made.stat.info.id = id;
	made.stat.info.cpu_ns = cpu_ns;
	made.stat.info.exits = exits;
	made.stat.exits[vmctl::exit_reason::cpuid] = exits;
	return made;
}

TEST(sample, paces_are_per_second_of_each_vms_own_time)
{
	const vmctl::cli::sample_clock::time_point start(100s);
	const sample before{start, {counted(1, start, 5'000'000'000, 70), counted(2, start + 500ms, 0, 0)}};
	sample now{start + 2s, {counted(2, start + 1s, 250'000'000, 10), counted(1, start + 2s, 7'000'000'000, 71)}};

	now.compare(before);
	EXPECT_DOUBLE_EQ(now.vms[0].speed->cpu_percent, 50);
	EXPECT_DOUBLE_EQ(now.vms[0].speed->exits, 20);
	EXPECT_DOUBLE_EQ(now.vms[0].speed->exits_by_reason[vmctl::exit_reason::cpuid], 20);
	EXPECT_DOUBLE_EQ(now.vms[0].speed->exits_by_reason[vmctl::exit_reason::hlt], 0);
	EXPECT_DOUBLE_EQ(now.vms[1].speed->cpu_percent, 100);
	EXPECT_DOUBLE_EQ(now.vms[1].speed->exits, 0.5);
}

TEST(sample, a_vm_made_since_started_from_zero)
{
	const vmctl::cli::sample_clock::time_point start(100s);
	const sample before{start, {counted(1, start, 1'000'000, 3)}};
	sample now{start + 4s, {counted(2, start + 4s, 1'000'000'000, 8)}};

	now.compare(before);
	EXPECT_DOUBLE_EQ(now.vms[0].speed->cpu_percent, 25);
	EXPECT_DOUBLE_EQ(now.vms[0].speed->exits, 2);
}

TEST(sample, no_time_is_no_pace)
{
	const vmctl::cli::sample_clock::time_point start(100s);
	const sample before{start, {counted(1, start, 0, 0)}};
	sample now{start, {counted(1, start, 1, 1)}};

	now.compare(before);
	EXPECT_EQ(now.vms[0].speed->cpu_percent, 0);
	EXPECT_EQ(now.vms[0].speed->exits, 0);
}

// --- whole command lines ------------------------------------------------------

class stats_test : public command_line
{
protected:
	std::vector<std::string> lines() const
	{
		std::istringstream text(out);
		std::vector<std::string> made;

		for (std::string line; std::getline(text, line);)
			made.push_back(line);
		return made;
	}

	// The words of the line that has `word` among them.
	std::vector<std::string> line_with(const std::string &word) const
	{
		for (const std::string &line : lines()) {
			std::istringstream text(line);
			const std::vector<std::string> words{std::istream_iterator<std::string>(text), {}};

			if (std::ranges::count(words, word) > 0)
				return words;
		}
		return {};
	}

	void add_many(int count)
	{
		for (int i = 0; i < count; i++)
			fake.add("vm" + std::to_string(i + 1));
	}

	// While the next `waits.size()` samples are waited for.
	void script(std::vector<std::function<void()>> waits)
	{
		fake.while_waiting = [waits, next = std::size_t{0}]() mutable { waits.at(next++)(); };
	}
};

TEST_F(stats_test, a_table_of_one_sample)
{
	auto &row = fake.add("one", MAYFLY_RUNNING);

	row.cpu_ns = 12'300'000;
	fake.counters[1].parked = 7;
	ASSERT_EQ(run({"stats", "--no-stream"}), 0);
	EXPECT_EQ(lines().at(0), "ID  NAME  STATE    CPU %  CPU TIME          MEM / LIMIT  EXITS  EXITS/s  PARKS");
	EXPECT_EQ(lines().at(1), " 1  one   running    0.0   12.3 ms  36.0 KiB / 16.0 MiB      3      0.0      7");
	EXPECT_EQ(lines().size(), 2u); // no total of one
	EXPECT_EQ(err, "");
	EXPECT_TRUE(fake.open_fds.empty());
}

TEST_F(stats_test, several_are_added_up)
{
	fake.add("one").exits = 40;
	fake.add("two").exits = 2;
	fake.counters[1].parked = 5;
	fake.counters[2].parked = 6;
	ASSERT_EQ(run({"stats", "--no-stream"}), 0);
	EXPECT_EQ(line_with("TOTAL"), (std::vector<std::string>{"TOTAL", "2", "VMs", "0.0", "0", "ns", "72.0", "KiB",
								"/", "32.0", "MiB", "42", "0.0", "11"}));
}

TEST_F(stats_test, what_moved_between_two_samples_has_a_pace)
{
	fake.add("busy");
	fake.add("idle");
	script({[&] {
		fake.find(1)->cpu_ns += 1'000'000'000;
		fake.find(1)->exits += 1000;
	}});
	ASSERT_EQ(run({"stats", "--no-stream", "--json"}), 0);

	const auto rows = nlohmann::json::parse(out);

	EXPECT_GT(rows[0]["cpu_percent"], 0.0);
	EXPECT_GT(rows[0]["exits_per_second"], 0.0);
	EXPECT_EQ(rows[0]["exits"], 1003);
	EXPECT_EQ(rows[1]["cpu_percent"], 0.0);
	EXPECT_EQ(rows[1]["exits_per_second"], 0.0);
}

TEST_F(stats_test, json_is_inspects_with_paces)
{
	fake.add("one");
	fake.counters[1].exits_by[MAYFLY_EXIT_HYPERCALL] = 3;
	fake.counters[1].guest_pages = 2;
	ASSERT_EQ(run({"inspect", "one"}), 0);

	auto expected = nlohmann::json::parse(out);

	expected[0]["cpu_percent"] = 0.0;
	expected[0]["exits_per_second"] = 0.0;
	ASSERT_EQ(run({"stats", "--no-stream", "--json"}), 0);
	EXPECT_EQ(nlohmann::json::parse(out), expected);
	EXPECT_EQ(expected[0]["exits_by_reason"]["hypercall"], 3);
}

TEST_F(stats_test, exits_by_reason_with_totals)
{
	fake.add("one").exits = 8;
	fake.add("two").exits = 1;
	fake.counters[1].exits_by[MAYFLY_EXIT_INTERRUPT] = 1;
	fake.counters[1].exits_by[MAYFLY_EXIT_CPUID] = 7;
	fake.counters[2].exits_by[MAYFLY_EXIT_CPUID] = 1;
	ASSERT_EQ(run({"stats", "--no-stream", "--exits"}), 0);
	EXPECT_EQ(line_with("NAME"),
		  (std::vector<std::string>{"ID", "NAME", "EXITS", "EXITS/s", "INTERRUPT", "HYPERCALL", "CPUID", "HLT",
					    "MSR", "MEMORY", "DENIED", "EXCEPTION", "SHUTDOWN", "INVALID"}));
	EXPECT_EQ(line_with("one"),
		  (std::vector<std::string>{"1", "one", "8", "0.0", "1", "0", "7", "0", "0", "0", "0", "0", "0", "0"}));
	EXPECT_EQ(line_with("TOTAL"),
		  (std::vector<std::string>{"TOTAL", "9", "0.0", "1", "0", "8", "0", "0", "0", "0", "0", "0", "0"}));
	EXPECT_EQ(line_with("SECOND").size(), 13u);
	EXPECT_EQ(lines().size(), 5u);
}

TEST_F(stats_test, shows_those_that_have_not_ended_or_are_named_or_all)
{
	fake.add("one");
	fake.end(fake.add("two"), MAYFLY_END_EXITED);
	ASSERT_EQ(run({"stats", "--no-stream"}), 0);
	EXPECT_EQ(line_with("two").size(), 0u);
	ASSERT_EQ(run({"stats", "--no-stream", "-a"}), 0);
	EXPECT_EQ(line_with("two").at(2), "ended");
	EXPECT_EQ(line_with("one").at(2), "parked");
	ASSERT_EQ(run({"stats", "--no-stream", "two"}), 0);
	EXPECT_EQ(line_with("two").at(2), "ended");
	EXPECT_EQ(line_with("one").size(), 0u);
}

TEST_F(stats_test, names_that_mean_nothing)
{
	fake.add("one");
	EXPECT_EQ(run({"stats", "nothing"}), 1);
	EXPECT_EQ(err, "vmctl: stats: nothing: no such VM\n");
	EXPECT_EQ(out, "");
	EXPECT_EQ(run({"stats", "--no-stream", "nothing", "one"}), 1);
	EXPECT_EQ(err, "vmctl: stats: nothing: no such VM\n");
	EXPECT_EQ(line_with("one").size(), 14u);
}

TEST_F(stats_test, bad_intervals)
{
	for (const char *text : {"0", "0.05", "-1", "x", "", "1s", "86401", "99999999999999999999"}) {
		EXPECT_EQ(run({"stats", "-i", text}), 2) << text;
		EXPECT_EQ(err.substr(0, err.find('\n')), std::string("vmctl: stats: --interval ") + text +
								 ": not a number of seconds from 0.1 to 86400");
	}
	EXPECT_EQ(fake.calls.size(), 0u);
}

TEST_F(stats_test, streams_until_the_named_have_ended)
{
	fake.add("one");
	fake.add("other");
	script({[] {}, [] {}, [&] { fake.end(*fake.find(1), MAYFLY_END_EXITED); }});
	ASSERT_EQ(run({"stats", "one"}), 0);
	EXPECT_EQ(lines().size(), 8u); // three blocks of two, an empty line between
	EXPECT_EQ(lines().at(2), "");
	EXPECT_EQ(lines().at(0), lines().at(3));
	EXPECT_NE(lines().at(7).find("ended"), std::string::npos);
	EXPECT_EQ(out.find('\033'), std::string::npos);
}

TEST_F(stats_test, streams_until_the_named_are_gone)
{
	fake.add("one");
	script({[&] { fake.vms.clear(); }});
	ASSERT_EQ(run({"stats", "one", "--json"}), 0);
	EXPECT_EQ(out, "[]\n");
}

TEST_F(stats_test, a_json_array_a_sample)
{
	fake.add("one");
	script({[] {}, [&] { fake.end(*fake.find(1), MAYFLY_END_KILLED); }});
	ASSERT_EQ(run({"stats", "one", "--json"}), 0);

	std::istringstream text(out);
	nlohmann::json first, second;

	text >> first >> second;
	EXPECT_EQ(first[0]["state"], "parked");
	EXPECT_EQ(second[0]["reason"], "killed");
	text >> std::ws;
	EXPECT_TRUE(text.eof());
}

TEST_F(stats_test, vms_come_and_go_while_it_streams)
{
	fake.add("web-1");
	fake.add("web-2");
	fake.add("database");
	script({[&] { fake.add("web-3"); }, [&] { fake.vms.erase(fake.vms.begin()); }, [&] { fake.vms.clear(); },
		[&] { fake.list_error = EIO; }});
	EXPECT_EQ(run({"stats", "web-*"}), 125);
	EXPECT_EQ(err, "vmctl: stats: listing VMs: Input/output error\n");

	std::vector<std::size_t> names;

	for (const std::string &line : lines()) {
		if (line.empty())
			names.push_back(0);
		else if (line.find("NAME") != std::string::npos)
			names.resize(std::max<std::size_t>(names.size(), 1));
		else
			names.back() += line.find("web-") != std::string::npos;
	}
	EXPECT_EQ(names, (std::vector<std::size_t>{3, 2, 0}));
	EXPECT_EQ(out.find("database"), std::string::npos);
}

TEST_F(stats_test, a_name_goes_on_to_mean_the_same_vm)
{
	fake.add("web-1");
	// Now "web" could be either, and the old one's name is another's.
	script({[&] { fake.add("web-2"); },
		[&] {
			fake.vms.erase(fake.vms.begin());
			fake.add("web-1");
		}});
	ASSERT_EQ(run({"stats", "web"}), 0);
	EXPECT_EQ(err, "");
	EXPECT_EQ(line_with("web-2").size(), 0u);
	EXPECT_EQ(lines().size(), 4u); // a block with it, and one without
}

TEST_F(stats_test, what_goes_between_list_and_open_is_left_out)
{
	for (const char *way : {"--exits", "--json", "--no-stream"}) {
		fake.vms.clear();
		fake.add("one");
		fake.add("two");

		const std::uint64_t second = fake.vms[1].id;

		fake.before_open = [&](std::uint64_t id) {
			if (id == second)
				std::erase_if(fake.vms, [&](const auto &row) { return row.id == second; });
		};
		EXPECT_EQ(run({"stats", "--no-stream", way == std::string("--no-stream") ? "-a" : way}), 0) << way;
		EXPECT_EQ(err, "");
		EXPECT_NE(out.find("one"), std::string::npos);
		EXPECT_EQ(out.find("two"), std::string::npos) << out;
	}
}

// --- on a terminal --------------------------------------------------------------

TEST_F(stats_test, draws_over_itself_on_a_terminal)
{
	terminal = true;
	fake.add("one");
	script({[] {}, [&] { fake.end(*fake.find(1), MAYFLY_END_EXITED); }});
	ASSERT_EQ(run({"stats", "one"}), 0);
	EXPECT_TRUE(out.starts_with("\033[2J\033[HID  NAME  STATE"));
	EXPECT_EQ(out.find("\033[2J", 1), std::string::npos);

	// The first frame knows no paces; it does not keep its user waiting for them.
	const std::string first = out.substr(0, out.find("\033[J"));

	EXPECT_NE(first.find("parked      -"), std::string::npos) << first;
	EXPECT_EQ(std::ranges::count(out, '\n'), 6);
	EXPECT_TRUE(out.ends_with("\033[K\n\033[J"));
}

TEST_F(stats_test, a_screenful_of_the_busiest_and_only_those_are_asked)
{
	terminal = true;
	add_many(1000);
	script({[&] {
		fake.find(500)->cpu_ns += 5'000'000;
		fake.find(900)->cpu_ns += 9'000'000;
		fake.find(700)->exits += 1;
	}});
	ASSERT_EQ(run({"stats", "--no-stream"}), 0);
	ASSERT_EQ(lines().size(), 23u); // titles, 20 VMs, the totals, and how many more
	EXPECT_EQ(lines()[1].find("900  vm900 "), 0u) << lines()[1];
	EXPECT_EQ(lines()[2].find("500  vm500 "), 0u) << lines()[2];
	EXPECT_EQ(lines()[3].find("700  vm700 "), 0u) << lines()[3];
	EXPECT_EQ(lines()[4].find("  1  vm1 "), 0u) << lines()[4];
	EXPECT_EQ(lines()[22], "… 980 more, less busy (--json shows them)");
	EXPECT_EQ(line_with("TOTAL").at(1), "1000");
	EXPECT_EQ(line_with("TOTAL").back(), "-");
	EXPECT_EQ(fake.calls[MAYFLY_LIST], 2);
	EXPECT_EQ(fake.calls[MAYFLY_STAT], 20);
}

TEST_F(stats_test, the_screen_is_as_large_as_it_is_now)
{
	terminal = true;
	fake.terminal = {.ws_row = 12, .ws_col = 31, .ws_xpixel = 0, .ws_ypixel = 0};
	add_many(100);
	fake.end(*fake.find(1), MAYFLY_END_EXITED);
	script({[&] {
		for (auto &row : fake.vms)
			row.state = MAYFLY_ENDED;
		fake.terminal.ws_row = 8;
	}});

	// Named one by one, so that it ends.
	std::vector<std::string> names;
	std::vector<const char *> words{"stats", "--exits"};

	for (int i = 1; i <= 100; i++)
		names.push_back(std::to_string(i));
	for (const std::string &name : names)
		words.push_back(name.c_str());
	ASSERT_EQ(run(words), 0);

	const std::string first = out.substr(0, out.find("\033[J")), second = out.substr(first.size());

	EXPECT_EQ(std::ranges::count(first, '\n'), 10); // titles, 7 VMs, totals, more; no paces yet
	EXPECT_EQ(std::ranges::count(second, '\n'), 7); // one less than the screen has
	for (std::string line : lines()) {
		for (const char *code : {"\033[2J", "\033[H", "\033[J", "\033[K"})
			if (const std::size_t at = line.find(code); at != std::string::npos)
				line.erase(at, std::strlen(code));
		EXPECT_LE(std::ranges::count_if(line, [](char c) { return (c & 0xc0) != 0x80; }), 30) << line;
	}
}

TEST_F(stats_test, ten_thousand_take_few_calls)
{
	terminal = true;
	add_many(10'000);
	ASSERT_EQ(run({"stats", "--no-stream"}), 0);
	EXPECT_EQ(fake.calls[MAYFLY_LIST], 4); // two a sample
	EXPECT_EQ(fake.calls[MAYFLY_STAT], 20);
	EXPECT_TRUE(fake.open_fds.empty());
}

} // namespace
