// SPDX-License-Identifier: Apache-2.0
//
// Every allocation, and every copy from and to user space, of every call fails
// once. The call says so with a clean errno or manages without; the same call
// then works; and nothing is left behind.
//
// Among the faults counted are those of the kernel's own checks, which allocate
// too: the number is of what was made to fail, not of lines in the module.

#include <array>
#include <cstdio>
#include <memory>

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/mman.h>

#include <mayfly.h>
#include <mayfly_demand.h>

#include "injection.hpp"
#include "live/cgroup.hpp"
#include "live/machine.hpp"
#include "live/waiter.hpp"

namespace
{

using live::machine;

/// More allocations than any one call makes.
constexpr int too_many = 5000;

bool is_clean(int ret)
{
	return ret >= 0 || ret == -ENOMEM || ret == -EFAULT;
}

class Faults : public live::Live
{
protected:
	/// \p prepare makes what the call needs, anew for each fault; \p call does it
	/// and returns 0 or more, or a negative errno; \p undo makes it possible again.
	template <class Prepare, class Call, class Undo>
	void sweep(const char *name, Prepare prepare, Call call, Undo undo)
	{
		int faults = 0, refused = 0;

		for (int n = 1; n < too_many; n++) {
			auto subject = prepare();
			faults::nth_fault fault(n);
			const int ret = call(subject);
			const bool happened = fault.happened();

			ASSERT_TRUE(is_clean(ret)) << name << ", fault " << n << ": " << strerror(-ret);
			undo(subject, ret);
			if (!happened) {
				ASSERT_GE(ret, 0) << name << " without a fault: " << strerror(-ret);
				break;
			}
			faults++;
			if (ret < 0) {
				const int again = call(subject);

				refused++;
				ASSERT_GE(again, 0) << name << " after fault " << n << ": " << strerror(-again);
				undo(subject, again);
			}
		}
		EXPECT_GT(faults, 0) << name << ": nothing was reached";
		EXPECT_LT(faults, too_many - 1) << name << " has no end";
		std::printf("faults: %-24s %4d made, %4d of them refused the call\n", name, faults, refused);
		std::fflush(stdout);
	}
	template <class Prepare, class Call> void sweep(const char *name, Prepare prepare, Call call)
	{
		sweep(name, prepare, call, [](auto &, int) {});
	}
	/// For a call on a VM that waits and takes it any number of times.
	template <class Call> void sweep_vm(const char *name, Call call)
	{
		const machine vm(wait_image(), device);

		sweep(
			name, [] { return 0; }, [&](int) { return call(vm); });
	}
	const live::fd &wait_image()
	{
		if (wait_image_.get() < 0)
			wait_image_ = live::make_image(device, guests::wait_forever);
		return wait_image_;
	}
	[[nodiscard]] machine started() const
	{
		machine vm(wait_image_, device, MAYFLY_SPAWN_START);

		EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED; }));
		return vm;
	}
	int on_device(std::uint32_t op, std::uint64_t id) const
	{
		std::int32_t result = 0;
		mayfly_control control{};

		control.op = op;
		control.ids = live::address(&id);
		control.results = live::address(&result);
		control.count = 1;
		const int ret = live::call(device, MAYFLY_CONTROL, &control);

		return ret ? ret : result;
	}
	[[nodiscard]] std::vector<mayfly_vm_info> list() const
	{
		std::vector<mayfly_vm_info> rows(16);
		mayfly_list list{};

		list.rows = live::address(rows.data());
		list.row_size = sizeof(mayfly_vm_info);
		list.count = 16;
		EXPECT_EQ(live::call(device, MAYFLY_LIST, &list), 0);
		rows.resize(list.count);
		return rows;
	}
	/// Of the first registration; 0 without one.
	[[nodiscard]] std::uint64_t demand_id() const
	{
		mayfly_demand_info row{};
		mayfly_list list{};

		list.rows = live::address(&row);
		list.row_size = sizeof(row);
		list.count = 1;
		EXPECT_EQ(live::call(device, MAYFLY_DEMAND_LIST, &list), 0);
		return row.id;
	}
	void TearDown() override
	{
		wait_image_.reset();
		live::Live::TearDown();
	}

