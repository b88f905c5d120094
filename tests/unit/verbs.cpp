// SPDX-License-Identifier: Apache-2.0
// Whole command lines over a pretended module.
#include "command_line.hpp"

#include <csignal>
#include <sstream>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <termios.h>
#include <unistd.h>

namespace
{

class verbs_test : public command_line
{
protected:
	// The first `columns` of each line.
	static std::string cut(const std::string &text, std::size_t columns)
	{
		std::istringstream lines(text);
		std::string made;

		for (std::string line; std::getline(lines, line);)
			made += line.substr(0, columns) + '\n';
		return made;
	}
};

// --- the command line -------------------------------------------------------

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

	fake.spawn_most = 2;
	EXPECT_EQ(run({"spawn", "-n", "5"}), 125);
	EXPECT_NE(err.find("made 2 of 5: "), std::string::npos) << err;
	EXPECT_TRUE(fake.vms.empty());

	// On a terminal the ids are not asked for.
	terminal = true;
	EXPECT_EQ(run({"spawn", "-n", "2"}), 0);
	EXPECT_EQ(fake.vms.size(), 2u);
}

// --- making VMs -------------------------------------------------------------

TEST_F(verbs_test, spawn_refuses_bad_numbers)
{
	for (const char *number : {"0", "-1", "x", "", "1.5", "4294967296", "99999999999999999999"}) {
		EXPECT_EQ(run({"spawn", "-n", number}), 2) << number;
		EXPECT_NE(err.find("not a number from 1"), std::string::npos) << err;
	}
	EXPECT_EQ(run({"spawn", "-n", "10000000"}), 125);
	EXPECT_EQ(err, "vmctl: spawn: -n 10000000: the module's limit is 100000 VMs\n"
		       "vmctl: to mend it: as root, write more to /sys/module/mayfly/parameters/max_vms\n");
	fake.module_info.max_vms_user = 10;
	EXPECT_EQ(run({"spawn", "-n", "11"}), 125);
	EXPECT_EQ(err, "vmctl: spawn: -n 11: the module's limit is 10 VMs\n"
		       "vmctl: to mend it: as root, write more to /sys/module/mayfly/parameters/max_vms_user\n");
	EXPECT_EQ(fake.spawns.size(), 0u);
}

TEST_F(verbs_test, spawn_refuses_bad_memory)
{
	for (const char *size : {"0", "1", "4097", "64kk", "0.1K", "-4K", "2G", "1.5G", "65G", "99999999999999999999"})
		EXPECT_EQ(run({"spawn", "--memory", size}), 2) << size;
	EXPECT_EQ(run({"spawn", "-m", "1M"}), 126);
	EXPECT_EQ(err, "vmctl: spawn: hello: needs at least 1.0 MiB of memory, not 1.0 MiB\n");
	EXPECT_EQ(fake.spawns.size(), 0u);
}

TEST_F(verbs_test, spawn_refuses_bad_names)
{
	for (const char *name : {"", "1web", "-web", "we b", "web/1",
				 "w\xc3\xa9"
				 "b"})
		EXPECT_EQ(run({"spawn", "--name", name}), 2) << name;
	EXPECT_EQ(run({"spawn", "--name", std::string(64, 'x').c_str()}), 2);
	EXPECT_EQ(run({"spawn", "--name", std::string(63, 'x').c_str()}), 0);
	EXPECT_EQ(run({"spawn", "-n", "10", "--name", std::string(61, 'x').c_str()}), 2);
}

TEST_F(verbs_test, automatic_names_are_not_to_be_given)
{
	for (const auto &words : {std::initializer_list<const char *>{"spawn", "--name", "vm5"},
				  {"run", "--name", "vm007"},
				  {"spawn", "-n", "2", "--name", "vm5"},
				  {"image", "load", "--name", "vm5", "big.elf"}}) {
		EXPECT_EQ(run(words), 2);
		EXPECT_NE(err.find(": a VM without a name gets one like this, with its id; choose another\n"),
			  std::string::npos)
			<< err;
	}
	for (const char *name : {"vm", "vmx", "vm-5", "vm5a", "VM5"})
		EXPECT_EQ(run({"spawn", "--name", name}), 0) << name;
}

TEST_F(verbs_test, spawn_names_vms)
{
	EXPECT_EQ(run({"spawn", "--name", "web"}), 0);
	EXPECT_EQ(run({"spawn", "-n", "2", "--name", "web"}), 0);
	EXPECT_STREQ(fake.vms[0].name, "web");
	EXPECT_STREQ(fake.vms[2].name, "web-2");
}

