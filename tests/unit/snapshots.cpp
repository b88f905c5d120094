// SPDX-License-Identifier: Apache-2.0
// snapshot and clone over a pretended module.
#include <csignal>

#include "command_line.hpp"

namespace
{

class snapshots_test : public command_line
{};

TEST_F(snapshots_test, a_snapshot_has_a_name_and_tells_its_id)
{
	fake.add("one").memory = 64 << 20;
	fake.add("two");
	EXPECT_EQ(run({"snapshot", "one", "warm"}), 0);
	EXPECT_EQ(out, "1\n");
	EXPECT_STREQ(fake.images[0].name, "warm");
	EXPECT_EQ(fake.images[0].memory_default, 64u << 20);
	EXPECT_EQ(run({"commit", "2", "cool"}), 0);
	EXPECT_EQ(out, "2\n");
	EXPECT_EQ(run({"snapshot", "two", "warm"}), 1);
	EXPECT_EQ(err, "vmctl: snapshot: two: another image is called warm\n");
	EXPECT_EQ(run({"snapshot", "-f", "two", "warm"}), 0);
	EXPECT_STREQ(fake.images[0].name, "");
	EXPECT_EQ(run({"spawn", "-q", "warm"}), 0);
	EXPECT_EQ(out, "3\n");
}

TEST_F(snapshots_test, bad_words_are_usage_errors_and_touch_nothing)
{
	fake.add("one");
	fake.add("two");
	for (const auto &words : {std::initializer_list<const char *>{"snapshot"},
				  {"snapshot", "one"},
				  {"snapshot", "one", "a/b"},
				  {"snapshot", "one", "17"},
				  {"snapshot", "*", "warm"},
				  {"clone"},
				  {"clone", "*"},
				  {"clone", "-n", "0", "one"},
				  {"clone", "--name", "a/b", "one"},
				  {"clone", "-n", "200000"}})
		EXPECT_EQ(run(words), 2) << *words.begin();
	EXPECT_EQ(run({"clone", "-n", "200000", "one"}), 125);
	EXPECT_TRUE(fake.images.empty());
	EXPECT_TRUE(fake.spawns.empty());
}

TEST_F(snapshots_test, what_is_not_there_or_has_ended_is_refused)
{
	fake.end(fake.add("one"), MAYFLY_END_KILLED);
	for (const char *verb : {"snapshot", "clone"}) {
		EXPECT_EQ(verb[0] == 's' ? run({verb, "one", "warm"}) : run({verb, "one"}), 1);
		EXPECT_EQ(err, std::string("vmctl: ") + verb + ": one: the VM has ended\n");
	}
	EXPECT_EQ(run({"clone", "nobody"}), 1);
	EXPECT_NE(err.find("nobody"), std::string::npos);
	fake.add("two");
	fake.snapshot_error = EDQUOT;
	EXPECT_EQ(run({"clone", "two"}), 125);
	EXPECT_NE(err.find("two: it and its image would hold more bytes than the limits allow"), std::string::npos)
		<< err;
	fake.snapshot_error = ENOMEM;
	EXPECT_EQ(run({"snapshot", "two", "warm"}), 125);
	EXPECT_TRUE(fake.spawns.empty());
}

TEST_F(snapshots_test, clones_are_spawned_from_one_snapshot_without_a_name)
{
	fake.add("one");
	EXPECT_EQ(run({"clone", "-q", "-n", "3", "--name", "copy", "one", "--", "a", "b"}), 0);
	EXPECT_EQ(out, "2\n3\n4\n");
	ASSERT_EQ(fake.images.size(), 1u);
	EXPECT_STREQ(fake.images[0].name, "");
	ASSERT_EQ(fake.spawns.size(), 1u);
	EXPECT_EQ(fake.spawns[0].count, 3u);
	EXPECT_EQ(fake.spawns[0].memory, 0u) << "what the original has";
	EXPECT_EQ(fake.spawns[0].flags, unsigned{MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_NUMBERED});
	EXPECT_EQ(fake.spawn_arguments[0], std::string("a\0b\0", 4));
	EXPECT_TRUE(std::ranges::all_of(fake.open_fds, [](int fd) { return fd < 200; })) << "it goes with its last VM";
}

TEST_F(snapshots_test, a_snapshot_that_nobody_was_told_of_has_no_name)
{
	fake.add("one");
	out_to = "/dev/full";
	EXPECT_EQ(run({"snapshot", "one", "warm"}), 125);
	EXPECT_STREQ(fake.images[0].name, "");
}

TEST_F(snapshots_test, one_can_wait_until_the_guest_is_ready)
{
	fake.add("one");
	EXPECT_EQ(run({"snapshot", "--when-ready", "one", "warm"}), 0);
	EXPECT_EQ(out, "1\n");
	EXPECT_EQ(err, "");
	EXPECT_EQ(fake.snapshot_flags, std::uint32_t{MAYFLY_SNAPSHOT_WHEN_READY});
	fake.counters[1].ready = 1;
	EXPECT_EQ(run({"snapshot", "--when-ready", "-f", "one", "warm"}), 0);
	EXPECT_EQ(err, "vmctl: snapshot: one has been ready before; waiting until it is again\n");
	EXPECT_EQ(fake.snapshot_flags, MAYFLY_SNAPSHOT_WHEN_READY | MAYFLY_SNAPSHOT_REPLACE);
	fake.snapshot_error = EBUSY;
	EXPECT_EQ(run({"snapshot", "--when-ready", "one", "cool"}), 1);
	EXPECT_NE(err.find("one: somebody else waits until it is ready"), std::string::npos) << err;
}

TEST_F(snapshots_test, run_makes_an_image_when_the_guest_is_ready)
{
	for (const bool detached : {false, true}) {
		const char *name = detached ? "cool" : "warm";

		fake.readies = true;
		fake.while_running = [&] { fake.readies = fake.run_flags.size() % 2 == 0; };
		fake.run_flags.clear();
		if (detached)
			EXPECT_EQ(run({"run", "-d", "--snapshot-when-ready", name}), 0) << err;
		else
			static_cast<void>(run({"run", "--snapshot-when-ready", name}));
		EXPECT_STREQ(fake.images.back().name, name);
		EXPECT_EQ(fake.run_flags.size(), detached ? 1u : 2u);
		EXPECT_NE(fake.run_flags[0] & MAYFLY_RUN_UNTIL_READY, 0u);
	}
}

TEST_F(snapshots_test, what_run_cannot_name_is_refused_before_it_runs)
{
	fake.add("one");
	EXPECT_EQ(run({"snapshot", "one", "warm"}), 0);
	EXPECT_EQ(run({"run", "--snapshot-when-ready", "warm"}), 125);
	EXPECT_NE(err.find("another image is called warm"), std::string::npos) << err;
	EXPECT_EQ(run({"run", "--snapshot-when-ready", "a/b"}), 2);
	EXPECT_TRUE(fake.spawns.empty());
	EXPECT_TRUE(fake.run_flags.empty());
}

TEST_F(snapshots_test, a_guest_that_ends_first_has_no_image)
{
	EXPECT_EQ(run({"run", "-d", "--snapshot-when-ready", "warm"}), 125);
	EXPECT_NE(err.find("ended before it was ready: there is no image warm"), std::string::npos) << err;
}

// Every clone would find the event that asks it to stop.
TEST_F(snapshots_test, who_is_asked_to_stop_is_not_snapshotted)
{
	for (const bool detached : {false, true}) {
		fake.run_flags.clear();
		fake.readies = true;
		fake.while_running = [&] {
			if (fake.run_flags.empty())
				std::raise(SIGTERM);
			fake.readies = fake.run_flags.empty();
		};
		EXPECT_EQ(detached ? run({"run", "-d", "--snapshot-when-ready", "warm"})
				   : run({"run", "--snapshot-when-ready", "warm"}),
			  128 + SIGTERM);
		EXPECT_EQ(fake.run_flags.size(), 2u) << "it goes on until it has ended";
		for (const auto &image : fake.images)
			EXPECT_STREQ(image.name, "");
	}
}

}