private:
	live::fd wait_image_;
};

TEST_F(Faults, Info)
{
	sweep(
		"INFO", [] { return mayfly_info{}; },
		[this](mayfly_info &info) { return live::call_row(device, MAYFLY_INFO, info); });
}

TEST_F(Faults, ImageCreate)
{
	sweep(
		"IMAGE_CREATE", [] { return live::image_request(guests::remember); },
		[this](live::image_request &request) { return live::create_image(device, request.create); },
		[](auto &, int ret) { live::fd(ret).reset(); });
}

/// The CPUs are taken, a pool and its workers are made: nothing exists before.
TEST_F(Faults, SpawnOfTheFirst)
{
	const live::fd image = live::make_image(device, guests::exit42);

	sweep(
		"SPAWN, the first", [&] { return live::spawn_request(image); },
		[this](mayfly_spawn &spawn) { return live::call(device, MAYFLY_SPAWN, &spawn); },
		[this](mayfly_spawn &spawn, int ret) {
			live::fd(ret ? -1 : spawn.fd).reset();
			EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
			EXPECT_EQ(live::info(device).vms, 0u);
		});
}

TEST_F(Faults, SpawnOfOneMore)
{
	const machine neighbour(wait_image(), device);

	sweep(
		"SPAWN, one more", [this] { return live::spawn_request(wait_image()); },
		[this](mayfly_spawn &spawn) { return live::call(device, MAYFLY_SPAWN, &spawn); },
		[this](mayfly_spawn &spawn, int ret) {
			live::fd(ret ? -1 : spawn.fd).reset();
			EXPECT_TRUE(live::eventually([this] { return live::info(device).vms == 1; }));
		});
}

TEST_F(Faults, SpawnOnANetwork)
{
	ASSERT_EQ(system("ip link add mf0 type mayfly && ip address add 10.9.0.1/16 dev mf0"), 0);
	{
		const mayfly_attach_net net{
			.ifindex = if_nametoindex("mf0"), .ip4 = 0, .dns4 = 0, .flags = 0, .rate = 0};
		const mayfly_attachment place{.type = MAYFLY_ATTACH_NET,
					      .flags = 0,
					      .size = sizeof(net),
					      .reserved = 0,
					      .payload = live::address(&net)};
		const std::array places{place, place};

		sweep(
			"SPAWN, on networks",
			[&] {
				mayfly_spawn spawn = live::spawn_request(wait_image());

				spawn.attachments = live::address(places.data());
				spawn.nr_attachments = places.size();
				return spawn;
			},
			[this](mayfly_spawn &spawn) { return live::call(device, MAYFLY_SPAWN, &spawn); },
			[this](mayfly_spawn &spawn, int ret) {
				live::fd(ret ? -1 : spawn.fd).reset();
				EXPECT_TRUE(live::eventually([this] { return live::info(device).vms == 0; }));
			});
	}
	ASSERT_EQ(system("ip link delete mf0"), 0);
}

