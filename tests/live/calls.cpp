// SPDX-License-Identifier: Apache-2.0
//
// Every call with bad input: null and unaligned pointers, reserved fields,
// unknown flags and commands, numbers out of range. Each must be refused with the
// documented errno and leave nothing behind (Live::TearDown looks).

#include <algorithm>
#include <functional>

#include <sys/mman.h>

#include "machine.hpp"

namespace
{

using live::machine;

class Calls : public live::Live
{
protected:
	live::fd image = live::make_image(device, guests::exit42);

	void TearDown() override
	{
		image.reset();
		Live::TearDown();
	}
	int create(const std::function<void(live::image_request &)> &bend,
		   std::span<const std::byte> code = guests::exit42)
	{
		live::image_request request(code);

		bend(request);
		const int ret = live::create_image(device, request.create);

		live::fd made(ret);
		return ret < 0 ? ret : 0;
	}
	int spawn(const std::function<void(mayfly_spawn &)> &bend)
	{
		mayfly_spawn request = live::spawn_request(image);

		bend(request);
		const int ret = call(device, MAYFLY_SPAWN, &request);

		live::fd made(request.fd);
		return ret;
	}
};

TEST_F(Calls, NullPointers)
{
	const machine vm(image, device);

	for (const unsigned long request : {MAYFLY_INFO, MAYFLY_IMAGE_CREATE, MAYFLY_IMAGE_LIST, MAYFLY_IMAGE_OPEN,
					    MAYFLY_SPAWN, MAYFLY_LIST, MAYFLY_OPEN, MAYFLY_CONTROL})
		EXPECT_EQ(call<void>(device, request, nullptr), -EFAULT) << request;
	for (const unsigned long request :
	     {MAYFLY_CONTROL, MAYFLY_STAT, MAYFLY_RUN, MAYFLY_GET_STATE, MAYFLY_SET_STATE, MAYFLY_MEMORY})
		EXPECT_EQ(call<void>(vm.handle(), request, nullptr), -EFAULT) << request;
	for (const unsigned long request : {MAYFLY_STAT, MAYFLY_IMAGE_TAG})
		EXPECT_EQ(call<void>(image, request, nullptr), -EFAULT) << request;
}

TEST_F(Calls, KernelPointers)
{
	const machine vm(image, device);
	void *const kernel = reinterpret_cast<void *>(0xffff888000000000);

	EXPECT_EQ(call(device, MAYFLY_INFO, kernel), -EFAULT);
	EXPECT_EQ(call(device, MAYFLY_SPAWN, kernel), -EFAULT);
	EXPECT_EQ(call(vm.handle(), MAYFLY_GET_STATE, kernel), -EFAULT);
	EXPECT_EQ(create([&](auto &r) { r.segments[1].source = live::address(kernel); }), -EFAULT);
	EXPECT_EQ(create([&](auto &r) { r.create.segments = live::address(kernel); }), -EFAULT);
	EXPECT_EQ(spawn([&](auto &s) {
			  s.args = live::address(kernel);
			  s.args_length = 8;
		  }),
		  -EFAULT);
	EXPECT_EQ(spawn([&](auto &s) { s.ids = live::address(kernel); }), -EFAULT);
}

TEST_F(Calls, UnalignedPointersAreFine)
{
	alignas(16) std::byte bytes[sizeof(mayfly_row) + 1];
	alignas(16) std::byte info[sizeof(mayfly_info) + 1];
	mayfly_row args{};

	args.row = live::address(info + 1);
	args.row_size = sizeof(mayfly_info);
	std::memcpy(bytes + 1, &args, sizeof(args));
	EXPECT_EQ(call(device, MAYFLY_INFO, bytes + 1), 0);
}

TEST_F(Calls, UnknownCommands)
{
	const machine vm(image, device);
	int dummy = 0;

	EXPECT_EQ(call(device, _IO(MAYFLY_IOC, 0x7f), &dummy), -ENOTTY);
	EXPECT_EQ(call(device, _IO(0xAE, 0x00), &dummy), -ENOTTY);
	EXPECT_EQ(call(vm.handle(), _IO(MAYFLY_IOC, 0x7f), &dummy), -ENOTTY);
	// A call on the wrong kind of descriptor.
	EXPECT_EQ(call(device, MAYFLY_RUN, &dummy), -ENOTTY);
	EXPECT_EQ(call(vm.handle(), MAYFLY_SPAWN, &dummy), -ENOTTY);
	EXPECT_EQ(call(image, MAYFLY_INFO, &dummy), -ENOTTY);
}

TEST_F(Calls, ImageRefusals)
{
	EXPECT_EQ(create([](auto &) {}), 0);
	EXPECT_EQ(create([](auto &r) { r.create.flags = 1; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.flags = 4; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.reserved[2] = 1; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.nr_segments = 0; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.nr_segments = MAYFLY_MAX_SEGMENTS + 1; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.nr_segments = 0xffffffff; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.segments = 0; }), -EFAULT);
	EXPECT_EQ(create([](auto &r) { r.create.label[0] = 0; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { std::memset(r.create.label, 'x', sizeof(r.create.label)); }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.rip = live::not_canonical(); }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.cr3 = 0x10001; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.cr3 = 0x40000; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.cr3 = ~0xfffull; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.memory_min = 4097; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.create.memory_min = MAYFLY_MEMORY_MAX + 4096; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].flags = 4; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].reserved = 1; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].length = 0; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].gpa += 1; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[0].gpa = 0x2000; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].gpa = r.segments[0].gpa; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { std::swap(r.segments[0], r.segments[1]); }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].gpa = MAYFLY_MEMORY_MAX; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].gpa = ~0xfffull; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].length = ~0ull; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].length = MAYFLY_MEMORY_MAX; }), -EINVAL);
	EXPECT_EQ(create([](auto &r) { r.segments[1].source = 0; }), -EFAULT);
	EXPECT_EQ(create([](auto &r) { r.segments[1].source = ~0ull - 8; }), -EFAULT);
	EXPECT_EQ(live::info(device).images, 1u);
}

