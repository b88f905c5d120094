// SPDX-License-Identifier: Apache-2.0
//
// What those who save VMs ask for: what is in an image, a VM's arguments, a pause that
// ends with its descriptor.

#include <algorithm>
#include <csignal>
#include <vector>

#include <sys/wait.h>

#include "snapshots.hpp"

namespace
{

using live::access_memory;
using live::image_info;
using live::machine;
using live::page;
using live::snapshot;
using live::vcpu_state;

using extents = std::vector<mayfly_extent>;

mayfly_extents extents_request(extents &room, const live::fd *base = nullptr)
{
	mayfly_extents request{};

	request.extents = live::address(room.data());
	request.count = static_cast<std::uint32_t>(room.size());
	request.base = base ? base->get() : -1;
	return request;
}

class Contents : public live::Snapshots
{
protected:
	/// All that there are, asked for \p at_once at a time.
	static extents list(const live::fd &image, const live::fd *base = nullptr, std::size_t at_once = 16)
	{
		extents all, some(at_once);
		mayfly_extents request = extents_request(some, base);

		while (request.gpa < MAYFLY_MEMORY_MAX) {
			request.count = static_cast<std::uint32_t>(at_once);

			const int ret = live::call(image, MAYFLY_EXTENTS, &request);

			EXPECT_EQ(ret, 0);
			if (ret != 0)
				break;
			all.insert(all.end(), some.begin(), some.begin() + request.count);
		}
		return all;
	}
	static std::vector<std::byte> bytes_at(const live::fd &object, std::uint64_t gpa, std::size_t length)
	{
		std::vector<std::byte> bytes(length);

		EXPECT_EQ(access_memory(object, gpa, bytes, 0), 0);
		return bytes;
	}
	static int hold(const machine &vm, std::uint32_t op, std::uint32_t flags)
	{
		mayfly_control control{};

		control.op = op;
		control.flags = flags;
		return live::call(vm.handle(), MAYFLY_CONTROL, &control);
	}
	[[nodiscard]] machine opened(const machine &vm) const
	{
		mayfly_open request{};

		request.id = vm.info().id;
		EXPECT_EQ(live::call(device, MAYFLY_OPEN, &request), 0);
		return machine(live::fd(request.fd));
	}
};

bool are_same(const mayfly_extent &a, const mayfly_extent &b)
{
	return a.gpa == b.gpa && a.length == b.length && a.flags == b.flags;
}

TEST_F(Contents, OfAnImageAreItsSegments)
{
	live::image_request request(guests::exit42);
	std::vector<std::byte> data(3 * page - 100, std::byte{7});
	const mayfly_segment segments[]{
		request.segments[0],
		request.segments[1],
		{.gpa = 4 << 20,
		 .length = data.size(),
		 .source = live::address(data.data()),
		 .flags = MAYFLY_SEGMENT_WRITE,
		 .reserved = 0},
		{.gpa = (4 << 20) + 3 * page,
		 .length = 1,
		 .source = live::address(data.data()),
		 .flags = 0,
		 .reserved = 0},
		{.gpa = 3ull << 30,
		 .length = 1,
		 .source = live::address(data.data()),
		 .flags = MAYFLY_SEGMENT_WRITE | MAYFLY_SEGMENT_EXECUTE,
		 .reserved = 0},
	};

	request.create.segments = live::address(segments);
	request.create.nr_segments = std::size(segments);

	const live::fd image(live::create_image(device, request.create));
	extents expected;

	ASSERT_GE(image.get(), 0);
	for (const mayfly_segment &one : segments)
		expected.push_back({one.gpa, (one.length + page - 1) / page * page, one.flags, 0});
	for (const std::size_t at_once : {1, 2, 16})
		EXPECT_TRUE(std::ranges::equal(list(image, nullptr, at_once), expected, are_same)) << at_once;
	EXPECT_TRUE(list(image, &image).empty());

	// The rest of the last page, and what is not there, is zero.
	const auto bytes = bytes_at(image, 4 << 20, 3 * page);

	EXPECT_TRUE(std::equal(data.begin(), data.end(), bytes.begin()));
	EXPECT_TRUE(std::all_of(bytes.begin() + data.size(), bytes.end(),
				[](std::byte one) { return one == std::byte{}; }));
	EXPECT_EQ(bytes_at(image, 2ull << 30, page), std::vector<std::byte>(page));

	vcpu_state state{};

	ASSERT_EQ(live::get_state(image, state), 0);
	EXPECT_EQ(state.rip, guests::entry);
	EXPECT_EQ(state.generation, 0u);
	EXPECT_EQ(image_info(image).flags, 0u);
}

TEST_F(Contents, OfASnapshotAreWhatTheVmHasWritten)
{
	const live::fd image = live::make_image(device, guests::twin);
	const machine vm = twin_of(image, 50);
	std::vector<std::byte> mark(page, std::byte{9});

	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	ASSERT_EQ(access_memory(vm.handle(), 9 << 20, mark, MAYFLY_MEMORY_WRITE), 0);

	const vcpu_state before = vm.state();
	const std::uint64_t tsc = guest_tsc(vm), written = vm.info().guest_pages;
	const live::fd taken = snapshot(vm);
	const extents all = list(taken), beyond = list(taken, &image);
	std::uint64_t pages = 0;

	for (const mayfly_extent &one : beyond) {
		pages += one.length / page;
		EXPECT_EQ(bytes_at(taken, one.gpa, one.length), bytes_at(vm.handle(), one.gpa, one.length));
	}
	EXPECT_EQ(pages, written) << "those of the image are left out";
	EXPECT_GT(all.size(), 0u);
	EXPECT_TRUE(std::ranges::any_of(beyond, [](const mayfly_extent &one) { return one.gpa == 9 << 20; }));

	vcpu_state state{};

	ASSERT_EQ(live::get_state(taken, state), 0);
	EXPECT_EQ(state.rip, before.rip);
	EXPECT_EQ(state.waiting, before.waiting);
	EXPECT_EQ(state.generation, before.generation);
	EXPECT_GE(state.tsc_offset, tsc) << "the guest's TSC at that moment";
	EXPECT_LE(state.tsc_offset, guest_tsc(vm));
	EXPECT_EQ(image_info(taken).flags, unsigned{MAYFLY_IMAGE_SNAPSHOT});
}

TEST_F(Contents, BadRequestsAreRefused)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	extents room(4);
	std::array<std::byte, 8> bytes{};
	const auto refused = [&](auto change) {
		mayfly_extents request = extents_request(room);

		change(request);
		return live::call(image, MAYFLY_EXTENTS, &request);
	};

