// SPDX-License-Identifier: Apache-2.0
//
// MEMORY: what an owner reads and writes in a guest that stands still.

#include <algorithm>
#include <array>
#include <thread>

#include "machine.hpp"

namespace
{

using live::machine;

class GuestMemory : public live::Live
{
protected:
	static int access(const machine &vm, std::uint64_t gpa, std::span<std::byte> bytes, std::uint32_t flags,
			  std::uint64_t *done = nullptr)
	{
		return live::access_memory(vm.handle(), gpa, bytes, flags, done);
	}
	static int read_memory(const machine &vm, std::uint64_t gpa, std::span<std::byte> bytes)
	{
		return access(vm, gpa, bytes, 0);
	}
	static int write_memory(const machine &vm, std::uint64_t gpa, std::span<std::byte> bytes)
	{
		return access(vm, gpa, bytes, MAYFLY_MEMORY_WRITE);
	}
};

TEST_F(GuestMemory, IsTheImagesUntilItIsWritten)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device), other(image, device);
	std::vector<std::byte> code(guests::exit42.size()), more(3 * 4096), read(3 * 4096);

	ASSERT_EQ(read_memory(vm, guests::gpa, code), 0);
	EXPECT_TRUE(std::ranges::equal(code, guests::exit42));
	// Over page borders, where nothing was before.
	for (std::size_t i = 0; i < more.size(); i++)
		more[i] = static_cast<std::byte>(i * 7 + 1);
	ASSERT_EQ(write_memory(vm, guests::range_gpa + 100, more), 0);
	ASSERT_EQ(read_memory(vm, guests::range_gpa + 100, read), 0);
	EXPECT_EQ(read, more);
	ASSERT_EQ(read_memory(other, guests::range_gpa + 100, read), 0);
	EXPECT_TRUE(std::ranges::all_of(read, [](std::byte b) { return b == std::byte{0}; }));
	EXPECT_EQ(vm.info().guest_pages, other.info().guest_pages + 4);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 42);
}

/// As a debugger sets a breakpoint: code is changed for one VM, and stays unwritable.
TEST_F(GuestMemory, CodeCanBeChanged)
{
	const live::fd image = live::make_image(device, guests::spin);
	const machine vm(image, device), other(image, device);
	std::vector<std::byte> code(guests::exit42.begin(), guests::exit42.end()), read(2);

	ASSERT_EQ(write_memory(vm, guests::gpa, code), 0);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 42);
	ASSERT_EQ(read_memory(other, guests::gpa, read), 0);
	EXPECT_TRUE(std::ranges::equal(read, guests::spin.first(2)));
}

TEST_F(GuestMemory, OfACodePageStaysUnwritableForTheGuest)
{
	const live::fd image = live::make_image(device, guests::stamp);
	const machine vm(image, device);
	std::array<std::byte, 1> byte{};

	ASSERT_EQ(read_memory(vm, guests::gpa, byte), 0);
	ASSERT_EQ(write_memory(vm, guests::gpa, byte), 0);
	vm.set_parameters(guests::gpa, 1);
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_BAD_ACCESS});
	EXPECT_EQ(vm.info().address & ~0xfffull, guests::gpa);
}

TEST_F(GuestMemory, EndsWhereMemoryEnds)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	std::array<std::byte, 4096> bytes{};
	std::uint64_t done = 7;

	EXPECT_EQ(access(vm, MAYFLY_MEMORY_DEFAULT - 4096, bytes, 0, &done), 0);
	EXPECT_EQ(done, 4096u);
	EXPECT_EQ(access(vm, MAYFLY_MEMORY_DEFAULT - 100, bytes, 0, &done), -EFAULT);
	EXPECT_EQ(done, 100u);
	EXPECT_EQ(access(vm, MAYFLY_MEMORY_DEFAULT, bytes, MAYFLY_MEMORY_WRITE, &done), -EFAULT);
	EXPECT_EQ(done, 0u);
	EXPECT_EQ(read_memory(vm, ~0ull - 10, bytes), -EFAULT);
	EXPECT_EQ(write_memory(vm, ~0ull - 10, bytes), -EFAULT);
	// Mayfly's own pages can be read, like the guest can, and not written.
	EXPECT_EQ(read_memory(vm, MAYFLY_GPA_DEVICE, std::span(bytes).first(8)), 0);
	EXPECT_EQ(std::memcmp(bytes.data(), "\x01\x00mayfly", 8), 0);
	EXPECT_EQ(write_memory(vm, MAYFLY_GPA_DEVICE, std::span(bytes).first(8)), -EFAULT);
	EXPECT_EQ(read_memory(vm, 0, std::span(bytes).first(8)), -EFAULT);
	EXPECT_EQ(access(vm, guests::gpa, bytes, 2), -EINVAL);
	EXPECT_EQ(read_memory(vm, guests::gpa, {}), 0);
}

