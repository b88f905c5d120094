// SPDX-License-Identifier: Apache-2.0
//
// Rows of any length: how callers and modules of different age understand each other.

#include <mayfly.h>
#include <mayfly_demand.h>

#include "machine.hpp"

namespace
{

using live::machine;

class Rows : public live::Live
{
protected:
	live::fd image = live::make_image(device, guests::exit42);

	void TearDown() override
	{
		image.reset();
		Live::TearDown();
	}
	template <class Bend> static int ask(const live::fd &on, unsigned long request, Bend bend)
	{
		mayfly_row args{};

		bend(args);
		return call(on, request, &args);
	}
};

TEST_F(Rows, LengthsThatMakeNoSenseAreRefused)
{
	const machine vm(image, device);
	std::array<std::byte, MAYFLY_ROW_MAX + 16> room;

	const auto with = [&](std::uint32_t size) {
		return [&room, size](mayfly_row &args) {
			args.row = live::address(room.data());
			args.row_size = size;
		};
	};

	for (const std::uint32_t bad : {0u, 7u, 12u, unsigned{MAYFLY_ROW_MAX} + 8, 0xfffffff8u}) {
		EXPECT_EQ(ask(device, MAYFLY_INFO, with(bad)), -EINVAL) << bad;
		EXPECT_EQ(ask(vm.handle(), MAYFLY_STAT, with(bad)), -EINVAL) << bad;
		EXPECT_EQ(ask(image, MAYFLY_STAT, with(bad)), -EINVAL) << bad;
		for (const unsigned long request : {MAYFLY_LIST, MAYFLY_IMAGE_LIST}) {
			mayfly_list list{};

			list.rows = live::address(room.data());
			list.row_size = bad;
			list.count = 1;
			EXPECT_EQ(call(device, request, &list), -EINVAL) << bad;
		}
	}
	EXPECT_EQ(ask(device, MAYFLY_INFO,
		      [&](auto &a) {
			      with(8)(a);
			      a.flags = 1;
		      }),
		  -EINVAL);
	EXPECT_EQ(ask(device, MAYFLY_INFO,
		      [&](auto &a) {
			      with(8)(a);
			      a.reserved[1] = 1;
		      }),
		  -EINVAL);
	EXPECT_EQ(ask(device, MAYFLY_INFO, [](auto &a) { a.row_size = 8; }), -EFAULT);
}

/// What follows a short row is not touched; what a long one has more is zero.
TEST_F(Rows, AreCutOrFilledUp)
{
	const machine vm(image, device);
	const mayfly_vm_info whole = vm.info();
	std::array<std::byte, sizeof(whole) + 64> room;
	mayfly_row args{};

	for (const std::uint32_t size : {8u, unsigned{MAYFLY_VM_INFO_GLANCE}, unsigned{room.size()}}) {
		const std::size_t known = std::min<std::size_t>(size, sizeof(whole));

		room.fill(std::byte{0xaa});
		args.row = live::address(room.data());
		args.row_size = size;
		ASSERT_EQ(call(vm.handle(), MAYFLY_STAT, &args), 0);
		EXPECT_EQ(args.row_size, sizeof(whole)) << "the module's own";
		EXPECT_EQ(std::memcmp(room.data(), &whole, known), 0);
		for (std::size_t i = known; i < room.size(); i++)
			ASSERT_EQ(room[i], i < size ? std::byte{0} : std::byte{0xaa}) << i;
	}
}

TEST_F(Rows, OfAListAreAsFarApartAsTheCallerSays)
{
	const machine first(image, device), second(image, device);
	std::array<std::array<std::uint64_t, 100>, 2> rows{};
	mayfly_list list{};

	list.rows = live::address(rows.data());
	list.row_size = sizeof(rows[0]);
	list.count = 2;
	ASSERT_EQ(call(device, MAYFLY_LIST, &list), 0);
	EXPECT_EQ(list.count, 2u);
	EXPECT_EQ(list.row_size, sizeof(mayfly_vm_info));
	EXPECT_EQ(rows[0][0], first.info().id);
	EXPECT_EQ(rows[1][0], second.info().id);
}

TEST_F(Rows, InfoSaysWhatTheModuleCanDo)
{
	const mayfly_info info = live::info(device);

	EXPECT_EQ(info.api_version, unsigned{MAYFLY_API_VERSION});
	EXPECT_EQ(info.features, MAYFLY_FEATURE_CPU_LEVELS | MAYFLY_FEATURE_IMAGE_NAMES | MAYFLY_FEATURE_END_RECORDS |
					 MAYFLY_FEATURE_MEMORY | MAYFLY_FEATURE_SNAPSHOTS | MAYFLY_FEATURE_READY |
					 MAYFLY_FEATURE_SAVE | MAYFLY_FEATURE_NET | MAYFLY_FEATURE_DEMAND);
	EXPECT_EQ(info.cpu_vendor, info.backend == 1 ? MAYFLY_VENDOR_AMD : MAYFLY_VENDOR_INTEL);
	EXPECT_EQ(info.cpu_level, unsigned{MAYFLY_CPU_SSE42}) << "both emulated CPUs have all of it";
}

TEST_F(Rows, AttachmentsOfAnUnknownTypeAreRefused)
{
	mayfly_spawn spawn = live::spawn_request(image);
	mayfly_attachment one{};

	one.type = MAYFLY_ATTACH_DEMAND + 1;
	spawn.attachments = live::address(&one);
	spawn.nr_attachments = 1;
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EOPNOTSUPP);
	spawn.attachments = 0;
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EFAULT);
	spawn.nr_attachments = MAYFLY_MAX_ATTACHMENTS + 1;
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EINVAL);
	spawn.nr_attachments = 0;
	spawn.unused = 1;
	EXPECT_EQ(call(device, MAYFLY_SPAWN, &spawn), -EINVAL);
	EXPECT_EQ(spawn.fd, -1);
	EXPECT_EQ(live::info(device).vms, 0u);
}

}