TEST_F(Faults, SpawnOnDemand)
{
	ASSERT_EQ(system("ip link add mf0 type mayfly && ip address add 10.9.0.1/16 dev mf0"), 0);
	{
		const mayfly_attach_net net{
			.ifindex = if_nametoindex("mf0"), .ip4 = 0, .dns4 = 0, .flags = 0, .rate = 0};
		mayfly_attach_demand range{};

		range.first = range.last = inet_addr("10.9.4.1");
		range.rate = range.max = 1;

		const std::array both{mayfly_attachment{.type = MAYFLY_ATTACH_NET,
							.flags = 0,
							.size = sizeof(net),
							.reserved = 0,
							.payload = live::address(&net)},
				      mayfly_attachment{.type = MAYFLY_ATTACH_DEMAND,
							.flags = 0,
							.size = sizeof(range),
							.reserved = 0,
							.payload = live::address(&range)}};

		sweep(
			"SPAWN, on demand",
			[&] {
				mayfly_spawn spawn = live::spawn_request(wait_image(),
									 MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED);

				spawn.attachments = live::address(both.data());
				spawn.nr_attachments = both.size();
				return spawn;
			},
			[this](mayfly_spawn &spawn) { return live::call(device, MAYFLY_SPAWN, &spawn); },
			[this](mayfly_spawn &, int) {
				for (std::uint64_t id = demand_id(); id; id = demand_id()) {
					mayfly_demand_remove args{};

					args.id = id;
					EXPECT_EQ(live::call(device, MAYFLY_DEMAND_REMOVE, &args), 0);
				}
				EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
			});
	}
	ASSERT_EQ(system("ip link delete mf0"), 0);
}

/// A batch: what was made before the error lives, and created says how many.
TEST_F(Faults, SpawnOfABatch)
{
	static constexpr char args[] = "one\0two";
	std::array<std::uint64_t, 3> ids{};

	sweep(
		"SPAWN, 3 detached",
		[&] {
			mayfly_spawn spawn = live::spawn_request(wait_image(),
								 MAYFLY_SPAWN_DETACHED | MAYFLY_SPAWN_START, 3);

			spawn.args = live::address(args);
			spawn.args_length = sizeof(args);
			spawn.ids = live::address(ids.data());
			return spawn;
		},
		[this](mayfly_spawn &spawn) { return live::call(device, MAYFLY_SPAWN, &spawn); },
		[this](const mayfly_spawn &spawn, int ret) {
			const std::vector<mayfly_vm_info> made = list();

			// Where the answer could not be copied out there is none to compare.
			if (ret != -EFAULT) {
				EXPECT_EQ(made.size(), spawn.created);
			}
			for (const mayfly_vm_info &vm : made) {
				EXPECT_EQ(on_device(MAYFLY_OP_KILL, vm.id), 0);
				EXPECT_EQ(on_device(MAYFLY_OP_REMOVE, vm.id), 0);
			}
		});
}

TEST_F(Faults, List)
{
	const machine vm(wait_image(), device);
	mayfly_vm_info rows[4];

	sweep(
		"LIST",
		[&] {
			mayfly_list list{};

			list.rows = live::address(rows);
			list.row_size = sizeof(mayfly_vm_info);
			list.count = 4;
			return list;
		},
		[this](mayfly_list &list) { return live::call(device, MAYFLY_LIST, &list); });
}

TEST_F(Faults, Open)
{
	const machine vm(wait_image(), device);
	mayfly_open request{};

	request.id = vm.info().id;
	sweep(
		"OPEN", [&] { return request; },
		[this](mayfly_open &open) { return live::call(device, MAYFLY_OPEN, &open); },
		[](const mayfly_open &open, int ret) { live::fd(ret ? -1 : open.fd).reset(); });
}

TEST_F(Faults, StatAndState)
{
	sweep_vm("STAT", [](const machine &vm) {
		mayfly_vm_info stat;

		return live::call_row(vm.handle(), MAYFLY_STAT, stat);
	});
	sweep_vm("GET_STATE", [](const machine &vm) {
		live::vcpu_state state;

		return live::get_state(vm.handle(), state);
	});

	const machine vm(wait_image(), device);
	const live::vcpu_state state = vm.state();

	sweep(
		"SET_STATE", [] { return 0; }, [&](int) { return vm.set_state(state); });
}