TEST_F(verbs_test, spawn_prints_ids_only_where_nobody_reads_them)
{
	EXPECT_EQ(run({"spawn", "-n", "3"}), 0);
	EXPECT_EQ(out, "1\n2\n3\n");
	EXPECT_EQ(err.substr(0, 10), "3 VMs up i");
	EXPECT_NE(err.find("36.0 KiB/VM"), std::string::npos);

	terminal = true;
	EXPECT_EQ(run({"spawn", "-n", "3"}), 0);
	EXPECT_EQ(out, "");
	EXPECT_EQ(run({"spawn", "-q"}), 0);
	EXPECT_EQ(out, "7\n");
	EXPECT_EQ(err, "");
}

TEST_F(verbs_test, spawn_is_one_call_without_a_terminal_and_steps_with_one)
{
	EXPECT_EQ(run({"spawn", "-n", "1000", "--name", "a"}), 0);
	EXPECT_EQ(fake.spawns.size(), 1u);
	terminal = true;
	EXPECT_EQ(run({"spawn", "-n", "1000", "--name", "b"}), 0);
	EXPECT_EQ(fake.spawns.size(), 51u);
	EXPECT_STREQ(fake.vms.back().name, "b-1000");
	EXPECT_NE(err.find("1000/1000"), std::string::npos);

	terminal = false;
	EXPECT_EQ(run({"spawn", "-n", "1000", "--progress"}), 0);
	EXPECT_EQ(std::ranges::count(err, '\n'), 11);
	EXPECT_EQ(err.substr(0, 38), " 100 of 1000 VMs\n 200 of 1000 VMs\n 300");
}

TEST_F(verbs_test, spawn_tells_what_a_failed_batch_made)
{
	fake.spawn_most = 2;
	EXPECT_EQ(run({"spawn", "-n", "5"}), 1);
	EXPECT_EQ(out, "1\n2\n");
	EXPECT_EQ(err, "vmctl: spawn: made 2 of 5: the host, or the cgroup, has no memory left\n");
	EXPECT_EQ(run({"spawn", "-n", "5"}), 125);

	fake.spawn_error = EEXIST;
	EXPECT_EQ(run({"spawn", "--name", "web"}), 125);
	EXPECT_EQ(err, "vmctl: spawn: a VM named web exists already\n");
}

TEST_F(verbs_test, images_are_files_or_bundled)
{
	EXPECT_EQ(run({"spawn", "-q", "big.elf"}), 0);
	EXPECT_STREQ(fake.image.label, "big.elf");
	EXPECT_EQ(run({"spawn", "-q", "/guests/hello"}), 0);
	EXPECT_STREQ(fake.image.label, "hello");
	EXPECT_EQ(run({"spawn", "nothing"}), 127);
	EXPECT_EQ(err, "vmctl: spawn: nothing: no image and no file of this name\n");
	EXPECT_EQ(run({"spawn", "./hello"}), 127);
	EXPECT_EQ(err, "vmctl: spawn: ./hello: No such file or directory\n");

	fake.files["locked"] = "";
	fake.open_errors["locked"] = EACCES;
	EXPECT_EQ(run({"run", "locked"}), 126);
	// A folder here does not hide the bundled one.
	fake.files["hello"] = "";
	fake.open_errors["hello"] = EISDIR;
	EXPECT_EQ(run({"spawn", "-q", "hello"}), 0);
	EXPECT_EQ(err, "");
	// Nor does one among the bundled hide a file.
	fake.files["/guests/big.elf"] = "";
	fake.open_errors["/guests/big.elf"] = EISDIR;
	EXPECT_EQ(run({"spawn", "-q", "big.elf"}), 0);
}