	EXPECT_EQ(refused([](auto &) {}), 0);
	EXPECT_EQ(refused([](auto &r) { r.gpa = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.gpa = MAYFLY_MEMORY_MAX + page; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.count = 0; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.count = MAYFLY_MAX_BATCH + 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.flags = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.unused = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.reserved[1] = 1; }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.base = -2; }), -EBADF);
	EXPECT_EQ(refused([](auto &r) { r.base = 9999; }), -EBADF);
	EXPECT_EQ(refused([&](auto &r) { r.base = vm.handle().get(); }), -EINVAL);
	EXPECT_EQ(refused([](auto &r) { r.extents = 8; }), -EFAULT);
	EXPECT_EQ(live::call(image, MAYFLY_EXTENTS, static_cast<mayfly_extents *>(nullptr)), -EFAULT);

	EXPECT_EQ(access_memory(image, guests::gpa, bytes, MAYFLY_MEMORY_WRITE), -EINVAL);
	EXPECT_EQ(access_memory(image, MAYFLY_GPA_DEVICE, bytes, 0), -EFAULT);
	EXPECT_EQ(access_memory(image, MAYFLY_MEMORY_MAX - 4, bytes, 0), -EFAULT);
	EXPECT_EQ(access_memory(image, ~0ull, bytes, 0), -EFAULT);

	vcpu_state state{};

	EXPECT_EQ(live::set_state(image, state), -ENOTTY);
}

TEST_F(Contents, AVmTellsItsArguments)
{
	static constexpr char args[] = "one\0\0three";
	const live::fd image = live::make_image(device, guests::exit42);
	mayfly_spawn spawn = live::spawn_request(image);
	std::array<char, MAYFLY_ARGS_MAX> room{};
	mayfly_arguments request{};

	spawn.args = live::address(args);
	spawn.args_length = sizeof(args);
	ASSERT_EQ(live::call(device, MAYFLY_SPAWN, &spawn), 0);

	const live::fd vm(spawn.fd);

	request.buffer = live::address(room.data());
	request.size = sizeof(args) - 1;
	EXPECT_EQ(live::call(vm, MAYFLY_ARGUMENTS, &request), -EINVAL);
	EXPECT_EQ(request.size, sizeof(args));
	EXPECT_EQ(live::call(vm, MAYFLY_ARGUMENTS, &request), 0);
	EXPECT_EQ(std::memcmp(room.data(), args, sizeof(args)), 0);
	request.flags = 1;
	EXPECT_EQ(live::call(vm, MAYFLY_ARGUMENTS, &request), -EINVAL);
	request.flags = 0;
	request.buffer = 8;
	EXPECT_EQ(live::call(vm, MAYFLY_ARGUMENTS, &request), -EFAULT);

	const machine without(image, device);

	request.size = 0;
	EXPECT_EQ(live::call(without.handle(), MAYFLY_ARGUMENTS, &request), 0);
	EXPECT_EQ(request.size, 0u);
}