TEST_F(Calls, SpawnRefusals)
{
	EXPECT_EQ(spawn([](auto &) {}), 0);
	EXPECT_EQ(spawn([](auto &s) { s.image = -1; }), -EBADF);
	EXPECT_EQ(spawn([](auto &s) { s.image = 0; }), -EINVAL);
	EXPECT_EQ(spawn([&](auto &s) { s.image = device.get(); }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.flags = 8; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.reserved[0] = 1; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.count = 0; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.count = 2; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.memory = 4096; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.memory += 1; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.memory = MAYFLY_MEMORY_MAX + 4096; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.memory = ~0ull << 12; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.args_length = MAYFLY_ARGS_MAX + 1; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.args_length = 1; }), -EFAULT);
	EXPECT_EQ(spawn([](auto &s) {
			  s.args = live::address("abc");
			  s.args_length = 3;
		  }),
		  -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.first = 1; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) { s.flags = MAYFLY_SPAWN_NUMBERED; }), -EINVAL);
	EXPECT_EQ(spawn([](auto &s) {
			  s.flags = MAYFLY_SPAWN_NUMBERED | MAYFLY_SPAWN_DETACHED;
			  std::strcpy(s.name, "n");
			  s.first = ~0u;
			  s.count = 2;
		  }),
		  -EINVAL);
	for (const char *name : {"1abc", "-a", "a b", "a/b", "\xc3\xa9", "vm1", "vm", "vm0x"}) {
		const bool good = !std::strcmp(name, "vm") || !std::strcmp(name, "vm0x");

		EXPECT_EQ(spawn([&](auto &s) { std::strcpy(s.name, name); }), good ? 0 : -EINVAL) << name;
	}
	EXPECT_EQ(spawn([](auto &s) { std::memset(s.name, 'x', sizeof(s.name)); }), -EINVAL);
	EXPECT_EQ(live::info(device).vms, 0u);
}

TEST_F(Calls, SpawnBeyondTheLimitMakesNothing)
{
	EXPECT_EQ(spawn([](auto &s) {
			  s.flags = MAYFLY_SPAWN_DETACHED;
			  s.count = 10000000;
		  }),
		  -EDQUOT);
	EXPECT_EQ(spawn([](auto &s) {
			  s.flags = MAYFLY_SPAWN_DETACHED;
			  s.count = 0xffffffff;
		  }),
		  -EDQUOT);
	EXPECT_EQ(live::info(device).vms, 0u);
}