TEST_F(verbs_test, a_name_means_a_loaded_image_then_a_bundled_one_then_a_file)
{
	fake.files["hello"] = fake.files["./hello"] = fake.files["big.elf"];
	EXPECT_EQ(run({"spawn", "-q", "hello"}), 0);
	EXPECT_EQ(err, "vmctl: spawn: hello: taking the bundled image, not ./hello\n");
	EXPECT_EQ(run({"image", "load", "--name", "hello", "big.elf"}), 0);
	EXPECT_EQ(out, "2\n");
	EXPECT_EQ(run({"spawn", "-q", "hello"}), 0);
	EXPECT_EQ(err, "vmctl: spawn: hello: taking the loaded image, not the bundled one or ./hello\n");
	EXPECT_EQ(fake.images.size(), 2u);
	EXPECT_EQ(run({"spawn", "-q", "2"}), 0);
	EXPECT_EQ(err, "");
	EXPECT_EQ(fake.images.size(), 2u);
	EXPECT_EQ(run({"spawn", "-q", "./hello"}), 0);
	EXPECT_EQ(err, "");
	EXPECT_EQ(fake.images.size(), 3u);

	// Without an operand only the bundled one will do.
	EXPECT_EQ(run({"spawn", "-q"}), 0);
	EXPECT_EQ(err, "");
	EXPECT_EQ(fake.images.size(), 4u);
	fake.files.erase("/guests/hello");
	EXPECT_EQ(run({"spawn", "-q"}), 127);
	EXPECT_EQ(err, "vmctl: spawn: hello: no such bundled image in /guests\n");
}

TEST_F(verbs_test, a_loaded_image_says_what_its_vms_need)
{
	EXPECT_EQ(run({"image", "load", "--name", "web", "-m", "32M", "--cpu", "sse4.2", "hello"}), 0);
	EXPECT_EQ(fake.image.memory_default, 32u << 20);
	EXPECT_EQ(fake.image.cpu_level, unsigned{MAYFLY_CPU_SSE42});
	EXPECT_EQ(run({"spawn", "-q", "web"}), 0);
	EXPECT_EQ(fake.spawns[0].memory, 0u);
	EXPECT_EQ(run({"spawn", "-q", "-m", "64M", "web"}), 0);
	EXPECT_EQ(fake.spawns[1].memory, 64u << 20);
	EXPECT_EQ(run({"spawn", "-m", "1M", "web"}), 126);
	EXPECT_EQ(err, "vmctl: spawn: web: needs at least 1.0 MiB of memory, not 1.0 MiB\n");
	fake.images[0].uid = 7;
	EXPECT_EQ(run({"spawn", "1"}), 125);
	EXPECT_EQ(err, "vmctl: spawn: 1: someone else's image\n");
}

TEST_F(verbs_test, images_are_loaded_named_and_removed)
{
	EXPECT_EQ(run({"image", "load", "big.elf"}), 0);
	EXPECT_EQ(run({"image", "load", "big.elf"}), 1);
	EXPECT_EQ(err, "vmctl: image load: another image is called big.elf\n");
	EXPECT_EQ(fake.images.size(), 1u);
	EXPECT_EQ(run({"image", "load", "--name", "one", "-m", "4K", "big.elf"}), 126);
	EXPECT_EQ(run({"image", "load", "-f", "big.elf"}), 0);
	EXPECT_EQ(fake.tag_flags, unsigned{MAYFLY_TAG_REPLACE});
	EXPECT_EQ(run({"image", "load", "--name", "three", "big.elf"}), 0);
	EXPECT_EQ(run({"tag", "3", "web"}), 0);
	EXPECT_EQ(err, "vmctl: image tag: web: is called three no more\n");
	EXPECT_EQ(run({"image", "tag", "big.elf", "web"}), 1);
	EXPECT_EQ(err, "vmctl: image tag: big.elf: another image is called web\n");
	EXPECT_EQ(run({"image", "tag", "nothing", "one"}), 1);
	EXPECT_EQ(run({"images", "-q"}), 0);
	EXPECT_EQ(out, "1\n2\n3\n");
	EXPECT_EQ(run({"rmi", "web", "nothing"}), 1);
	EXPECT_EQ(err, "vmctl: image rm: nothing: no such image is loaded\n");
	EXPECT_EQ(run({"rmi", "3"}), 1);
	EXPECT_EQ(err, "vmctl: image rm: 3: has no name; it goes with the last VM made from it\n");
	EXPECT_EQ(run({"rmi", "hello"}), 1);
	EXPECT_EQ(err, "vmctl: image rm: hello: no such image is loaded; it is bundled, a file\n");
	EXPECT_EQ(run({"tag", "1", "one"}), 0);
	EXPECT_EQ(run({"tag", "2", "two"}), 0);
	fake.images[0].uid = 7;
	EXPECT_EQ(run({"rmi", "--all"}), 1);
	EXPECT_EQ(err, "vmctl: image rm: one: someone else's image\n");
	EXPECT_STREQ(fake.images[0].name, "one");
	EXPECT_STREQ(fake.images[1].name, "");
	EXPECT_EQ(run({"images"}), 0);
	EXPECT_NE(out.find("UID"), std::string::npos);
	fake.list_error = EIO;
	EXPECT_EQ(run({"rmi", "--all"}), 125);
	EXPECT_EQ(run({"images"}), 125);
}

