// SPDX-License-Identifier: Apache-2.0
// The library over a pretended module.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "elf_builder.hpp"
#include "fake_module.hpp"

namespace
{

using vmctl::device;
using vmctl::network_place;
using vmctl::operation;

class device_test : public testing::Test
{
protected:
	fake_module fake;

	device open()
	{
		auto opened = device::open(fake);

		EXPECT_TRUE(opened);
		return std::move(*opened);
	}

	static vmctl::image load(const device &to)
	{
		const std::string elf = elf_builder::guest().text();
		auto loaded = to.load_image(std::as_bytes(std::span(elf)), "guest");

		EXPECT_TRUE(loaded);
		return std::move(*loaded);
	}
};

TEST_F(device_test, closes_what_it_opened)
{
	{
		const device to = open();
		const auto from = load(to);
		const auto vm = to.spawn_attached(from, {});

		ASSERT_TRUE(vm);
		EXPECT_EQ(fake.open_fds.size(), 3u);
	}
	EXPECT_TRUE(fake.open_fds.empty());
}

TEST_F(device_test, refuses_an_older_version)
{
	fake.module_info.api_version = 0;

	const auto opened = device::open(fake);

	ASSERT_FALSE(opened);
	EXPECT_EQ(opened.error().what, "/dev/mayfly: the module speaks version 0, this program needs version " +
					       std::to_string(MAYFLY_API_VERSION));
	EXPECT_TRUE(fake.open_fds.empty());
}

TEST_F(device_test, takes_a_newer_version_with_more_features)
{
	fake.module_info.api_version = 7;
	fake.module_info.features = ~0ull;
	EXPECT_TRUE(device::open(fake));
}

TEST_F(device_test, says_which_features_are_missing)
{
	fake.module_info.features &= ~(MAYFLY_FEATURE_END_RECORDS | MAYFLY_FEATURE_MEMORY);

	const auto opened = device::open(fake);

	ASSERT_FALSE(opened);
	EXPECT_EQ(opened.error().what,
		  "/dev/mayfly: the module is too old: it lacks records of ends, access to guest memory");
}

TEST_F(device_test, reads_the_ends)
{
	const device to = open();

	fake.add("one");
	fake.end(fake.add("two"), MAYFLY_END_EXITED, 5);
	EXPECT_EQ(to.ends(), (std::vector<vmctl::vm_end>{{.id = 2, .reason = vmctl::end_reason::exited, .status = 5}}));
	EXPECT_EQ(to.ends(std::chrono::milliseconds(0)), std::vector<vmctl::vm_end>());
}

TEST_F(device_test, loads_an_image_with_its_entry_table)
{
	const device to = open();
	const auto from = load(to);

	ASSERT_EQ(fake.segments.size(), 3u);
	EXPECT_EQ(fake.segments[0].gpa, 0x10000u);
	EXPECT_EQ(fake.segments[0].length, 4096u);
	EXPECT_EQ(fake.segments[0].flags, unsigned{MAYFLY_SEGMENT_WRITE});
	EXPECT_EQ(fake.segments[1].gpa, 0x100000u);
	EXPECT_EQ(fake.segments[1].length, 100u);
	EXPECT_EQ(fake.segments[1].flags, unsigned{MAYFLY_SEGMENT_EXECUTE});
	EXPECT_EQ(fake.segments[2].flags, unsigned{MAYFLY_SEGMENT_WRITE});
	EXPECT_EQ(fake.image.rip, 0xffffffff80100000u);
	EXPECT_EQ(fake.image.rsp, 0u);
	EXPECT_EQ(fake.image.cr3, 0x10000u);
	EXPECT_EQ(fake.image.rdi, 0xffffffff80002000u);
	EXPECT_EQ(fake.image.memory_min, 0x104000u);
	EXPECT_EQ(fake.image.memory_default, 0u);
	EXPECT_EQ(fake.image.cpu_level, unsigned{MAYFLY_CPU_SSE2});
	EXPECT_STREQ(fake.image.label, "guest");
	EXPECT_EQ(from.info()->memory_min, 0x104000u);
	EXPECT_EQ(from.info()->label, "guest");
}

TEST_F(device_test, loads_an_image_with_options)
{
	const device to = open();
	const std::string elf = elf_builder::guest().text();
	const auto load = [&](const vmctl::image_options &options) {
		return to.load_image(std::as_bytes(std::span(elf)), "guest", options);
	};

	ASSERT_TRUE(load({.memory = 32 << 20, .level = vmctl::cpu_level::sse42}));
	EXPECT_EQ(fake.image.memory_default, 32u << 20);
	EXPECT_EQ(fake.image.cpu_level, unsigned{MAYFLY_CPU_SSE42});
	EXPECT_EQ(load({.memory = 4097}).error().code, EINVAL);
	EXPECT_EQ(load({.memory = 4096}).error().what, "needs at least 1064960 bytes of memory");
}

TEST_F(device_test, names_images_and_finds_them)
{
	const device to = open();
	const auto first = load(to), second = load(to);

	ASSERT_TRUE(first.tag("web"));
	EXPECT_EQ(second.tag("web").error().what, "another image is called web");
	EXPECT_EQ(to.open_image("web")->info()->id, 1u);
	EXPECT_TRUE(second.tag("web", true));
	EXPECT_EQ(to.open_image("web")->info()->id, 2u);
	EXPECT_EQ(to.open_image(1)->info()->name, "");
	EXPECT_EQ(to.open_image(3).error().code, ENOENT);
	EXPECT_EQ(to.open_image("").error().code, ENOENT);
	EXPECT_EQ(to.open_image(std::string(200, 'x')).error().code, ENOENT);
	EXPECT_EQ(second.tag("9lives").error().code, EINVAL);
	EXPECT_TRUE(second.remove());
	EXPECT_EQ(second.remove().error().code, ENOENT);

	const auto all = to.images();

	ASSERT_EQ(all->size(), 2u);
	EXPECT_EQ(all->at(1).label, "guest");
	EXPECT_EQ(all->at(1).memory_min, 0x104000u);
}

TEST_F(device_test, shortens_an_images_long_name)
{
	const device to = open();
	const std::string elf = elf_builder::guest().text();

	ASSERT_TRUE(to.load_image(std::as_bytes(std::span(elf)), std::string(200, 'x')));
	EXPECT_EQ(std::string(fake.image.label), std::string(63, 'x'));
}

TEST_F(device_test, spawns_a_batch_in_one_call)
{
	const device to = open();
	const std::vector<std::string> arguments{"one", "", "three"};
	const auto made = to.spawn(load(to), {.count = 1000, .arguments = arguments, .name = "web", .first = 1});

	EXPECT_FALSE(made.failure);
	EXPECT_EQ(made.ids.size(), 1000u);
	EXPECT_EQ(made.ids.back(), 1000u);
	EXPECT_EQ(fake.calls[MAYFLY_SPAWN], 1);
	EXPECT_EQ(fake.spawns[0].flags, unsigned{MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_NUMBERED});
	EXPECT_EQ(fake.spawn_arguments[0], std::string("one\0\0three\0", 11));
	EXPECT_STREQ(fake.vms[999].name, "web-1000");
}

TEST_F(device_test, reports_what_a_failed_batch_made)
{
	const device to = open();

	fake.spawn_most = 312;

	const auto made = to.spawn(load(to), {.count = 1000});

	ASSERT_TRUE(made.failure);
	EXPECT_EQ(made.failure->code, ENOMEM);
	EXPECT_EQ(made.ids.size(), 312u);
}

TEST_F(device_test, asks_for_any_address_where_one_cannot_be_had)
{
	for (const int code : {EADDRINUSE, EINVAL, EPERM}) {
		const device to = open();

		fake.places.clear();
		fake.spawn_most = 0;
		fake.spawn_error = code;
		EXPECT_TRUE(to.spawn(load(to), {.places = {{.network = 7, .ip4 = 9}}}).failure);
		EXPECT_EQ(fake.places.size(), 1u);
		EXPECT_TRUE(to.spawn(load(to), {.places = {{.network = 7, .ip4 = 9, .or_any = true}}}).failure);
		ASSERT_EQ(fake.places.size(), code == EPERM ? 2u : 3u);
		EXPECT_EQ(ntohl(fake.places[1].ip4), 9u);
		EXPECT_EQ(fake.places.back().ip4 == 0, code != EPERM);
		EXPECT_EQ(fake.places.back().ifindex, 7u);
	}
}

TEST_F(device_test, names_the_owner_of_a_busy_cpu)
{
	const device to = open();

	fake.spawn_most = 0;
	fake.spawn_error = EBUSY;
	fake.files["/proc/modules"] = "kvm_amd 155648 3 - Live 0x0\nkvm 1146880 1 kvm_amd, Live 0x0\n";

	const auto made = to.spawn(load(to), {});

	ASSERT_TRUE(made.failure);
	EXPECT_EQ(made.failure->what, "KVM has virtual machines and holds the CPU's virtualization");
	EXPECT_FALSE(made.failure->fix.empty());
}

TEST_F(device_test, names_the_limit_that_was_reached)
{
	struct {
		std::uint64_t vms, max_vms, user_vms, max_vms_user, bytes, max_bytes, user_bytes, max_bytes_user;
		const char *what, *parameter;
	} const cases[] = {
		{100, 500, 89, 90, 0, 0, 0, 0, "you have 89 of at most 90 VMs", "max_vms_user"},
		{500, 500, 2, 500, 0, 0, 0, 0, "there are 500 of at most 500 VMs", "max_vms"},
		// The nearer one of two, or the only one.
		{0, 9, 0, 9, 4500, 5000, 3900, 4000, "your VMs and images hold 3900 of at most 4000 bytes",
		 "max_bytes_user"},
		{0, 9, 0, 9, 4500, 5000, 2000, 4000, "all VMs and images hold 4500 of at most 5000 bytes", "max_bytes"},
		{0, 9, 0, 9, 4500, 0, 4096, 4000, "your VMs and images hold 4096 of at most 4000 bytes",
		 "max_bytes_user"},
		// By now there is room.
		{0, 9, 0, 9, 4500, 0, 4096, 0, "a limit was reached", "try again"},
	};
	const device to = open();
	const auto from = load(to);

	fake.spawn_most = 0;
	fake.spawn_error = EDQUOT;
	for (const auto &c : cases) {
		fake.module_info.vms = c.vms;
		fake.module_info.max_vms = c.max_vms;
		fake.module_info.user_vms = c.user_vms;
		fake.module_info.max_vms_user = c.max_vms_user;
		fake.module_info.bytes = c.bytes;
		fake.module_info.max_bytes = c.max_bytes;
		fake.module_info.user_bytes = c.user_bytes;
		fake.module_info.max_bytes_user = c.max_bytes_user;

		const auto many = to.spawn(from, {.count = 3});
		const auto one = to.spawn_attached(from, {.count = 3});

		ASSERT_TRUE(many.failure);
		EXPECT_EQ(many.failure->code, EDQUOT);
		EXPECT_EQ(many.failure->what, c.what);
		EXPECT_TRUE(many.failure->fix.ends_with(c.parameter)) << many.failure->fix;
		ASSERT_FALSE(one);
		EXPECT_EQ(one.error().code, EDQUOT);
	}
}

TEST_F(device_test, names_the_limit_of_threads)
{
	const device to = open();
	const auto from = load(to);

	fake.spawn_most = 0;
	fake.spawn_error = EAGAIN;

	const auto made = to.spawn(from, {.count = 1});

	ASSERT_TRUE(made.failure);
	EXPECT_EQ(made.failure->code, EAGAIN);
	EXPECT_TRUE(made.failure->fix.ends_with("ulimit -u")) << made.failure->fix;
}

TEST_F(device_test, refuses_long_names_and_arguments)
{
	const device to = open();
	const auto from = load(to);
	const std::vector<std::string> arguments{std::string(MAYFLY_ARGS_MAX, 'x')};

	EXPECT_TRUE(to.spawn(from, {.name = std::string(64, 'x')}).failure);
	EXPECT_EQ(to.spawn(from, {.arguments = arguments}).failure->code, E2BIG);
	EXPECT_EQ(fake.calls[MAYFLY_SPAWN], 0);
}

TEST_F(device_test, lists_page_by_page)
{
	const device to = open();

	for (int i = 0; i < 5000; i++)
		fake.add("vm");

	auto rows = to.list();

	ASSERT_TRUE(rows);
	EXPECT_EQ(rows->size(), 5000u);
	EXPECT_EQ(rows->back().id, 5000u);
	EXPECT_EQ(fake.calls[MAYFLY_LIST], 2);

	fake.list_most = 7; // the module may give fewer than asked for
	rows = to.list();
	ASSERT_TRUE(rows);
	EXPECT_EQ(rows->size(), 5000u);

	rows = to.list(4998, 4999);
	ASSERT_TRUE(rows);
	ASSERT_EQ(rows->size(), 2u);
	EXPECT_EQ(rows->front().id, 4998u);
	EXPECT_TRUE(to.list(0, 0)->empty());
}

TEST_F(device_test, controls_many_and_tells_of_each)
{
	const device to = open();

	fake.add("one");
	fake.end(fake.add("two"), MAYFLY_END_EXITED);

	const std::vector<std::uint64_t> ids{1, 2, 3};
	const auto results = to.control(operation::kill, ids);

	ASSERT_TRUE(results);
	EXPECT_EQ(*results, (std::vector<int>{0, ESRCH, ENOENT}));
	EXPECT_EQ(fake.calls[MAYFLY_CONTROL], 1);
}

TEST_F(device_test, controls_more_than_a_batch)
{
	const device to = open();
	const std::vector<std::uint64_t> ids(MAYFLY_MAX_BATCH + 1, 9);
	const auto results = to.control(operation::kill, ids);

	ASSERT_TRUE(results);
	EXPECT_EQ(results->size(), ids.size());
	EXPECT_EQ(fake.calls[MAYFLY_CONTROL], 2);
	EXPECT_TRUE(to.control(operation::kill, {})->empty());
	EXPECT_EQ(fake.calls[MAYFLY_CONTROL], 2);
}

TEST_F(device_test, goes_on_after_an_interruption)
{
	const device to = open();

	fake.add("one");
	fake.add("two");
	fake.interruptions = 1;

	const std::vector<std::uint64_t> ids{1, 2};
	const auto results = to.control(operation::kill, ids);

	ASSERT_TRUE(results);
	EXPECT_EQ(*results, (std::vector<int>{0, 0}));
}

TEST_F(device_test, opens_vms)
{
	const device to = open();

	fake.add("one");
	fake.consoles[1] = "hello\n";

	const auto vm = to.open_vm(1);
	std::array<std::byte, 10> bytes;

	ASSERT_TRUE(vm);
	EXPECT_EQ(*vm->read(bytes), 6u);
	EXPECT_EQ(vm->read(bytes).error().code, EAGAIN);
	fake.end(fake.vms[0], MAYFLY_END_KILLED);
	EXPECT_EQ(*vm->read(bytes), 0u);
	EXPECT_EQ(to.open_vm(2).error().what, "2: no such VM");
	EXPECT_FALSE(to.open_vm(0));
	EXPECT_FALSE(to.open_vm(""));
	EXPECT_FALSE(to.open_vm(std::string(64, 'x')));
}

TEST_F(device_test, tells_the_modules_numbers)
{
	fake.module_info.backend = 2;
	fake.module_info.cold = 3;
	fake.module_info.flags = MAYFLY_INFO_DEBUG;

	auto info = open().info();

	ASSERT_TRUE(info);
	EXPECT_EQ(info->api_version, vmctl::api_version());
	EXPECT_EQ(to_string(info->backend), "VT-x");
	EXPECT_EQ(info->max_vms, 100000u);
	EXPECT_EQ(info->cold, 3u);
	EXPECT_TRUE(info->debug);
	EXPECT_FALSE(info->clock_stable);
	EXPECT_FALSE(info->cpu_max);
	fake.module_info.flags = MAYFLY_INFO_CLOCK;
	info = open().info();
	EXPECT_FALSE(info->debug);
	EXPECT_TRUE(info->clock_stable);
	fake.module_info.flags = MAYFLY_INFO_CPU_MAX;
	EXPECT_TRUE(open().info()->cpu_max);
}

TEST_F(device_test, takes_an_image_that_was_judged_before)
{
	const std::string file = elf_builder::guest().text();
	const auto elf = vmctl::elf_image::parse(std::as_bytes(std::span(file)));
	const device to = open();

	ASSERT_TRUE(elf);
	ASSERT_TRUE(to.load_image(*elf, "guest"));
	EXPECT_EQ(fake.image.rip, elf->entry());
}

} // namespace