TEST_F(Faults, ImageNames)
{
	const live::fd image = live::make_image(device, guests::exit42);
	mayfly_image_info rows[4];
	mayfly_tag tag{};
	mayfly_open request{};

	std::strcpy(tag.name, "swept");
	std::strcpy(request.name, "swept");
	sweep(
		"IMAGE_TAG", [] { return 0; }, [&](int) { return live::call(image, MAYFLY_IMAGE_TAG, &tag); },
		[&](int, int ret) {
			const int removed = live::call<void>(image, MAYFLY_IMAGE_REMOVE, nullptr);

			EXPECT_EQ(removed, ret ? -ENOENT : 0);
		});
	ASSERT_EQ(live::call(image, MAYFLY_IMAGE_TAG, &tag), 0);
	sweep(
		"IMAGE_OPEN", [&] { return request; },
		[this](mayfly_open &open) { return live::call(device, MAYFLY_IMAGE_OPEN, &open); },
		[](const mayfly_open &open, int ret) { live::fd(ret ? -1 : open.fd).reset(); });
	sweep(
		"IMAGE_LIST",
		[&] {
			mayfly_list list{};

			list.rows = live::address(rows);
			list.row_size = sizeof(rows[0]);
			list.count = 4;
			return list;
		},
		[this](mayfly_list &list) { return live::call(device, MAYFLY_IMAGE_LIST, &list); });
	sweep(
		"STAT of an image", [] { return mayfly_image_info{}; },
		[&](mayfly_image_info &info) { return live::call_row(image, MAYFLY_STAT, info); });
	EXPECT_EQ(live::call<void>(image, MAYFLY_IMAGE_REMOVE, nullptr), 0);
}

/// After an error the VM goes on, and nothing has the name.
TEST_F(Faults, Snapshot)
{
	mayfly_snapshot args{};

	sweep(
		"SNAPSHOT", [this] { return machine(wait_image(), device); },
		[&](const machine &vm) {
			args = {};
			std::strcpy(args.name, "swept");
			return live::call(vm.handle(), MAYFLY_SNAPSHOT, &args);
		},
		[&](const machine &vm, int ret) {
			mayfly_open request{};
			std::uint32_t outcome = 0;

			std::strcpy(request.name, "swept");

			const int opened = live::call(device, MAYFLY_IMAGE_OPEN, &request);

			EXPECT_EQ(opened, ret ? -ENOENT : 0);
			EXPECT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
			EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});
			if (ret)
				return;

			const live::fd image(args.fd), again(request.fd);

			EXPECT_EQ(live::call<void>(image, MAYFLY_IMAGE_REMOVE, nullptr), 0);

			const machine clone(image, device);

			EXPECT_EQ(clone.run(MAYFLY_RUN_UNTIL_PARK, &outcome), 0);
			EXPECT_EQ(outcome, unsigned{MAYFLY_RAN_PARKED});
		});
}

TEST_F(Faults, ContentsOfAnImage)
{
	const live::fd image = live::make_image(device, guests::exit42);
	std::array<mayfly_extent, 4> rows;
	std::array<std::byte, 4096> bytes;
	std::array<char, MAYFLY_ARGS_MAX> room;
	const machine vm(wait_image(), device);

	sweep(
		"EXTENTS",
		[&] {
			mayfly_extents args{};

			args.extents = live::address(rows.data());
			args.count = rows.size();
			args.base = wait_image().get();
			return args;
		},
		[&](mayfly_extents &args) { return live::call(image, MAYFLY_EXTENTS, &args); });
	sweep(
		"MEMORY of an image", [] { return 0; },
		[&](int) { return access_memory(image, guests::gpa, bytes, 0); });
	sweep(
		"GET_STATE of an image", [] { return live::vcpu_state{}; },
		[&](live::vcpu_state &state) { return live::get_state(image, state); });
	sweep(
		"ARGUMENTS",
		[&] {
			mayfly_arguments args{};

			args.buffer = live::address(room.data());
			args.size = room.size();
			return args;
		},
		[&](mayfly_arguments &args) { return live::call(vm.handle(), MAYFLY_ARGUMENTS, &args); });
}