TEST_F(verbs_test, images_are_inspected)
{
	EXPECT_EQ(run({"image", "load", "--name", "web", "big.elf"}), 0);
	EXPECT_EQ(run({"image", "inspect", "web", "big.elf"}), 0);

	const auto rows = nlohmann::json::parse(out);

	EXPECT_EQ(rows[0]["id"], 1);
	EXPECT_EQ(rows[0]["users"], 0); // who asks does not count
	EXPECT_EQ(rows[0]["label"], "big.elf");
	EXPECT_EQ(rows[0]["cpu_vendor"], "AMD");
	EXPECT_EQ(rows[1]["id"], nullptr);
	EXPECT_EQ(rows[1]["memory_min"], 0x104000);
	EXPECT_EQ(run({"image", "inspect", "web", "nothing"}), 1);

	EXPECT_EQ(run({"images"}), 0);
	EXPECT_NE(out.find("web    1  big.elf  20.0 KiB  16.0 MiB      1"), std::string::npos) << out;
	fake.files.erase("/dev/mayfly");
	EXPECT_EQ(run({"images"}), 0);
	EXPECT_EQ(run({"image", "inspect", "big.elf"}), 0);
	EXPECT_EQ(run({"run", "web"}), 127);
	EXPECT_NE(err.find("web: no image and no file of this name; and the module is loaded, but"), std::string::npos)
		<< err;
	fake.open_errors["/dev/mayfly"] = EACCES;
	EXPECT_EQ(run({"images"}), 125);
	EXPECT_EQ(run({"image", "inspect", "web"}), 125);
	EXPECT_NE(err.find("no right to open /dev/mayfly"), std::string::npos) << err;
}

TEST_F(verbs_test, bad_names_and_options_of_images_are_usage_errors)
{
	fake.files["9.elf"] = fake.files["big.elf"];
	for (const auto &words : {std::initializer_list<const char *>{"image"},
				  {"image", "-q"},
				  {"image", "load"},
				  {"image", "load", "9.elf"},
				  {"image", "load", "--name", "we b", "big.elf"},
				  {"image", "load", "--cpu", "386", "big.elf"},
				  {"image", "load", "-m", "4097", "big.elf"},
				  {"image", "inspect"},
				  {"image", "tag", "web"},
				  {"image", "tag", "web", "9"},
				  {"rmi"},
				  {"rmi", "--all", "web"}})
		EXPECT_EQ(run(words), 2) << *(words.begin() + (words.size() > 1));
	EXPECT_EQ(run({"image", "lss"}), 2);
	EXPECT_EQ(err, "vmctl: image lss: no such command; did you mean 'image ls'?\n");
	EXPECT_TRUE(fake.images.empty());
}

TEST_F(verbs_test, a_family_has_help)
{
	EXPECT_EQ(run({"image", "--help"}), 0);

	const std::string text = out;

	EXPECT_NE(text.find("image inspect"), std::string::npos);
	EXPECT_EQ(run({"help", "image"}), 0);
	EXPECT_EQ(out, text);
	EXPECT_EQ(run({"help", "image", "ls"}), 0);
	EXPECT_EQ(out.substr(0, 23), "usage: vmctl image ls [");
	EXPECT_EQ(run({"--json", "image", "ls"}), 0);
	EXPECT_EQ(out, "[]\n");
}

TEST_F(verbs_test, bad_images_show_without_a_module)
{
	fake.files.erase("/dev/mayfly");
	fake.files["hello.elf"] = "#!/bin/sh\n";
	EXPECT_EQ(run({"spawn", "hello.elf"}), 126);
	EXPECT_EQ(err, "vmctl: spawn: hello.elf: not an x86-64 ELF executable\n");
	EXPECT_EQ(run({"spawn"}), 125);
}

TEST_F(verbs_test, run_detached_prints_the_id)
{
	terminal = true;
	EXPECT_EQ(run({"run", "-d", "--name", "web"}), 0);
	EXPECT_EQ(out, "1\n");
	EXPECT_EQ(fake.spawns[0].flags, unsigned{MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED});
}

