// SPDX-License-Identifier: Apache-2.0
// ps and the tables over a pretended module.
#include "command_line.hpp"

#include <arpa/inet.h>

#include <sstream>

#include <nlohmann/json.hpp>

namespace
{

using namespace std::string_literals;

class list_test : public command_line
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

	// Characters of the longest line, or of what is written over one.
	static std::size_t widest(const std::string &text)
	{
		std::size_t most = 0, width = 0;

		for (const char c : text) {
			if (c == '\n' || c == '\r')
				width = 0;
			else if ((c & 0xc0) != 0x80)
				most = std::max(most, ++width);
		}
		return most;
	}
};

TEST_F(list_test, ps_hides_the_ended)
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

TEST_F(list_test, ps_cuts_only_on_a_terminal)
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

TEST_F(list_test, tables_end_at_the_edge_of_the_terminal)
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

TEST_F(list_test, nothing_wraps_on_a_narrow_terminal)
{
	for (int i = 0; i < 200; i++)
		fake.add("vm");
	terminal = true;
	for (const unsigned short columns : std::initializer_list<unsigned short>{40, 20, 4, 3, 2}) {
		fake.terminal = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
		fake.vms.resize(200);
		EXPECT_EQ(run({"ps"}), 0);
		EXPECT_LT(widest(out), columns);
		EXPECT_NE(out.rfind(std::string("\n… 180 more").substr(0, columns + 2u)), std::string::npos) << out;
		EXPECT_EQ(run({"stats", "--no-stream", "-i", "0.1"}), 0);
		EXPECT_LT(widest(out), columns);
		EXPECT_EQ(run({"create", "-n", "100"}), 0);
		EXPECT_LT(widest(err.substr(0, err.find("\033[K"))), columns);
	}
	fake.terminal.ws_col = 40;
	EXPECT_EQ(run({"create", "-n", "100"}), 0);
	EXPECT_NE(err.find("\r[#############################] 100/100\r"), std::string::npos) << err;
}

TEST_F(list_test, ps_json_has_what_scripts_need)
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

// Text that no library has made.
TEST_F(list_test, ps_json_is_exact)
{
	const auto row_end = R"(,"exits":3,"cpu_ns":0,"memory":16777216,"private_bytes":36864,"created":0,)"s;
	const auto add = [&](const char *name, const char *image, std::uint32_t reason) {
		auto &row = fake.add(name);

		std::strcpy(row.image, image);
		fake.end(row, reason, -7);
		row.ended_ns = 8;
		row.rip = 0xffffffff80020000;
		row.address = 0x1000;
		row.detail = 0x80000021;
	};

	fake.add("one").nets[0].ip4 = htonl(0x0a090311);
	add("two", R"("a\b")", MAYFLY_END_EXITED);
	add("three", "caf\xe9 \xc3\xa9\x01\n", MAYFLY_END_BAD_ACCESS);
	add("four", "", MAYFLY_END_ENTRY_FAILED);
	ASSERT_EQ(run({"ps", "-a", "--json"}), 0);
	EXPECT_EQ(
		out,
		"[\n"
		R"({"id":1,"name":"one","state":"parked","image":"hello","image_id":0,"reason":null,"status":null)" +
			row_end +
			R"("ended":null,"uid":0,"detached":true,"started":true,"cold":false,"awaited":false,)"
			R"("ip":"10.9.3.17"},)"
			"\n"
			R"({"id":2,"name":"two","state":"ended","image":"\"a\\b\"","image_id":0,"reason":"exited","status":-7)" +
			row_end +
			R"("ended":8,"uid":0,"detached":true,"started":true,"cold":false,"awaited":false,"ip":null,)"
			R"("end":"exited with status -7"},)"
			"\n"
			"{\"id\":3,\"name\":\"three\",\"state\":\"ended\",\"image\":\"caf\xef\xbf\xbd \xc3\xa9\\u0001\\n\","
			R"("image_id":0,"reason":"bad-access","status":null)" +
			row_end +
			R"("ended":8,"uid":0,"detached":true,"started":true,"cold":false,"awaited":false,"ip":null,)"
			R"("end":"bad access to guest-physical 0x1000 at rip 0xffffffff80020000",)"
			R"("rip":"0xffffffff80020000","address":"0x1000"},)"
			"\n"
			R"({"id":4,"name":"four","state":"ended","image":"","image_id":0,"reason":"entry-failed","status":null)" +
			row_end +
			R"("ended":8,"uid":0,"detached":true,"started":true,"cold":false,"awaited":false,"ip":null,)"
			R"("end":"the CPU refused to enter the guest (code 0x80000021) at rip 0xffffffff80020000",)"
			R"("rip":"0xffffffff80020000","detail":"0x80000021"})"
			"\n]\n");
}

TEST_F(list_test, addresses_show_where_there_are_any)
{
	auto &row = fake.add("one");

	ASSERT_EQ(run({"ps"}), 0);
	EXPECT_EQ(out.find("IP"), std::string::npos) << out;
	row.nets[0].ip4 = htonl(0x0a090311);
	row.nets[1].ip4 = htonl(0x0a0a0002);
	fake.add("two");
	ASSERT_EQ(run({"ps"}), 0);
	EXPECT_NE(out.find("  IP\n"), std::string::npos) << out;
	EXPECT_NE(out.find("  10.9.3.17,10.10.0.2\n"), std::string::npos) << out;
	EXPECT_NE(out.find("  -\n"), std::string::npos) << out;
}

TEST_F(list_test, json_is_json_whatever_else_is_asked_for)
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

TEST_F(list_test, ps_keeps_the_terminal_safe)
{
	std::strcpy(fake.add("one").image, "\033]0;owned\a");
	EXPECT_EQ(run({"ps"}), 0);
	EXPECT_EQ(out.find('\033'), std::string::npos);
}

} // namespace
