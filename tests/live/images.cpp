// SPDX-License-Identifier: Apache-2.0
//
// Images: what they record, their names, and how long they live.

#include <sys/wait.h>

#include "machine.hpp"

namespace
{

using live::image_info;
using live::machine;

class Images : public live::Live
{
protected:
	static int tag(const live::fd &image, const char *name, std::uint32_t flags = 0)
	{
		mayfly_tag args{};

		std::memcpy(args.name, name, std::min(std::strlen(name), sizeof(args.name)));
		args.flags = flags;
		return call(image, MAYFLY_IMAGE_TAG, &args);
	}
	static int remove(const live::fd &image) { return live::call<void>(image, MAYFLY_IMAGE_REMOVE, nullptr); }

	[[nodiscard]] int open(std::uint64_t id, const char *name) const
	{
		mayfly_open args{};

		args.id = id;
		std::strcpy(args.name, name);
		const int ret = call(device, MAYFLY_IMAGE_OPEN, &args);

		return ret ? ret : args.fd;
	}
	[[nodiscard]] std::vector<mayfly_image_info> list() const
	{
		std::vector<mayfly_image_info> rows(16);
		mayfly_list args{};

		args.rows = live::address(rows.data());
		args.row_size = sizeof(rows[0]);
		args.count = 16;
		EXPECT_EQ(call(device, MAYFLY_IMAGE_LIST, &args), 0);
		rows.resize(args.count);
		return rows;
	}
	static std::uint64_t user_bytes(const live::fd &device) { return live::info(device).user_bytes; }
};

TEST_F(Images, RecordHowTheyWereMade)
{
	live::image_request request(guests::exit42);

	request.create.memory_default = 4 << 20;
	request.create.cpu_level = MAYFLY_CPU_SSE42;

	const live::fd image(live::create_image(device, request.create));
	const mayfly_image_info info = image_info(image);

	EXPECT_GT(info.id, 0u);
	EXPECT_EQ(info.parent, 0u);
	EXPECT_EQ(info.users, 1u);
	EXPECT_EQ(info.bytes % 4096, 0u);
	EXPECT_GE(info.bytes, 2u * 4096);
	EXPECT_EQ(info.memory_default, 4u << 20);
	EXPECT_EQ(info.memory_min, guests::gpa + 4096);
	EXPECT_EQ(info.profile, unsigned{MAYFLY_PROFILE_UNIKERNEL});
	EXPECT_EQ(info.cpu_level, unsigned{MAYFLY_CPU_SSE42});
	EXPECT_EQ(info.cpu_vendor, live::info(device).cpu_vendor);
	EXPECT_EQ(info.uid, geteuid());
	EXPECT_STREQ(info.label, "guest");
	EXPECT_STREQ(info.name, "");

	const machine vm(image, device, 0, 0);

	EXPECT_EQ(vm.info().memory, 4u << 20) << "the image's default";
	EXPECT_EQ(vm.info().image_id, info.id);
	EXPECT_EQ(image_info(image).users, 2u);
}

TEST_F(Images, OfAnUnknownProfileOrLevelAreRefused)
{
	live::image_request request(guests::exit42);

	request.create.cpu_level = 0;
	EXPECT_EQ(live::create_image(device, request.create), -EINVAL);
	request.create.cpu_level = MAYFLY_CPU_SSE42 + 1;
	EXPECT_EQ(live::create_image(device, request.create), -EOPNOTSUPP);
	request.create.cpu_level = MAYFLY_CPU_SSE2;
	request.create.profile = 0;
	EXPECT_EQ(live::create_image(device, request.create), -EOPNOTSUPP);
	request.create.profile = MAYFLY_PROFILE_UNIKERNEL;
	for (const std::uint64_t memory :
	     std::initializer_list<std::uint64_t>{4096, 1 << 20 | 1, MAYFLY_MEMORY_MAX + 4096}) {
		request.create.memory_default = memory;
		EXPECT_EQ(live::create_image(device, request.create), -EINVAL) << memory;
	}
}

TEST_F(Images, AreKeptByTheirName)
{
	live::fd image = live::make_image(device, guests::exit42);
	const std::uint64_t id = image_info(image).id, before = user_bytes(device);

	ASSERT_EQ(tag(image, "kept"), 0);
	image.reset();
	EXPECT_EQ(user_bytes(device), before);
	ASSERT_EQ(list().size(), 1u);
	EXPECT_EQ(list()[0].id, id);
	EXPECT_EQ(list()[0].users, 0u);
	EXPECT_STREQ(list()[0].name, "kept");

	const live::fd again(open(0, "kept")), by_id(open(id, ""));

	ASSERT_GE(again.get(), 0);
	ASSERT_GE(by_id.get(), 0);

	const machine vm(again, device);

	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 42);
	EXPECT_EQ(remove(again), 0);
	EXPECT_EQ(remove(by_id), -ENOENT);
	EXPECT_EQ(open(0, "kept"), -ENOENT);
	EXPECT_EQ(user_bytes(device) - vm.info().private_bytes, before);
}