TEST_F(verbs_test, signals_ask_a_vm_in_the_foreground_to_stop)
{
	for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
		fake.while_running = [&] { std::raise(number); };
		EXPECT_EQ(run({"run"}), 128 + number);
	}
}

TEST_F(verbs_test, ignored_signals_stay_ignored)
{
	for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
		const auto before = std::signal(number, SIG_IGN);

		fake.while_running = [&] {
			std::raise(number);
			fake.end(fake.vms.back(), MAYFLY_END_EXITED, 7);
		};
		EXPECT_EQ(run({"run"}), 7);
		EXPECT_EQ(std::signal(number, before), SIG_IGN);
	}
}

TEST_F(verbs_test, create_does_not_start)
{
	EXPECT_EQ(run({"create", "-q"}), 0);
	EXPECT_EQ(fake.spawns[0].flags, unsigned{MAYFLY_SPAWN_DETACHED});
	EXPECT_EQ(run({"start", "1"}), 0);
}

// --- listing ----------------------------------------------------------------

TEST_F(verbs_test, ps_hides_the_ended)
{
	fake.add("one");
	fake.end(fake.add("two"), MAYFLY_END_EXITED, 3);
	EXPECT_EQ(run({"ps", "-q"}), 0);
	EXPECT_EQ(out, "1\n");
	EXPECT_EQ(run({"ps", "-aq"}), 0);
	EXPECT_EQ(out, "1\n2\n");
	EXPECT_EQ(run({"ps", "-a"}), 0);
	EXPECT_NE(out.find("exited with status 3"), std::string::npos);
	EXPECT_EQ(err, "2 VMs: 1 parked, 1 ended, 72.0 KiB private\n");
	EXPECT_EQ(run({"ps", "two"}), 0);
	EXPECT_NE(out.find("two"), std::string::npos);
	EXPECT_EQ(out.find("one"), std::string::npos);
	EXPECT_EQ(run({"ps", "-a", "two"}), 0);
	EXPECT_EQ(run({"ps", "three"}), 1);
}

TEST_F(verbs_test, ps_cuts_only_on_a_terminal)
{
	for (int i = 0; i < 1000; i++)
		fake.add("vm");
	EXPECT_EQ(run({"ps"}), 0);
	EXPECT_EQ(std::ranges::count(out, '\n'), 1001);
	terminal = true;
	EXPECT_EQ(run({"ps"}), 0);
	EXPECT_EQ(std::ranges::count(out, '\n'), 22);
	EXPECT_NE(out.find("… 980 more"), std::string::npos);
	EXPECT_EQ(run({"ps", "--all-rows"}), 0);
	EXPECT_EQ(std::ranges::count(out, '\n'), 1001);
	EXPECT_EQ(fake.calls[MAYFLY_LIST], 3);
}

TEST_F(verbs_test, tables_end_at_the_edge_of_the_terminal)
{
	fake.add("one");
	fake.end(fake.add("two"), MAYFLY_END_EXITED);
	EXPECT_EQ(run({"image", "load", "--name", "a-rather-long-name-for-an-image", "big.elf"}), 0);
	for (const unsigned short columns : std::initializer_list<unsigned short>{40, 20, 2, 300})
		for (const auto &words : {std::initializer_list<const char *>{"ps", "-a"},
					  {"ps", "one"},
					  {"images"},
					  {"stats", "-a", "--no-stream", "-i", "0.1"}}) {
			terminal = true;
			fake.terminal = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
			EXPECT_EQ(run(words), 0);

			const std::string shown = out;

			terminal = false;
			EXPECT_EQ(run(words), 0);
			EXPECT_EQ(shown, cut(out, columns - 1u)) << *words.begin();
		}

	terminal = true;
	fake.terminal.ws_col = 40;
	EXPECT_EQ(run({"ps", "-a", "--all-rows"}), 0);
	EXPECT_NE(out.find("exited with status 0\n"), std::string::npos);
}