TEST_F(Calls, ABatchThatFailsInTheMiddleKeepsWhatItMade)
{
	mayfly_spawn request = live::spawn_request(image, MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_NUMBERED);
	std::uint64_t ids[8] = {};

	std::strcpy(request.name, "taken");
	request.first = 3;
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &request), 0);
	request.first = 1;
	request.count = 8;
	request.ids = live::address(ids);
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &request), -EEXIST);
	EXPECT_EQ(request.created, 2u);
	EXPECT_EQ(live::info(device).vms, 3u);
	EXPECT_NE(ids[1], 0u);
	EXPECT_EQ(ids[2], 0u);

	mayfly_vm_info rows[8];
	mayfly_list list{};

	list.rows = live::address(rows);
	list.row_size = sizeof(mayfly_vm_info);
	list.count = 8;
	ASSERT_EQ(call(device, MAYFLY_LIST, &list), 0);
	ASSERT_EQ(list.count, 3u);
	EXPECT_EQ(list.next, 0u);
	EXPECT_STREQ(rows[1].name, "taken-1");
	for (const mayfly_vm_info &row : std::span(rows, 3)) {
		mayfly_control control{};
		std::int32_t result = 1;

		control.ids = live::address(&row.id);
		control.results = live::address(&result);
		control.count = 1;
		for (const std::uint32_t op : {MAYFLY_OP_KILL, MAYFLY_OP_REMOVE}) {
			control.op = op;
			EXPECT_EQ(call(device, MAYFLY_CONTROL, &control), 0);
			EXPECT_EQ(result, 0);
			EXPECT_EQ(control.done, 1u);
		}
	}
}

TEST_F(Calls, DuplicateNames)
{
	mayfly_spawn request = live::spawn_request(image);

	std::strcpy(request.name, "twin");
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &request), 0);
	live::fd first(request.fd);
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &request), -EEXIST);
	EXPECT_EQ(request.fd, -1);
	first.reset();
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &request), 0);
	live::fd second(request.fd);
}

TEST_F(Calls, OpenByIdAndName)
{
	mayfly_spawn request = live::spawn_request(image);
	std::uint64_t id = 0;

	std::strcpy(request.name, "door");
	request.ids = live::address(&id);
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &request), 0);
	const live::fd owner(request.fd);
	const auto open = [&](std::uint64_t by_id, const char *by_name, std::uint32_t flags = 0) {
		mayfly_open args{};

		args.id = by_id;
		args.flags = flags;
		std::strcpy(args.name, by_name);
		const int ret = call(device, MAYFLY_OPEN, &args);
		live::fd made(ret ? -1 : args.fd);
		return ret;
	};

	EXPECT_EQ(open(id, ""), 0);
	EXPECT_EQ(open(0, "door"), 0);
	EXPECT_EQ(open(0, "window"), -ENOENT);
	EXPECT_EQ(open(id + 1, ""), -ENOENT);
	EXPECT_EQ(open(~0ull, ""), -ENOENT);
	EXPECT_EQ(open(0, ""), -EINVAL);
	EXPECT_EQ(open(id, "door"), -EINVAL);
	EXPECT_EQ(open(id, "", 1), -EINVAL);
}

TEST_F(Calls, ListRefusals)
{
	mayfly_vm_info row;
	const auto list = [&](const std::function<void(mayfly_list &)> &bend) {
		mayfly_list args{};

		args.rows = live::address(&row);
		args.row_size = sizeof(mayfly_vm_info);
		args.count = 1;
		bend(args);
		return call(device, MAYFLY_LIST, &args);
	};
	const machine vm(image, device);

	EXPECT_EQ(list([](auto &) {}), 0);
	EXPECT_EQ(row.memory, MAYFLY_MEMORY_DEFAULT);
	EXPECT_EQ(list([](auto &l) { l.count = 0; }), -EINVAL);
	EXPECT_EQ(list([](auto &l) { l.count = MAYFLY_MAX_BATCH + 1; }), -EINVAL);
	EXPECT_EQ(list([](auto &l) { l.flags = 1; }), -EINVAL);
	EXPECT_EQ(list([](auto &l) { l.reserved[1] = 1; }), -EINVAL);
	EXPECT_EQ(list([](auto &l) { l.rows = 0; }), -EFAULT);
	EXPECT_EQ(list([](auto &l) { l.from = ~0ull; }), 0);
}

