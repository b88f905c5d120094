// SPDX-License-Identifier: Apache-2.0
// Images over a pretended module: which one a word means, and the image verbs.
#include "command_line.hpp"

#include <nlohmann/json.hpp>

namespace
{

class images_test : public command_line
{};

TEST_F(images_test, images_are_files_or_bundled)
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

TEST_F(images_test, a_name_means_a_loaded_image_then_a_bundled_one_then_a_file)
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

TEST_F(images_test, a_loaded_image_says_what_its_vms_need)
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

TEST_F(images_test, images_are_loaded_named_and_removed)
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

TEST_F(images_test, images_are_inspected)
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

TEST_F(images_test, bad_names_and_options_of_images_are_usage_errors)
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

TEST_F(images_test, a_family_has_help)
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

TEST_F(images_test, bad_images_show_without_a_module)
{
	fake.files.erase("/dev/mayfly");
	fake.files["hello.elf"] = "#!/bin/sh\n";
	EXPECT_EQ(run({"spawn", "hello.elf"}), 126);
	EXPECT_EQ(err, "vmctl: spawn: hello.elf: not an x86-64 ELF executable\n");
	EXPECT_EQ(run({"spawn"}), 125);
}

} // namespace