TEST_F(verbs_test, ps_json_has_what_scripts_need)
{
	auto &row = fake.add("one");

	row.created_ns = 1'700'000'000'000'000'000;
	row.cpu_ns = 5;
	std::strcpy(row.image, "caf\xe9"); // not UTF-8
	fake.end(fake.add("two"), MAYFLY_END_EXITED, -1);
	fake.end(fake.add("three"), MAYFLY_END_TRIPLE_FAULT);
	ASSERT_EQ(run({"ps", "-a", "--json"}), 0);

	const auto rows = nlohmann::json::parse(out);

	ASSERT_EQ(rows.size(), 3u);
	EXPECT_EQ(rows[0]["id"], 1);
	EXPECT_EQ(rows[0]["name"], "one");
	EXPECT_EQ(rows[0]["state"], "parked");
	EXPECT_TRUE(rows[0]["reason"].is_null());
	EXPECT_TRUE(rows[0]["status"].is_null());
	EXPECT_EQ(rows[0]["exits"], 3);
	EXPECT_EQ(rows[0]["cpu_ns"], 5);
	EXPECT_EQ(rows[0]["private_bytes"], 36864);
	EXPECT_EQ(rows[0]["created"], 1'700'000'000'000'000'000);
	EXPECT_EQ(rows[1]["reason"], "exited");
	EXPECT_EQ(rows[1]["status"], -1);
	EXPECT_EQ(rows[2]["reason"], "triple-fault");
	EXPECT_TRUE(rows[2]["status"].is_null());
}

TEST_F(verbs_test, json_is_json_whatever_else_is_asked_for)
{
	fake.add("one");
	EXPECT_EQ(run({"image", "load", "--name", "web", "big.elf"}), 0);
	for (const auto &words : {std::initializer_list<const char *>{"images", "-q", "--json"},
				  {"image", "ls", "--json", "-q"},
				  {"ps", "-q", "--json"},
				  {"ps", "-aq", "--json", "--all-rows"}})
		for (const bool on_terminal : {false, true}) {
			terminal = on_terminal;
			EXPECT_EQ(run(words), 0);
			EXPECT_EQ(nlohmann::json::parse(out)[0]["id"], 1);
		}
}

TEST_F(verbs_test, ps_keeps_the_terminal_safe)
{
	std::strcpy(fake.add("one").image, "\033]0;owned\a");
	EXPECT_EQ(run({"ps"}), 0);
	EXPECT_EQ(out.find('\033'), std::string::npos);
}

TEST_F(verbs_test, logs_prints_each_vms_console)
{
	fake.add("one");
	fake.add("two");
	fake.consoles[1] = "hello\nwor";
	fake.consoles[2] = "hi\n";
	EXPECT_EQ(run({"logs", "1", "2"}), 0);
	EXPECT_EQ(out, "one | hello\none | wor\ntwo | hi\n");
	fake.consoles[1] = "bare";
	EXPECT_EQ(run({"logs", "one"}), 0);
	EXPECT_EQ(out, "bare");
	EXPECT_EQ(run({"logs", "three"}), 1);
	EXPECT_EQ(run({"logs", "-f", "1-2"}), 2);
}

TEST_F(verbs_test, what_a_slow_reader_has_lost_is_told)
{
	for (const auto &words : {std::initializer_list<const char *>{"logs", "-f", "1"}, {"console", "1"}}) {
		const auto write = [&](const char *text, std::uint64_t lost) {
			fake.consoles[1] += text;
			fake.counters[1].console_bytes += std::strlen(text) + lost;
			if (lost > 0)
				fake.counters[1].console_lost = fake.counters[1].console_bytes - std::strlen(text);
		};
		std::vector<std::function<void()>> waits{
			[&] { write("second\n", 100); },
			[&] { write("third\n", 0); },
			// Between our look at the counters and the read.
			[&] {
				fake.before_read = [&] {
					write("fourth\n", 30);
					fake.end(fake.vms[0], MAYFLY_END_KILLED);
					fake.before_read = nullptr;
				};
			},
		};
		std::size_t next = 0;

		fake.vms.clear();
		fake.add("one").id = 1;
		fake.counters.clear();
		write("first\n", 7);
		fake.while_waiting = [&] { waits.at(next++)(); };
		EXPECT_EQ(run(words), 0);
		EXPECT_EQ(out, "first\nsecond\nthird\nfourth\n");

		const std::string told = std::string("vmctl: ") + words.begin()[0] + ": one: ";

		EXPECT_EQ(err, told + "7 older bytes are lost\n" + told + "100 older bytes are lost\n" + told +
				       "23 older bytes are lost\n" + told + "7 older bytes are lost\n");
	}
}