TEST_F(Contents, AHeldVmGoesOnWhenItsHolderIsGone)
{
	const live::fd image = live::make_image(device, guests::twin);
	const machine vm = twin_of(image, 1);
	const auto is_paused = [&] { return vm.info().state == MAYFLY_PAUSED; };
	{
		const machine holder = opened(vm);

		ASSERT_EQ(hold(holder, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), 0);
		EXPECT_TRUE(is_paused());
		EXPECT_EQ(hold(vm, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), -EBUSY);
		EXPECT_EQ(hold(holder, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), -EBUSY);
	}
	EXPECT_FALSE(is_paused());
	expect_answer(vm);
	{
		const machine holder = opened(vm);

		ASSERT_EQ(hold(holder, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), 0);
		EXPECT_EQ(hold(vm, MAYFLY_OP_PAUSE, 0), 0) << "now it lasts";
		EXPECT_EQ(hold(holder, MAYFLY_OP_PAUSE, 0), -EALREADY);
		EXPECT_EQ(hold(holder, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), -EALREADY);
	}
	EXPECT_TRUE(is_paused());
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	{
		const machine holder = opened(vm);

		ASSERT_EQ(hold(holder, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), 0);
		EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
		EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0) << "somebody else's, which stays";
	}
	EXPECT_TRUE(is_paused());
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	expect_good_end(vm);
	EXPECT_EQ(hold(vm, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD), -ESRCH);
	EXPECT_EQ(hold(vm, MAYFLY_OP_RESUME, MAYFLY_CONTROL_HOLD), -EINVAL);
	EXPECT_EQ(hold(vm, MAYFLY_OP_PAUSE, 2), -EINVAL);
}

/// The pause of who does not wait for it may come when he is gone.
TEST_F(Contents, AHoldThatIsInterruptedHoldsNothing)
{
	const live::fd image = live::make_image(device, guests::spin);
	const machine vm(image, device, MAYFLY_SPAWN_START);

	for (int i = 0; i < 50; i++) {
		const pid_t child = fork();

		if (child == 0) {
			const machine holder = opened(vm);

			hold(holder, MAYFLY_OP_PAUSE, MAYFLY_CONTROL_HOLD);
			pause();
		}
		ASSERT_GT(child, 0);
		usleep(static_cast<useconds_t>(i % 10) * 200);
		kill(child, SIGKILL);
		ASSERT_EQ(waitpid(child, nullptr, 0), child);
		EXPECT_TRUE(live::eventually([&] { return vm.info().state != MAYFLY_PAUSED; }));
	}

	const std::uint64_t before = vm.info().cpu_ns;

	EXPECT_TRUE(live::eventually([&] { return vm.info().cpu_ns > before; }));
	EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
}

TEST_F(Contents, TheGenerationIsPartOfTheState)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	vcpu_state state = vm.state();
	const auto device_page = [&] { return live::device_page(vm); };

	EXPECT_EQ(state.generation, 1u);
	EXPECT_EQ(device_page().generation, 1u);
	EXPECT_EQ(device_page().clock.seq, state.clock_seq);
	state.generation = 77;
	state.clock_seq = 1000;
	ASSERT_EQ(vm.set_state(state), 0);
	EXPECT_EQ(device_page().generation, 77u);
	EXPECT_GT(device_page().clock.seq, 1000u);
	EXPECT_EQ(device_page().clock.seq % 2, 0u);

	const machine clone(snapshot(vm), device);

	EXPECT_EQ(clone.state().generation, 78u);
	EXPECT_GT(clone.state().clock_seq, 1000u);
	state.clock_seq = 1001;
	EXPECT_EQ(vm.set_state(state), -EINVAL);
}

TEST_F(Contents, AnImageSaysWhichVendorItsGuestsSee)
{
	live::image_request request(guests::exit42);

	for (const std::uint32_t vendor : {MAYFLY_VENDOR_AMD, MAYFLY_VENDOR_INTEL}) {
		request.create.cpu_vendor = vendor;

		const live::fd image(live::create_image(device, request.create));

		ASSERT_GE(image.get(), 0);
		EXPECT_EQ(image_info(image).cpu_vendor, vendor);
	}
	request.create.cpu_vendor = 3;
	EXPECT_EQ(live::create_image(device, request.create), -EINVAL);
}

}
