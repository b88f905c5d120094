// SPDX-License-Identifier: Apache-2.0
// Whole command lines over a pretended module: what all of them have in common.
#include "command_line.hpp"

namespace
{

class verbs_test : public command_line
{};

TEST_F(verbs_test, help_comes_in_every_way)
{
	EXPECT_EQ(run({}), 0);
	EXPECT_NE(out.find("vmctl spawn -n 1000"), std::string::npos);
	EXPECT_EQ(run({"--help"}), 0);
	EXPECT_EQ(run({"help"}), 0);
	EXPECT_NE(out.find("Life of a VM"), std::string::npos);

	ASSERT_EQ(run({"help", "spawn"}), 0);
	const std::string text = out;

	EXPECT_NE(text.find("--number N"), std::string::npos);
	for (const auto &words : {std::initializer_list<const char *>{"spawn", "--help"},
				  {"spawn", "-h"},
				  {"--help", "spawn"},
				  {"spawn", "-n", "5", "--help", "hello"},
				  {"spawn", "--help", "--", "--help"}}) {
		EXPECT_EQ(run(words), 0);
		EXPECT_EQ(out, text);
	}
	EXPECT_EQ(fake.calls.size(), 0u);
}

TEST_F(verbs_test, help_after_dashes_is_the_guests)
{
	EXPECT_EQ(run({"spawn", "-q", "--", "--help", "-n", "7"}), 0);
	EXPECT_EQ(fake.spawn_arguments.at(0), std::string("--help\0-n\0"
							  "7\0",
							  12));
	EXPECT_EQ(fake.spawns.at(0).count, 1u);
}

TEST_F(verbs_test, unknown_verbs_get_a_guess)
{
	EXPECT_EQ(run({"sapwn"}), 2);
	EXPECT_EQ(err, "vmctl: sapwn: no such command; did you mean 'spawn'?\n");
	EXPECT_EQ(run({"frobnicate"}), 2);
	EXPECT_EQ(err, "vmctl: frobnicate: no such command; 'vmctl help' lists them\n");
	EXPECT_EQ(run({"help", "strat"}), 2);
	EXPECT_NE(err.find("did you mean 'start'?"), std::string::npos);
	EXPECT_EQ(run({"-x"}), 2);
	EXPECT_EQ(run({"--", "ps"}), 2);
}

TEST_F(verbs_test, aliases_do_the_same)
{
	fake.add("one");
	for (const char *alias : {"ps", "ls", "list", "status", "show"}) {
		EXPECT_EQ(run({alias, "-q"}), 0) << alias;
		EXPECT_EQ(out, "1\n") << alias;
	}
	EXPECT_EQ(run({"suspend", "1"}), 0);
	EXPECT_EQ(run({"resume", "1"}), 0);
	EXPECT_EQ(run({"undefine", "1"}), 1); // as rm does while it lives
	EXPECT_EQ(run({"destroy", "1"}), 0);
	ASSERT_EQ(fake.vms.size(), 1u);
	EXPECT_EQ(fake.vms[0].reason, unsigned{MAYFLY_END_KILLED});
	EXPECT_EQ(run({"undefine", "1"}), 0);
	EXPECT_TRUE(fake.vms.empty());
}

TEST_F(verbs_test, options_before_the_verb_count)
{
	EXPECT_EQ(run({"--json", "ps"}), 0);
	EXPECT_EQ(out, "[]\n");
}

TEST_F(verbs_test, bad_options_are_usage_errors)
{
	for (const auto &words : {std::initializer_list<const char *>{"ps", "--bogus"},
				  {"ps", "--js"}, // no guessing
				  {"ps", "-n", "3"},
				  {"spawn", "-n"},
				  {"spawn", "-n", "1", "-n", "2"},
				  {"spawn", "hello", "daytime"},
				  {"info", "--", "1"},
				  {"console", "--", "1", "2"},
				  {"kill"},
				  {"kill", "--all", "1"},
				  {"stop", "-t", "soon", "1"},
				  {"info", "1"},
				  {"completion", "fish"}})
		EXPECT_EQ(run(words), 2) << *(words.begin() + 1 - (words.size() == 1));
	EXPECT_EQ(fake.spawns.size(), 0u);
}

TEST_F(verbs_test, operands_may_follow_dashes)
{
	fake.add("one");
	fake.add("two");
	EXPECT_EQ(run({"ps", "-q", "--", "two"}), 0);
	EXPECT_EQ(out, "2\n");
	EXPECT_EQ(run({"ps", "-q", "one", "--", "two"}), 0);
	EXPECT_EQ(out, "1\n2\n");
	EXPECT_EQ(run({"kill", "--", "1"}), 0);
	EXPECT_EQ(run({"kill", "--all", "--"}), 0);
	EXPECT_EQ(run({"kill", "--", "--all"}), 1);
	EXPECT_EQ(err, "vmctl: kill: --all: no such VM\n");
	EXPECT_EQ(run({"image", "load", "--name", "web", "--", "big.elf"}), 0);
	EXPECT_EQ(run({"image", "load", "--", "-n"}), 127);
}

TEST_F(verbs_test, complaints_keep_the_terminal_safe)
{
	const std::string bad = "./a\033]0;owned\a\xc2\x9b", long_option = "--" + bad;

	fake.open_errors[bad] = EACCES;
	for (const char *verb : {"run", "spawn", "ps", "kill", "wait", "logs", "rmi", "help"}) {
		run({verb, bad.c_str()});
		EXPECT_TRUE(err.starts_with("vmctl: ")) << err;
		EXPECT_EQ(std::ranges::count_if(err, [](char c) { return (c < ' ' && c != '\n') || c > '~'; }), 0)
			<< err;
	}
	for (const auto &words : {std::vector<const char *>{bad.c_str()},
				  {"ps", long_option.c_str()},
				  {"image", "load", bad.c_str()},
				  {"image", "load", "--name", bad.c_str(), "big.elf"},
				  {"image", "tag", "1", bad.c_str()},
				  {"image", "inspect", bad.c_str()},
				  {"spawn", "-m", bad.c_str()},
				  {"stop", "-t", bad.c_str(), "1"}}) {
		EXPECT_NE(run(words), 0);
		EXPECT_EQ(std::ranges::count_if(err, [](char c) { return (c < ' ' && c != '\n') || c > '~'; }), 0)
			<< err;
	}
}

TEST_F(verbs_test, completion_knows_every_verb)
{
	EXPECT_EQ(run({"completion", "bash"}), 0);
	for (const auto &verb : vmctl::cli::verbs())
		EXPECT_NE(out.find(verb.name), std::string::npos) << verb.name;
}

// --- output that cannot be written ------------------------------------------

TEST_F(verbs_test, lost_messages_change_no_status)
{
	fake.add("one");
	err_to = "/dev/full";
	EXPECT_EQ(run({"sapwn"}), 2);
	EXPECT_EQ(run({"ps", "--bogus"}), 2);
	EXPECT_EQ(run({"kill", "nothing"}), 1);
	EXPECT_EQ(run({"spawn", "nothing"}), 127);
	EXPECT_EQ(run({"spawn", "-n", "1000", "--progress"}), 0);
	EXPECT_EQ(run({"ps"}), 0);
	EXPECT_EQ(run({"kill", "--all"}), 0);
	fake.open_errors["/dev/mayfly"] = EACCES;
	EXPECT_EQ(run({"ps"}), 125);
}

// `ps | head` ends as all that do nothing but write.
TEST_F(verbs_test, messages_that_nobody_reads_end_nothing)
{
	fake.add("one");
	err_to = closed_pipe;
	EXPECT_EQ(run({"kill", "nothing", "one"}), 1);
	EXPECT_EQ(fake.vms[0].state, unsigned{MAYFLY_ENDED});
	EXPECT_EQ(run({"spawn", "-n", "1000", "--progress"}), 0);
	EXPECT_EQ(std::ranges::count(out, '\n'), 1000);
	EXPECT_EQ(broken_pipes, 0);
	out_to = closed_pipe;
	run({"ps"});
	EXPECT_EQ(broken_pipes, 1);
}

TEST_F(verbs_test, lost_output_is_a_failure_of_every_verb)
{
	fake.end(fake.add("one"), MAYFLY_END_EXITED, 3);
	for (int i = 0; i < 2000; i++)
		fake.add("vm");
	out_to = "/dev/full";
	for (const auto &words : {std::initializer_list<const char *>{"--version"},
				  {},
				  {"--help"},
				  {"help"},
				  {"help", "--man"},
				  {"help", "image"},
				  {"image", "--help"},
				  {"ps", "--help"},
				  {"version"},
				  {"completion", "bash"},
				  {"ps"},
				  {"ps", "-q"},
				  {"ps", "--json", "1"},
				  {"ps", "1", "nothing"},
				  {"stats", "1"},
				  {"stats", "--json", "1"},
				  {"inspect", "1"},
				  {"logs", "1", "2"},
				  {"logs", "-f", "1"},
				  {"console", "1"},
				  {"wait", "1"},
				  {"images"},
				  {"image", "inspect", "hello"},
				  {"info"},
				  {"doctor"}}) {
		fake.consoles[1] = fake.consoles[2] = "hello\n";
		EXPECT_EQ(run(words), 125) << (words.size() > 0 ? *words.begin() : "");
		EXPECT_TRUE(err.ends_with("writing the output: No space left on device\n")) << err;
		EXPECT_EQ(err.find("writing"), err.rfind("writing")) << "told twice: " << err;
	}
	// There is nothing to be lost.
	EXPECT_EQ(run({"pause", "2"}), 0);
	EXPECT_EQ(run({"kill", "1"}), 1);
}

TEST_F(verbs_test, what_no_reader_was_told_of_is_removed)
{
	out_to = closed_pipe;
	for (const auto &words : {std::initializer_list<const char *>{"spawn", "-n", "5000"}, {"run", "-d"}}) {
		EXPECT_EQ(run(words), 125);
		EXPECT_TRUE(fake.vms.empty());
	}
	fake.add("one");
	for (const auto &words : {std::initializer_list<const char *>{"image", "load", "--name", "web", "big.elf"},
				  {"snapshot", "one", "web"}}) {
		EXPECT_EQ(run(words), 125);
		EXPECT_TRUE(err.ends_with("writing the output: Broken pipe\n")) << err;
		EXPECT_STREQ(fake.images.back().name, "");
	}
	EXPECT_EQ(broken_pipes, 0);
}

TEST_F(verbs_test, what_cannot_be_removed_again_is_counted)
{
	out_to = "/dev/full";
	fake.remove_errors = {{2, ENOENT}, {3, EBUSY}, {5, EBUSY}};
	EXPECT_EQ(run({"spawn", "-n", "5"}), 125);
	EXPECT_TRUE(err.starts_with("vmctl: spawn: 3 VMs removed again: the ids could not be written\n"
				    "vmctl: spawn: 2 VMs could not be removed, nor the ids written\n"
				    "vmctl: to mend it: 'vmctl ps -a' shows all there are\n"))
		<< err;
}

TEST_F(verbs_test, what_nobody_can_be_told_of_is_removed)
{
	out_to = "/dev/full";
	for (const auto &words : {std::initializer_list<const char *>{"spawn", "-q"},
				  {"spawn", "-n", "5000"},
				  {"create", "-n", "3"},
				  {"run", "-d"}}) {
		EXPECT_EQ(run(words), 125);
		EXPECT_TRUE(err.ends_with("writing the output: No space left on device\n")) << err;
		EXPECT_NE(err.find(" removed again: the ids could not be written\n"), std::string::npos) << err;
		EXPECT_EQ(err.find(" VMs up in "), std::string::npos) << err;
		EXPECT_TRUE(fake.vms.empty());
	}
	EXPECT_EQ(run({"image", "load", "--name", "web", "big.elf"}), 125);
	EXPECT_STREQ(fake.images.back().name, "");

	// The name of an old image is known, and must mean something.
	out_to = nullptr;
	EXPECT_EQ(run({"image", "load", "--name", "web", "big.elf"}), 0);
	fake.add("one");
	out_to = "/dev/full";
	for (const auto &words :
	     {std::initializer_list<const char *>{"image", "load", "-f", "--name", "web", "big.elf"},
	      {"snapshot", "-f", "one", "web"}}) {
		EXPECT_EQ(run(words), 125);
		EXPECT_STREQ(fake.images.back().name, "web");
	}
	EXPECT_EQ(run({"image", "load", "-f", "--name", "new", "big.elf"}), 125);
	EXPECT_STREQ(fake.images.back().name, "");
	fake.vms.clear();

	fake.spawn_most = 2;
	EXPECT_EQ(run({"spawn", "-n", "5"}), 125);
	EXPECT_NE(err.find("made 2 of 5: "), std::string::npos) << err;
	EXPECT_TRUE(fake.vms.empty());

	// On a terminal the ids are not asked for.
	terminal = true;
	EXPECT_EQ(run({"spawn", "-n", "2"}), 0);
	EXPECT_EQ(fake.vms.size(), 2u);
}

} // namespace
