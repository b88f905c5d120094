// SPDX-License-Identifier: Apache-2.0
//
// What read() on the device says of VMs that have ended.

#include <set>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "machine.hpp"

namespace
{

using live::machine;

class Ends : public live::Live
{
protected:
	void SetUp() override
	{
		Live::SetUp();
		fcntl(device.get(), F_SETFL, O_NONBLOCK);
	}
	static std::vector<mayfly_end> read_all(const live::fd &from)
	{
		std::vector<mayfly_end> all(1000);
		const ssize_t n = read(from.get(), all.data(), all.size() * sizeof(all[0]));

		EXPECT_TRUE(n > 0 || errno == EAGAIN) << strerror(errno);
		all.resize(n > 0 ? static_cast<std::size_t>(n) / sizeof(all[0]) : 0);
		return all;
	}
	static bool has_some(const live::fd &device, int timeout_ms = 0)
	{
		pollfd one{.fd = device.get(), .events = POLLIN, .revents = 0};

		return poll(&one, 1, timeout_ms) == 1 && one.revents & POLLIN;
	}
};

TEST_F(Ends, SayWhoEndedAndHow)
{
	const live::fd image = live::make_image(device, guests::exit42),
		       waiting = live::make_image(device, guests::spin);
	const machine exits(image, device), killed(waiting, device);

	EXPECT_FALSE(has_some(device));
	EXPECT_TRUE(read_all(device).empty());
	ASSERT_EQ(exits.run(), 0);
	ASSERT_EQ(killed.control(MAYFLY_OP_KILL), 0);
	EXPECT_TRUE(has_some(device));

	const auto ends = read_all(device);

	ASSERT_EQ(ends.size(), 2u);
	EXPECT_EQ(ends[0].id, exits.info().id);
	EXPECT_EQ(ends[0].reason, unsigned{MAYFLY_END_EXITED});
	EXPECT_EQ(ends[0].status, 42);
	EXPECT_EQ(ends[1].id, killed.info().id);
	EXPECT_EQ(ends[1].reason, unsigned{MAYFLY_END_KILLED});
	EXPECT_FALSE(has_some(device));
	EXPECT_TRUE(read_all(device).empty());
}

/// One record for each of a thousand, in as many pieces as the reader likes.
TEST_F(Ends, OfAThousandNeedNoList)
{
	const live::fd image = live::make_image(device, guests::exit42);
	std::vector<std::uint64_t> ids(live::many(1000));
	mayfly_spawn spawn = live::spawn_request(image, MAYFLY_SPAWN_START | MAYFLY_SPAWN_DETACHED,
						 static_cast<std::uint32_t>(ids.size()));
	std::set<std::uint64_t> left;

	spawn.ids = live::address(ids.data());
	ASSERT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);
	left.insert(ids.begin(), ids.end());
	while (!left.empty()) {
		ASSERT_TRUE(has_some(device, 60000));
		for (const mayfly_end &end : read_all(device)) {
			EXPECT_EQ(left.erase(end.id), 1u) << end.id;
			EXPECT_EQ(end.status, 42);
		}
	}

	mayfly_control control{};

	control.op = MAYFLY_OP_REMOVE;
	control.ids = live::address(ids.data());
	control.count = static_cast<std::uint32_t>(ids.size());
	EXPECT_EQ(call(device, MAYFLY_CONTROL, &control), 0);
	EXPECT_EQ(control.done, ids.size());
}

TEST_F(Ends, ABlockingReaderIsWoken)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const live::fd blocking = live::open_device();
	const machine vm(image, device);
	const pid_t reader = fork();

	if (!reader) {
		mayfly_end end{};
		const bool good = read(blocking.get(), &end, sizeof(end)) == sizeof(end) && end.status == 42;

		_exit(good ? 0 : 1);
	}
	int status = -1;

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(waitpid(reader, &status, 0), reader);
	EXPECT_EQ(status, 0);
}

/// Whoever opened the device decides whose ends it tells: root's tells all.
TEST_F(Ends, OfOthersAreNotSeen)
{
	ASSERT_EQ(chmod(MAYFLY_DEVICE, 0666), 0);
	ASSERT_EQ(seteuid(65534), 0);
	const live::fd theirs(open(MAYFLY_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK));
	const live::fd their_image = live::make_image(theirs, guests::exit42);
	const machine their_vm(their_image, theirs);

	ASSERT_EQ(seteuid(0), 0);
	ASSERT_EQ(chmod(MAYFLY_DEVICE, 0660), 0);

	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_FALSE(has_some(theirs));
	EXPECT_TRUE(read_all(theirs).empty());
	ASSERT_EQ(their_vm.run(), 0);

	const auto ends = read_all(theirs);

	ASSERT_EQ(ends.size(), 1u);
	EXPECT_EQ(ends[0].id, their_vm.info().id);
	EXPECT_EQ(read_all(device).size(), 2u);
}

TEST_F(Ends, BadReadsAreRefused)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	mayfly_end end;
	void *const nowhere = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_EQ(read(device.get(), &end, 0), 0);
	EXPECT_EQ(read(device.get(), &end, sizeof(end) - 1), -1);
	EXPECT_EQ(errno, EINVAL);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(read(device.get(), nowhere, sizeof(end)), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(read_all(device).size(), 1u) << "it is still there";
	munmap(nowhere, 4096);
}

/// More ends than the module keeps: the reader is told once, and goes on.
TEST_F(Ends, MissedOnesAreTold)
{
	if (live::many(20) == 1)
		GTEST_SKIP() << "65,536 VMs take too long on the debug kernel";

	const live::fd image = live::make_image(device, guests::exit42);
	mayfly_spawn spawn = live::spawn_request(image, MAYFLY_SPAWN_DETACHED, 4096);
	std::vector<std::uint64_t> ids(spawn.count);
	mayfly_control control{};

	spawn.ids = live::address(ids.data());
	control.ids = live::address(ids.data());
	control.count = spawn.count;
	for (unsigned ended = 0; ended <= MAYFLY_ENDS_KEPT; ended += spawn.count) {
		ASSERT_EQ(call(device, MAYFLY_SPAWN, &spawn), 0);
		for (const std::uint32_t op : {MAYFLY_OP_KILL, MAYFLY_OP_REMOVE}) {
			control.op = op;
			ASSERT_EQ(call(device, MAYFLY_CONTROL, &control), 0);
		}
	}
	mayfly_end end;

	EXPECT_TRUE(has_some(device));
	EXPECT_EQ(read(device.get(), &end, sizeof(end)), -1);
	EXPECT_EQ(errno, EPIPE);
	std::size_t seen = 0;

	for (std::size_t n; (n = read_all(device).size());)
		seen += n;
	EXPECT_EQ(seen, std::size_t{MAYFLY_ENDS_KEPT});
}

}