/// RUN takes the snapshot that somebody else waits for. All that SNAPSHOT allocates it
/// has by then, so whatever fails is between RUN and its caller, and the VM goes on.
TEST_F(Faults, SnapshotWhenReady)
{
	struct scene {
		std::unique_ptr<machine> vm;
		std::unique_ptr<live::waiter> waiter;
	};
	const live::fd image = live::make_image(device, guests::ready);

	sweep(
		"RUN, fulfils SNAPSHOT",
		[&] {
			scene scene;

			scene.vm = std::make_unique<machine>(image, device);
			EXPECT_EQ(scene.vm->run(MAYFLY_RUN_UNTIL_PARK), 0);
			EXPECT_EQ(scene.vm->control(MAYFLY_OP_NOTIFY, 5), 0);
			scene.waiter = std::make_unique<live::waiter>(*scene.vm);
			EXPECT_TRUE(live::eventually([&] { return live::is_awaited(*scene.vm); }));
			return scene;
		},
		[](const scene &scene) { return scene.vm->run(MAYFLY_RUN_UNTIL_PARK); },
		[&](scene &scene, int ret) {
			if (!scene.waiter)
				return;
			if (live::is_awaited(*scene.vm)) {
				ASSERT_LT(ret, 0) << "the guest was ready";
				return;
			}

			const live::fd snapshot(scene.waiter->end());

			scene.waiter.reset();
			EXPECT_GE(snapshot.get(), 0) << strerror(-snapshot.get());
			EXPECT_EQ(scene.vm->info().state, unsigned{MAYFLY_PARKED});
			EXPECT_EQ(scene.vm->control(MAYFLY_OP_NOTIFY, 5), 0);
			EXPECT_EQ(scene.vm->run(MAYFLY_RUN_UNTIL_PARK), 0);
		});
}

/// Reading warms a cold VM up; writing makes pages and tables.
TEST_F(Faults, Memory)
{
	std::array<std::byte, 4096> bytes{};
	const auto access = [&](const machine &vm, std::uint32_t flags) {
		return live::access_memory(vm.handle(), guests::range_gpa + 2048, bytes, flags);
	};

	sweep(
		"MEMORY, read", [this] { return machine(wait_image(), device); },
		[&](const machine &vm) { return access(vm, 0); });
	sweep(
		"MEMORY, write", [this] { return machine(wait_image(), device); },
		[&](const machine &vm) { return access(vm, MAYFLY_MEMORY_WRITE); });
}

TEST_F(Faults, EndRecords)
{
	wait_image();
	sweep(
		"read of ends",
		[this] {
			live::fd fresh = live::open_device();
			const machine vm(wait_image(), device);

			EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
			return fresh;
		},
		[](const live::fd &fresh) {
			mayfly_end end;
			const ssize_t n = read(fresh.get(), &end, sizeof(end));

			return n < 0 ? -errno : static_cast<int>(n);
		});
}

/// What CONTROL answers to the same request, once it has been done. -EFAULT may say
/// either that the request could not be read or that the answer could not be written.
int again(int ret, int when_done)
{
	return ret == when_done ? 0 : ret;
}

TEST_F(Faults, Start)
{
	sweep(
		"CONTROL, start", [this] { return machine(wait_image(), device); },
		[](const machine &vm) { return again(vm.control(MAYFLY_OP_START), -EALREADY); },
		[](const machine &vm, int ret) {
			if (ret != -EFAULT) {
				EXPECT_EQ(vm.info().flags & MAYFLY_VM_STARTED, ret ? 0u : MAYFLY_VM_STARTED);
			}
		});
}