TEST_F(Images, HaveOneNameEach)
{
	const live::fd first = live::make_image(device, guests::exit42),
		       second = live::make_image(device, guests::hello);

	ASSERT_EQ(tag(first, "one"), 0);
	EXPECT_EQ(tag(first, "one"), 0) << "it is called that";
	EXPECT_EQ(tag(second, "one"), -EEXIST);
	ASSERT_EQ(tag(second, "two"), 0);
	// A new name comes instead of the old one.
	ASSERT_EQ(tag(first, "three"), 0);
	EXPECT_EQ(open(0, "one"), -ENOENT);
	EXPECT_STREQ(image_info(first).name, "three");
	// Taken from another image, which has none then.
	ASSERT_EQ(tag(first, "two", MAYFLY_TAG_REPLACE), 0);
	EXPECT_STREQ(image_info(first).name, "two");
	EXPECT_STREQ(image_info(second).name, "");
	EXPECT_EQ(open(0, "three"), -ENOENT);
	EXPECT_EQ(remove(second), -ENOENT);
	EXPECT_EQ(remove(first), 0);
}

TEST_F(Images, NamesAreJudgedLikeThoseOfVms)
{
	const live::fd image = live::make_image(device, guests::exit42);

	for (const char *bad : {"", "1a", "a b", "a/b", "-a", "vm1"})
		EXPECT_EQ(tag(image, bad), -EINVAL) << bad;
	EXPECT_EQ(tag(image, std::string(MAYFLY_NAME_SIZE, 'x').c_str()), -EINVAL);
	EXPECT_EQ(tag(image, "good", 2), -EINVAL);
	EXPECT_EQ(open(0, ""), -EINVAL);
	EXPECT_EQ(open(image_info(image).id, "good"), -EINVAL);
	EXPECT_EQ(open(~0ull, ""), -ENOENT);
	EXPECT_EQ(call(image, _IO(MAYFLY_IOC, 0x7f), static_cast<void *>(nullptr)), -ENOTTY);
}

/// Runs \p what as nobody; its result is true if it was.
template <class What> bool as_nobody(What what)
{
	const pid_t child = fork();

	if (!child) {
		const bool good = setresuid(65534, 65534, 65534) == 0 && what();

		_exit(good ? 0 : 1);
	}
	int status = 0;

	waitpid(child, &status, 0);
	return status == 0;
}

TEST_F(Images, AreTheirOwners)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const std::uint64_t id = image_info(image).id;

	ASSERT_EQ(tag(image, "mine"), 0);
	EXPECT_TRUE(as_nobody([&] {
		return list().empty() && open(id, "") == -EPERM && open(0, "mine") == -ENOENT &&
		       tag(image, "theirs") == -EPERM && remove(image) == -EPERM;
	}));
	EXPECT_EQ(remove(image), 0);
}

TEST_F(Images, CountAsTheirOwnersAsLongAsTheyLive)
{
	EXPECT_EQ(user_bytes(device), 0u);

	live::fd image = live::make_image(device, guests::exit42);
	const std::uint64_t bytes = image_info(image).bytes;

	EXPECT_GT(bytes, 0u);
	EXPECT_EQ(user_bytes(device), bytes);
	EXPECT_TRUE(as_nobody([&] { return user_bytes(device) == 0 && live::info(device).bytes == bytes; }));
	ASSERT_EQ(tag(image, "one"), 0);
	ASSERT_EQ(tag(image, "two"), 0);
	EXPECT_EQ(user_bytes(device), bytes) << "a name costs nothing";

	auto vm = std::make_unique<machine>(image, device);

	EXPECT_EQ(remove(image), 0);
	image.reset();
	EXPECT_EQ(user_bytes(device), bytes + vm->info().private_bytes);
	vm.reset();
	EXPECT_TRUE(live::eventually([&] { return user_bytes(device) == 0; }));
}

TEST_F(Images, AreNotMadeBeyondTheLimitsOnBytes)
{
	// 2 MiB, and the tables over them.
	std::vector<std::byte> code(2 << 20, std::byte{0x90});
	live::image_request request(code);
	live::fd large(live::create_image(device, request.create));
	const std::uint64_t bytes = image_info(large).bytes;

	large.reset();
	for (const std::string name : {"max_bytes_user", "max_bytes"}) {
		const std::string limit = "/sys/module/mayfly/parameters/" + name;

		std::ofstream(limit) << bytes - 1 << std::flush;
		EXPECT_EQ(live::create_image(device, request.create), -EDQUOT) << name;
		EXPECT_EQ(user_bytes(device), 0u) << "something was left";
		EXPECT_EQ(live::info(device).images, 0u);
		std::ofstream(limit) << bytes << std::flush;
		EXPECT_GE(live::fd(live::create_image(device, request.create)).get(), 0) << name;
		std::ofstream(limit) << 0 << std::flush;
	}
}

}
