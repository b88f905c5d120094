// SPDX-License-Identifier: Apache-2.0
// spawn, create and run over a pretended module.
#include "command_line.hpp"

#include <csignal>

#include <arpa/inet.h>

namespace
{

class launch_test : public command_line
{};

TEST_F(launch_test, spawn_refuses_bad_numbers)
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

TEST_F(launch_test, spawn_refuses_bad_memory)
{
	for (const char *size : {"0", "1", "4097", "64kk", "5K", "-4K", "2G", "1.5G", "65G", "99999999999999999999"})
		EXPECT_EQ(run({"spawn", "--memory", size}), 2) << size;
	EXPECT_EQ(run({"spawn", "-m", "1M"}), 126);
	EXPECT_EQ(err, "vmctl: spawn: hello: needs at least 1.0 MiB of memory, not 1.0 MiB\n");
	EXPECT_EQ(fake.spawns.size(), 0u);
	ASSERT_EQ(run({"spawn", "-m", "0.3G"}), 0);
	EXPECT_EQ(fake.spawns[0].memory, 322121728u);
}

TEST_F(launch_test, a_place_on_a_network)
{
	fake.networks["web"] = 7;
	ASSERT_EQ(run({"spawn", "--net", "web,ip=10.9.3.17"}), 0);
	ASSERT_EQ(fake.places.size(), 1u);
	EXPECT_EQ(fake.places[0].ifindex, 7u);
	EXPECT_EQ(ntohl(fake.places[0].ip4), 0x0a090311u);
	EXPECT_EQ(fake.places[0].dns4, 0u);
	ASSERT_EQ(run({"create", "-n", "2", "--net", "web"}), 0);
	EXPECT_EQ(fake.places.back().ip4, 0u);
	ASSERT_EQ(run({"spawn", "-n", "2", "--net", "web,dns=1.1.1.1"}), 0);
	EXPECT_EQ(ntohl(fake.places.back().dns4), 0x01010101u);
	EXPECT_EQ(fake.places.back().ip4, 0u);
	ASSERT_EQ(run({"spawn", "--net", "web,dns=1.1.1.1,ip=10.9.3.17"}), 0);
	EXPECT_EQ(ntohl(fake.places.back().ip4), 0x0a090311u);
	ASSERT_EQ(run({"spawn"}), 0);
	EXPECT_EQ(fake.places.size(), 4u) << "without --net there is no place";
}

TEST_F(launch_test, several_places_limits_and_routers)
{
	fake.networks = {{"web", 7}, {"db", 8}};
	ASSERT_EQ(run({"spawn", "--net", "web,rate=10mbit", "--net", "db,router", "--net=web,rate=8kbit,ip=10.9.0.9"}),
		  0);
	ASSERT_EQ(fake.places.size(), 3u);
	EXPECT_EQ(fake.places[0].ifindex, 7u);
	EXPECT_EQ(fake.places[0].rate, 1'250'000u) << "bytes a second";
	EXPECT_EQ(fake.places[0].flags, 0u);
	EXPECT_EQ(fake.places[1].ifindex, 8u);
	EXPECT_EQ(fake.places[1].flags, unsigned{MAYFLY_PLACE_ROUTER});
	EXPECT_EQ(fake.places[1].rate, 0u);
	EXPECT_EQ(fake.places[2].rate, 1000u);
	EXPECT_EQ(ntohl(fake.places[2].ip4), 0x0a090009u);
	EXPECT_EQ(run({"spawn", "--net", "web", "--net", "web", "--net", "web", "--net", "web", "--net", "web"}), 2);
	EXPECT_EQ(err, "vmctl: spawn: --net: a VM has at most 4 places on networks\n"
		       "vmctl: try 'vmctl help spawn'\n");
	EXPECT_EQ(run({"spawn", "--net", "web", "--net", "none"}), 125);
	EXPECT_EQ(fake.spawns.size(), 1u);
}

TEST_F(launch_test, spawn_refuses_bad_places)
{
	fake.networks["web"] = 7;
	for (const char *place : {"",
				  "1web",
				  "we b",
				  "web,",
				  "web,ip=",
				  "web,ip=x",
				  "web,ip=0.0.0.0",
				  "web,ip=1.2.3.4.5",
				  "web,mac=1",
				  "web,ip=10.9.0.2,ip=10.9.0.3",
				  "web,ip=10.9.0.2,",
				  "web,dns",
				  "sixteen-letters-",
				  "web,rate",
				  "web,rate=",
				  "web,rate=10",
				  "web,rate=0mbit",
				  "web,rate=mbit",
				  "web,rate=-1mbit",
				  "web,rate=1000001gbit",
				  "web,rate=1mbit,rate=1mbit",
				  "web,router=1",
				  "web,router,router"})
		EXPECT_EQ(run({"spawn", "--net", place}), 2) << place;
	EXPECT_EQ(run({"spawn", "-n", "2", "--net", "web,ip=10.9.0.2"}), 2);
	EXPECT_EQ(err, "vmctl: spawn: --net web,ip=10.9.0.2: 2 VMs cannot have one address\n"
		       "vmctl: try 'vmctl help spawn'\n");
	EXPECT_EQ(run({"spawn", "--net", "db"}), 125);
	EXPECT_EQ(err, "vmctl: spawn: --net db: no such network\n"
		       "vmctl: to mend it: make it: vmctl net create db --subnet 10.9.0.0/16\n");
	EXPECT_EQ(fake.spawns.size(), 0u);
}

TEST_F(launch_test, what_the_module_says_of_places)
{
	fake.networks["web"] = 7;
	fake.spawn_most = 0;
	for (const auto &[code, text] : {std::pair(ENODEV, "no such network"),
					 {EPERM, "someone else's network"},
					 {EADDRINUSE, "10.9.0.2: another VM has that address"},
					 {EINVAL, "10.9.0.2: not an address for a VM of this network"},
					 {EADDRNOTAVAIL, "the network has no address left, or none at all"}}) {
		fake.spawn_error = code;
		EXPECT_EQ(run({"spawn", "--net", "web,ip=10.9.0.2"}), 125);
		EXPECT_EQ(err.substr(0, err.find('\n')), std::string("vmctl: spawn: ") + text);
	}
}

TEST_F(launch_test, spawn_refuses_bad_names)
{
	for (const char *name : {"", "1web", "-web", "we b", "web/1",
				 "w\xc3\xa9"
				 "b"})
		EXPECT_EQ(run({"spawn", "--name", name}), 2) << name;
	EXPECT_EQ(run({"spawn", "--name", std::string(64, 'x').c_str()}), 2);
	EXPECT_EQ(run({"spawn", "--name", std::string(63, 'x').c_str()}), 0);
	EXPECT_EQ(run({"spawn", "-n", "10", "--name", std::string(61, 'x').c_str()}), 2);
}

TEST_F(launch_test, automatic_names_are_not_to_be_given)
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

TEST_F(launch_test, spawn_names_vms)
{
	EXPECT_EQ(run({"spawn", "--name", "web"}), 0);
	EXPECT_EQ(run({"spawn", "-n", "2", "--name", "web"}), 0);
	EXPECT_STREQ(fake.vms[0].name, "web");
	EXPECT_STREQ(fake.vms[2].name, "web-2");
}

TEST_F(launch_test, spawn_prints_ids_only_where_nobody_reads_them)
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

TEST_F(launch_test, spawn_is_one_call_without_a_terminal_and_steps_with_one)
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

TEST_F(launch_test, spawn_tells_what_a_failed_batch_made)
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

TEST_F(launch_test, run_detached_prints_the_id)
{
	terminal = true;
	EXPECT_EQ(run({"run", "-d", "--name", "web"}), 0);
	EXPECT_EQ(out, "1\n");
	EXPECT_EQ(fake.spawns[0].flags, unsigned{MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED});
}

TEST_F(launch_test, signals_ask_a_vm_in_the_foreground_to_stop)
{
	for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
		fake.while_running = [&] { std::raise(number); };
		EXPECT_EQ(run({"run"}), 128 + number);
	}
}

