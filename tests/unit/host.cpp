// SPDX-License-Identifier: Apache-2.0
// info, doctor and the device itself over a pretended module.
#include "command_line.hpp"

#include <nlohmann/json.hpp>

namespace
{

class host_test : public command_line
{};

TEST_F(host_test, every_failed_open_names_the_cause_and_the_fix)
{
	fake.open_errors["/dev/mayfly"] = EACCES;
	fake.files["/usr/lib/udev/rules.d/60-mayfly.rules"] = "";
	EXPECT_EQ(run({"ps"}), 125);
	EXPECT_EQ(err, "vmctl: ps: no right to open /dev/mayfly\n"
		       "vmctl: to mend it: sudo usermod -aG kvm $USER and log in again, or use sudo\n");
	EXPECT_EQ(run({"doctor"}), 1);
	EXPECT_NE(out.find("usermod"), std::string::npos);
}

TEST_F(host_test, doctor_and_info_speak_json)
{
	EXPECT_EQ(run({"doctor", "--json"}), 0);
	EXPECT_EQ(nlohmann::json::parse(out)[0]["result"], "ok");
	EXPECT_EQ(run({"info", "--json"}), 0);
	EXPECT_EQ(nlohmann::json::parse(out)[0]["backend"], "SVM");
	EXPECT_EQ(run({"info"}), 0);
}

TEST_F(host_test, info_shows_every_limit)
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