TEST_F(GuestMemory, BelongsToAGuestThatStandsStill)
{
	const live::fd image = live::make_image(device, guests::spin_cli);
	const machine vm(image, device, MAYFLY_SPAWN_START);
	std::array<std::byte, 8> bytes{};

	EXPECT_EQ(read_memory(vm, guests::gpa, bytes), -EBUSY);
	ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
	EXPECT_EQ(read_memory(vm, guests::gpa, bytes), 0);
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PAUSED});
	EXPECT_EQ(write_memory(vm, guests::range_gpa, bytes), 0);
	EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), -EALREADY);
	ASSERT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
	EXPECT_EQ(read_memory(vm, guests::gpa, bytes), -EBUSY);
	ASSERT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	EXPECT_EQ(read_memory(vm, guests::gpa, bytes), -ESRCH);
}

/// A parked VM that was started by nobody waits on after somebody has looked at it.
TEST_F(GuestMemory, LookingDisturbsNobody)
{
	const live::fd image = live::make_image(device, guests::wait_forever);
	const machine vm(image, device);
	std::array<std::byte, 8> bytes{};

	ASSERT_EQ(vm.run(MAYFLY_RUN_UNTIL_PARK), 0);
	ASSERT_EQ(read_memory(vm, guests::gpa, bytes), 0);
	EXPECT_EQ(vm.info().state, unsigned{MAYFLY_PARKED});
	EXPECT_EQ(vm.info().parked, 1u) << "it has not run in between";
}

/// Resume, pause, kill and other readers come at any moment.
TEST_F(GuestMemory, IsSharedWithThoseWhoControl)
{
	const live::fd image = live::make_image(device, guests::spin);

	for (unsigned round = 0; round < live::many(100); round++) {
		const machine vm(image, device, MAYFLY_SPAWN_START);
		const auto look = [&] {
			std::array<std::byte, 4096> bytes{};

			for (int i = 0; i < 20; i++)
				for (const std::uint32_t flags : {0u, unsigned{MAYFLY_MEMORY_WRITE}}) {
					const int ret = access(vm, guests::range_gpa + 2048, bytes, flags);

					EXPECT_TRUE(ret == 0 || ret == -EBUSY || ret == -ESRCH) << ret;
				}
		};

		ASSERT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
		std::jthread first(look), second(look);

		for (int i = 0; i < 10; i++) {
			EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
			EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
		}
		EXPECT_EQ(vm.control(MAYFLY_OP_KILL), 0);
	}
}

TEST_F(GuestMemory, CountsAgainstTheLimitOnBytes)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device);
	const std::string limit = "/sys/module/mayfly/parameters/max_bytes_user";
	std::array<std::byte, 8> bytes{};
	const std::uint64_t before = vm.info().guest_pages;

	std::ofstream(limit) << live::info(device).user_bytes + 100 << std::flush;
	EXPECT_EQ(write_memory(vm, guests::range_gpa, bytes), -EDQUOT);
	EXPECT_EQ(vm.info().guest_pages, before);
	std::ofstream(limit) << 0 << std::flush;
	EXPECT_EQ(write_memory(vm, guests::range_gpa, bytes), 0);
	EXPECT_EQ(vm.run(), 0);
}

}