// A terminal that nobody types on.
class pseudo_terminal
{
public:
	pseudo_terminal() : ours_(::posix_openpt(O_RDWR | O_NOCTTY))
	{
		EXPECT_EQ(::grantpt(ours_), 0);
		EXPECT_EQ(::unlockpt(ours_), 0);
		theirs_ = ::open(::ptsname(ours_), O_RDWR | O_NOCTTY);
		EXPECT_GE(theirs_, 0);
	}

	pseudo_terminal(const pseudo_terminal &) = delete;
	pseudo_terminal &operator=(const pseudo_terminal &) = delete;

	~pseudo_terminal()
	{
		::close(theirs_);
		::close(ours_);
	}

	int fd() const { return theirs_; }

	bool is_raw() const
	{
		termios mode{};

		EXPECT_EQ(::tcgetattr(theirs_, &mode), 0);
		return (mode.c_lflag & (ICANON | ECHO | ISIG)) != (ICANON | ECHO | ISIG);
	}

private:
	int ours_, theirs_ = -1;
};

TEST_F(verbs_test, console_restores_the_terminal)
{
	const pseudo_terminal typed;

	in = typed.fd();
	fake.add("one");
	fake.while_waiting = [&] {
		EXPECT_TRUE(typed.is_raw());
		fake.end(fake.vms[0], MAYFLY_END_KILLED);
	};
	EXPECT_EQ(run({"console", "1"}), 0);
	EXPECT_EQ(err, "console of one; Ctrl-] leaves it\none: killed\n");
	EXPECT_FALSE(typed.is_raw());
}

TEST_F(verbs_test, console_restores_the_terminal_when_a_signal_ends_it)
{
	const pseudo_terminal typed;

	in = typed.fd();
	fake.add("one");
	for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGUSR1, SIGXCPU}) {
		fake.while_waiting = [&] {
			if (typed.is_raw())
				std::raise(number);
		};
		EXPECT_EXIT(run({"console", "1"}), testing::KilledBySignal(number), "");
		EXPECT_FALSE(typed.is_raw()) << number;
	}
}

// --- control ----------------------------------------------------------------

TEST_F(verbs_test, a_thousand_cost_as_many_calls_as_one)
{
	for (int i = 0; i < 1000; i++)
		fake.add("vm");
	EXPECT_EQ(run({"kill", "--all"}), 0);
	EXPECT_EQ(system_calls(), 3); // INFO, LIST, CONTROL
	fake.calls.clear();
	EXPECT_EQ(run({"rm", "--all"}), 0);
	EXPECT_EQ(system_calls(), 3);
	EXPECT_TRUE(fake.vms.empty());
}

TEST_F(verbs_test, named_vms_must_be_there_and_sets_may_vanish)
{
	fake.end(fake.add("one"), MAYFLY_END_EXITED);
	EXPECT_EQ(run({"kill", "one"}), 1);
	EXPECT_EQ(err, "vmctl: kill: one: has ended already\n");
	EXPECT_EQ(run({"kill", "one*"}), 0);
	EXPECT_EQ(run({"kill", "--all"}), 0);
	EXPECT_EQ(run({"kill", "7"}), 1);
	EXPECT_EQ(err, "vmctl: kill: 7: no such VM\n");
	EXPECT_EQ(run({"kill", "a*"}), 1);
}

TEST_F(verbs_test, rm_wants_ended_vms_unless_forced)
{
	fake.add("one");
	EXPECT_EQ(run({"rm", "one"}), 1);
	EXPECT_EQ(err, "vmctl: rm: one: has not ended; kill it first, or use rm -f\n");
	EXPECT_EQ(run({"rm", "-f", "one"}), 0);
	EXPECT_TRUE(fake.vms.empty());
}

TEST_F(verbs_test, many_complaints_are_counted)
{
	for (int i = 0; i < 1000; i++)
		fake.add("vm");
	EXPECT_EQ(run({"rm", "--all"}), 1);
	EXPECT_NE(err.find("… and 995 more"), std::string::npos);
}

TEST_F(verbs_test, pause_twice_is_an_error_for_one_by_name)
{
	fake.add("one");
	EXPECT_EQ(run({"pause", "one"}), 0);
	EXPECT_EQ(run({"pause", "one"}), 1);
	EXPECT_EQ(err, "vmctl: pause: one: is paused already\n");
	EXPECT_EQ(run({"pause", "--all"}), 0);
	EXPECT_EQ(run({"unpause", "one"}), 0);
	EXPECT_EQ(run({"unpause", "one"}), 1);
}

