// SPDX-License-Identifier: Apache-2.0
//
// Rule 15: what a call was given is fetched once. Its argument lies across two pages,
// of which the second is not there. When the module comes for it, what it has had of
// the first is bent: a call that looked again would be refused, or do something else.

#include <functional>
#include <thread>

#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "machine.hpp"

namespace
{

using live::machine;

constexpr std::size_t page = 4096;

/// Bytes across two pages. At the first access to the second page the part in the
/// first becomes 0xff all over.
class torn final
{
public:
	torn(std::span<const std::byte> bytes, std::size_t in_first)
		: in_first_(in_first), pages_(static_cast<std::byte *>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE,
									    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)))
	{
		uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
		uffdio_register range{.range = {live::address(pages_ + page), page},
				      .mode = UFFDIO_REGISTER_MODE_MISSING,
				      .ioctls = 0};

		std::memcpy(at(), bytes.data(), in_first);
		std::memcpy(rest_.data(), bytes.data() + in_first, bytes.size() - in_first);
		EXPECT_EQ(live::call(faults_, UFFDIO_API, &api), 0);
		EXPECT_EQ(live::call(faults_, UFFDIO_REGISTER, &range), 0);
		handler_ = std::thread([this] { serve(); });
	}
	~torn()
	{
		// Whoever has not come for it would leave the handler waiting.
		const std::byte last = static_cast<volatile std::byte *>(pages_)[2 * page - 1];

		EXPECT_EQ(last, std::byte{0});
		handler_.join();
		munmap(pages_, 2 * page);
	}
	torn(const torn &) = delete;
	torn &operator=(const torn &) = delete;

	static bool is_possible() { return make().get() >= 0; }
	/// Where the bytes are.
	[[nodiscard]] std::byte *at() const { return pages_ + page - in_first_; }

private:
	static live::fd make() { return live::fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC))); }
	void serve()
	{
		uffd_msg message;
		uffdio_copy copy{.dst = live::address(pages_ + page),
				 .src = live::address(rest_.data()),
				 .len = page,
				 .mode = 0,
				 .copy = 0};

		EXPECT_EQ(read(faults_.get(), &message, sizeof(message)), static_cast<ssize_t>(sizeof(message)));
		std::memset(at(), 0xff, in_first_);
		EXPECT_EQ(live::call(faults_, UFFDIO_COPY, &copy), 0);
	}

	std::size_t in_first_;
	std::byte *pages_;
	alignas(page) std::array<std::byte, page> rest_{};
	live::fd faults_ = make();
	std::thread handler_;
};

class FetchedOnce : public live::Live
{
protected:
	void SetUp() override
	{
		live::Live::SetUp();
		if (!torn::is_possible())
			GTEST_SKIP() << "needs a kernel with userfaultfd: " << strerror(errno);
	}
	/// The same for a split before each field of 8 bytes.
	template <class T> void every_split(const T &argument, const std::function<void(T *)> &expect)
	{
		for (std::size_t split = 8; split < sizeof(T); split += 8) {
			SCOPED_TRACE(split);
			const torn bytes(std::as_bytes(std::span(&argument, 1)), split);

			expect(reinterpret_cast<T *>(bytes.at()));
		}
	}
};

TEST_F(FetchedOnce, Spawn)
{
	const live::fd image = live::make_image(device, guests::exit42);

	every_split<mayfly_spawn>(live::spawn_request(image), [&](mayfly_spawn *spawn) {
		ASSERT_EQ(call(device, MAYFLY_SPAWN, spawn), 0);

		const machine vm{live::fd(spawn->fd)};

		EXPECT_EQ(vm.info().memory, MAYFLY_MEMORY_DEFAULT);
		EXPECT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().status, 42);
	});
}

TEST_F(FetchedOnce, ImageCreate)
{
	const live::image_request request(guests::exit42);

	every_split<mayfly_image_create>(request.create, [&](mayfly_image_create *create) {
		ASSERT_EQ(call(device, MAYFLY_IMAGE_CREATE, create), 0);

		const live::fd image(create->fd);

		EXPECT_EQ(machine(image, device).run(), 0);
	});
}

TEST_F(FetchedOnce, Segments)
{
	live::image_request request(guests::exit42);

	every_split<std::array<mayfly_segment, 2>>(request.segments, [&](std::array<mayfly_segment, 2> *segments) {
		request.create.segments = live::address(segments);

		const live::fd image(live::create_image(device, request.create));

		ASSERT_GE(image.get(), 0);

		const machine vm(image, device);

		EXPECT_EQ(vm.run(), 0);
		EXPECT_EQ(vm.info().status, 42);
	});
}

TEST_F(FetchedOnce, Control)
{
	const live::fd image = live::make_image(device, guests::exit42);
	const machine vm(image, device), other(image, device);
	const std::array<std::uint64_t, 2> ids{vm.info().id, other.info().id};
	mayfly_control control{};

	control.op = MAYFLY_OP_NOTIFY;
	control.port = 3;
	control.ids = live::address(ids.data());
	control.count = ids.size();
	every_split<mayfly_control>(control, [&](mayfly_control *args) {
		ASSERT_EQ(call(device, MAYFLY_CONTROL, args), 0);
		EXPECT_EQ(args->done, 2u);
	});
	every_split<std::array<std::uint64_t, 2>>(ids, [&](std::array<std::uint64_t, 2> *torn_ids) {
		std::array<std::int32_t, 2> results{1, 1};

		control.ids = live::address(torn_ids);
		control.results = live::address(results.data());
		ASSERT_EQ(call(device, MAYFLY_CONTROL, &control), 0);
		EXPECT_EQ(results, (std::array<std::int32_t, 2>{}));
	});
}

TEST_F(FetchedOnce, SetState)
{
	const live::fd image = live::make_image(device, guests::exit_argument);
	const machine vm(image, device);
	live::vcpu_state state = vm.state();

	state.regs[8] = 17;
	every_split<mayfly_vcpu_state>(state, [&](mayfly_vcpu_state *torn_state) {
		mayfly_state args = live::state_request(state);

		args.registers = live::address(torn_state);
		ASSERT_EQ(call(vm.handle(), MAYFLY_SET_STATE, &args), 0);

		const live::vcpu_state now = vm.state();

		EXPECT_EQ(std::memcmp(&now, &state, sizeof(now)), 0);
	});
	ASSERT_EQ(vm.run(), 0);
	EXPECT_EQ(vm.info().status, 17);
}

}