/// The workers are made, and brought into the caller's cgroup.
TEST_F(Faults, StartOfTheFirstInACgroup)
{
	const live::cgroup group("mayfly-faults-test");

	wait_image();
	group.enter();
	sweep(
		"CONTROL, the first start",
		[this] {
			EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
			return machine(wait_image(), device);
		},
		[](const machine &vm) { return again(vm.control(MAYFLY_OP_START), -EALREADY); });
	live::cgroup::leave();
	EXPECT_TRUE(live::eventually([this] { return live::info(device).pools == 0; }));
}

TEST_F(Faults, PauseResumeNotify)
{
	wait_image();
	const machine vm = started();

	sweep(
		"CONTROL, pause", [] { return 0; }, [&](int) { return again(vm.control(MAYFLY_OP_PAUSE), -EALREADY); },
		[&](int, int ret) {
			const int resumed = vm.control(MAYFLY_OP_RESUME);

			EXPECT_TRUE(resumed == 0 || (ret == -EFAULT && resumed == -EALREADY)) << resumed;
		});
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	sweep(
		"CONTROL, resume", [] { return 0; },
		[&](int) { return again(vm.control(MAYFLY_OP_RESUME), -EALREADY); },
		[&](int, int ret) {
			const int paused = vm.control(MAYFLY_OP_PAUSE);

			EXPECT_TRUE(paused == 0 || (ret == -EFAULT && paused == -EALREADY)) << paused;
		});
	sweep(
		"CONTROL, notify", [] { return 0; }, [&](int) { return vm.control(MAYFLY_OP_NOTIFY, 1); });
}

TEST_F(Faults, KillAndRemove)
{
	wait_image();
	sweep(
		"CONTROL, kill", [this] { return started(); },
		[](const machine &vm) { return again(vm.control(MAYFLY_OP_KILL), -ESRCH); },
		[](const machine &vm, int ret) {
			if (ret != -EFAULT) {
				EXPECT_EQ(vm.info().state, unsigned{MAYFLY_ENDED});
			}
		});
	sweep(
		"CONTROL, remove",
		[this] {
			mayfly_spawn spawn = live::spawn_request(wait_image(), MAYFLY_SPAWN_DETACHED);
			std::uint64_t id = 0;

			spawn.ids = live::address(&id);
			EXPECT_EQ(live::call(device, MAYFLY_SPAWN, &spawn), 0);
			EXPECT_EQ(on_device(MAYFLY_OP_KILL, id), 0);
			return id;
		},
		[this](std::uint64_t id) { return again(on_device(MAYFLY_OP_REMOVE, id), -ENOENT); });
}

TEST_F(Faults, ConsoleReadAndPoll)
{
	const live::fd image = live::make_image(device, guests::hello);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	sweep(
		"read",
		[&] {
			mayfly_open open{};

			open.id = vm.info().id;
			EXPECT_EQ(live::call(device, MAYFLY_OPEN, &open), 0);
			return live::fd(open.fd);
		},
		[](const live::fd &handle) {
			char bytes[256];
			const ssize_t n = read(handle.get(), bytes, sizeof(bytes));

			return n < 0 ? -errno : static_cast<int>(n);
		});
}

/// Each page the guest touches and each table is allocated in RUN itself.
TEST_F(Faults, Run)
{
	const live::fd image = live::make_image(device, guests::stamp);

	sweep(
		"RUN, 64 pages",
		[&] {
			machine vm(image, device);

			vm.set_parameters(guests::range_gpa, 64);
			return vm;
		},
		[](const machine &vm) {
			const int ret = vm.run();

			// It ran to its end, though the answer got lost.
			return ret == -ESRCH ? 0 : ret;
		},
		[](const machine &vm, int ret) {
			if (ret != 0)
				return;
			const mayfly_vm_info end = vm.info();

			EXPECT_EQ(end.state, unsigned{MAYFLY_ENDED});
			EXPECT_TRUE(end.reason == MAYFLY_END_EXITED || end.reason == MAYFLY_END_NO_MEMORY)
				<< end.reason;
		});
}

}