TEST_F(Calls, ControlRefusals)
{
	const machine vm(image, device);
	std::uint64_t id = vm.info().id;
	const auto control = [&](const std::function<void(mayfly_control &)> &bend) {
		mayfly_control args{};

		args.op = MAYFLY_OP_NOTIFY;
		args.ids = live::address(&id);
		args.count = 1;
		bend(args);
		return call(device, MAYFLY_CONTROL, &args);
	};
	std::int32_t result = 1;

	EXPECT_EQ(control([](auto &) {}), 0);
	EXPECT_EQ(control([](auto &c) { c.op = 0; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.op = 7; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.port = 64; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) {
			  c.op = MAYFLY_OP_KILL;
			  c.port = 1;
		  }),
		  -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.flags = 1; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.reserved[0] = 1; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.count = 0; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.count = MAYFLY_MAX_BATCH + 1; }), -EINVAL);
	EXPECT_EQ(control([](auto &c) { c.ids = 0; }), -EFAULT);
	EXPECT_EQ(control([](auto &c) { c.results = 8; }), -EFAULT);
	id += 1000;
	EXPECT_EQ(control([&](auto &c) { c.results = live::address(&result); }), 0);
	EXPECT_EQ(result, -ENOENT);
	// On a VM descriptor there is nothing to choose.
	mayfly_control args{};

	args.op = MAYFLY_OP_NOTIFY;
	args.count = 1;
	EXPECT_EQ(call(vm.handle(), MAYFLY_CONTROL, &args), -EINVAL);
}

TEST_F(Calls, RunRefusals)
{
	const machine vm(image, device);
	mayfly_run run{};

	run.flags = 8;
	EXPECT_EQ(call(vm.handle(), MAYFLY_RUN, &run), -EINVAL);
	run = {};
	run.want = 1;
	EXPECT_EQ(call(vm.handle(), MAYFLY_RUN, &run), -EINVAL);
	run = {};
	run.reserved[3] = 1;
	EXPECT_EQ(call(vm.handle(), MAYFLY_RUN, &run), -EINVAL);
	EXPECT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.run(), -ESRCH);
}

TEST_F(Calls, DescriptorsAreNotFiles)
{
	const machine vm(image, device);
	char byte = 0;

	EXPECT_EQ(write(vm.handle().get(), &byte, 1), -1);
	EXPECT_EQ(errno, EOPNOTSUPP);
	EXPECT_EQ(lseek(vm.handle().get(), 0, SEEK_SET), -1);
	EXPECT_EQ(errno, ESPIPE);
	EXPECT_EQ(read(image.get(), &byte, 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(read(vm.handle().get(), nullptr, 0), 0);
	// Rules 8 and 14: nothing is shared with users.
	for (const live::fd *on : std::initializer_list<const live::fd *>{&device, &image, &vm.handle()}) {
		EXPECT_EQ(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, on->get(), 0), MAP_FAILED);
		EXPECT_EQ(errno, ENODEV);
	}
}

/// Rule 8: an image has its own pages, not its maker's.
TEST_F(Calls, AnImageIsACopy)
{
	std::vector<std::byte> code(guests::exit42.begin(), guests::exit42.end());
	const live::fd own = live::make_image(device, code);

	std::ranges::fill(code, std::byte{0xcc});

	const machine vm(own, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 42);
}

TEST_F(Calls, WithoutDescriptorsLeftNothingIsMade)
{
	std::vector<live::fd> all;

	for (;;) {
		live::fd next(dup(0));

		if (next.get() < 0)
			break;
		all.push_back(std::move(next));
	}
	EXPECT_EQ(spawn([](auto &) {}), -EMFILE);
	EXPECT_EQ(create([](auto &) {}), -EMFILE);
	all.clear();
	EXPECT_EQ(live::info(device).vms, 0u);
	EXPECT_EQ(live::info(device).images, 1u);
}

}