TEST_F(verbs_test, stop_asks_then_kills)
{
	fake.add("one");
	EXPECT_EQ(run({"stop", "one"}), 0);
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY}));

	fake.ends_when_notified = false;
	fake.operations.clear();
	fake.add("deaf");
	EXPECT_EQ(run({"stop", "-t", "0.01", "deaf"}), 0);
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY, MAYFLY_OP_KILL}));
	EXPECT_EQ(run({"stop", "deaf"}), 0); // it has stopped: that was wanted
}

TEST_F(verbs_test, stop_wakes_paused_vms_and_kills_unstarted_ones)
{
	fake.add("paused", MAYFLY_PAUSED);

	auto &unstarted = fake.add("unstarted", MAYFLY_READY);

	unstarted.flags = MAYFLY_VM_DETACHED;
	EXPECT_EQ(run({"stop", "-t", "0", "--all"}), 0);
	EXPECT_EQ(fake.operations, (std::vector<std::uint32_t>{MAYFLY_OP_NOTIFY, MAYFLY_OP_RESUME, MAYFLY_OP_KILL}));
	EXPECT_EQ(fake.find(2)->reason, unsigned{MAYFLY_END_KILLED});
}

TEST_F(verbs_test, wait_gives_back_the_last_status)
{
	fake.end(fake.add("one"), MAYFLY_END_EXITED, 3);
	fake.end(fake.add("two"), MAYFLY_END_KILLED);
	fake.end(fake.add("three"), MAYFLY_END_TRIPLE_FAULT);
	EXPECT_EQ(run({"wait", "one"}), 3);
	EXPECT_EQ(out, "3\n");
	EXPECT_EQ(run({"wait", "three", "one", "two"}), 137);
	EXPECT_EQ(out, "125\n3\n137\n");
	EXPECT_EQ(err, "vmctl: wait: three: triple fault at rip 0x0\n");
	EXPECT_EQ(run({"wait", "four"}), 125);
}

// --- the host ---------------------------------------------------------------

TEST_F(verbs_test, every_failed_open_names_the_cause_and_the_fix)
{
	fake.open_errors["/dev/mayfly"] = EACCES;
	fake.files["/usr/lib/udev/rules.d/60-mayfly.rules"] = "";
	EXPECT_EQ(run({"ps"}), 125);
	EXPECT_EQ(err, "vmctl: ps: no right to open /dev/mayfly\n"
		       "vmctl: to mend it: sudo usermod -aG kvm $USER and log in again, or use sudo\n");
	EXPECT_EQ(run({"doctor"}), 1);
	EXPECT_NE(out.find("usermod"), std::string::npos);
}

TEST_F(verbs_test, doctor_and_info_speak_json)
{
	EXPECT_EQ(run({"doctor", "--json"}), 0);
	EXPECT_EQ(nlohmann::json::parse(out)[0]["result"], "ok");
	EXPECT_EQ(run({"info", "--json"}), 0);
	EXPECT_EQ(nlohmann::json::parse(out)[0]["backend"], "SVM");
	EXPECT_EQ(run({"info"}), 0);
}

TEST_F(verbs_test, info_shows_every_limit)
{
	fake.module_info.vms = 7;
	fake.module_info.user_vms = 3;
	fake.module_info.max_vms_user = 50;
	fake.module_info.bytes = 3 << 20;
	fake.module_info.user_bytes = 96 << 10;
	fake.module_info.max_bytes_user = 1 << 20;
	EXPECT_EQ(run({"info"}), 0);
	for (const char *line :
	     {"VMs            7 of 100000 at most, 0 asleep and cold\n", "  yours        3 of 50 at most\n",
	      "memory held    3.0 MiB, no limit\n", "  by yours     96.0 KiB of 1.0 MiB at most\n"})
		EXPECT_NE(out.find(line), std::string::npos) << line;
	EXPECT_EQ(run({"info", "--json"}), 0);

	const auto shown = nlohmann::json::parse(out)[0];

	for (const auto &[key, value] : std::map<std::string, std::uint64_t>{{"vms", 7},
									     {"max_vms", 100000},
									     {"user_vms", 3},
									     {"max_vms_user", 50},
									     {"bytes", 3 << 20},
									     {"max_bytes", 0},
									     {"user_bytes", 96 << 10},
									     {"max_bytes_user", 1 << 20}})
		EXPECT_EQ(shown[key], value) << key;
}

} // namespace