// As when a terminal is closed: the guest may say something, and then nobody hears it.
TEST_F(launch_test, a_vm_that_is_asked_to_stop_does_so_unheard)
{
	const auto run_until_fourth = [&](int number) {
		int runs = 0;

		fake.outcome = MAYFLY_RAN_OUTPUT;
		fake.while_running = [&, number] {
			if (++runs == 1 && number != 0)
				std::raise(number);
			fake.consoles[fake.vms.back().id] += "bye\n";
			if (runs == 4) {
				fake.outcome = MAYFLY_RAN_ENDED;
				fake.end(fake.vms.back(), MAYFLY_END_EXITED);
			}
		};
		return run({"run"});
	};

	out_to = "/dev/full";
	for (const int number : {SIGHUP, SIGINT, SIGTERM}) {
		EXPECT_EQ(run_until_fourth(number), 128 + number);
		EXPECT_EQ(err, "");
		EXPECT_EQ(fake.vms.back().state, unsigned{MAYFLY_ENDED});
	}
	// Of others the loss is a failure.
	EXPECT_EQ(run_until_fourth(0), 125);
	EXPECT_NE(fake.vms.back().state, unsigned{MAYFLY_ENDED});
	// This says EIO, as a terminal that has gone, and no signal has come yet.
	out_to = "/proc/self/mem";
	terminal = true;
	EXPECT_EQ(run_until_fourth(0), 128 + SIGHUP);
	EXPECT_EQ(fake.vms.back().state, unsigned{MAYFLY_ENDED});
}

TEST_F(launch_test, ignored_signals_stay_ignored)
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

TEST_F(launch_test, create_does_not_start)
{
	EXPECT_EQ(run({"create", "-q"}), 0);
	EXPECT_EQ(fake.spawns[0].flags, unsigned{MAYFLY_SPAWN_DETACHED});
	EXPECT_EQ(run({"start", "1"}), 0);
}

} // namespace
