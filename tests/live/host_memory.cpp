// SPDX-License-Identifier: Apache-2.0
//
// A host with little memory left, and no cgroup that says whose: what VMs hold is
// nobody's in the eyes of the OOM killer, so it would pick an innocent process.

#include <atomic>
#include <memory>
#include <new>

#include <sys/mman.h>

#include "cgroup.hpp"
#include "crowd.hpp"

namespace
{

using live::crowd;
using live::machine;

constexpr std::uint64_t mib = 1 << 20;

/// Memory of this process, all of it there.
class memory final
{
public:
	explicit memory(std::uint64_t bytes)
		: bytes_(bytes), begin_(static_cast<char *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
								 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)))
	{
	}
	~memory() { munmap(begin_, bytes_); }
	memory(const memory &) = delete;
	memory &operator=(const memory &) = delete;

private:
	std::uint64_t bytes_;
	char *begin_;
};

/// The whole machine is short of memory, but for what the tests' VMs can take; an
/// innocent process has 50 MiB, and no other can be killed for memory.
class HostMemory : public live::Live
{
protected:
	void SetUp() override
	{
		Live::SetUp();
		oom_kills_ = oom_kills();
		set_oom_score("-1000");
		innocent_ = std::make_unique<live::resident>(group_, [this] {
			set_oom_score("0");
			const memory own(50 * mib);

			const std::uint64_t total = live::system_number("/proc/meminfo", "MemTotal:") << 10;

			// Some more now and then, as everybody needs: half of what VMs leave.
			for (;;) {
				const memory more(total / 128);

				++*rounds_;
				usleep(1000);
			}
			return true;
		});
		if (live::free_memory() > leave)
			ballast_ = std::make_unique<memory>(live::free_memory() - leave);
	}
	void TearDown() override
	{
		EXPECT_EQ(oom_kills(), oom_kills_);
		EXPECT_FALSE(innocent_->has_ended());
		innocent_.reset();
		ballast_.reset();
		munmap(rounds_, sizeof(counter));
		set_oom_score("0");
		Live::TearDown();
	}
	[[nodiscard]] live::fd image(std::span<const std::byte> code) const { return live::make_image(device, code); }

	/// Asks for one VM more.
	[[nodiscard]] int spawn() const
	{
		const live::fd start = image(guests::wait_forever);

		return crowd(device, start, 1).result();
	}
	/// It has taken what it takes, and given it back, a few times more.
	void expect_enough_for_the_innocent() const
	{
		const std::uint64_t rounds = *rounds_;

		EXPECT_TRUE(live::eventually([&] { return *rounds_ > rounds + 3; }));
		expect_calm();
	}
	void expect_calm() const
	{
		EXPECT_EQ(oom_kills(), oom_kills_);
		EXPECT_FALSE(innocent_->has_ended());
	}

private:
	static constexpr std::uint64_t leave = 256 * mib;
	using counter = std::atomic<std::uint64_t>;

	static std::uint64_t oom_kills() { return live::system_number("/proc/vmstat", "oom_kill"); }
	static void set_oom_score(const char *score) { std::ofstream("/proc/self/oom_score_adj") << score; }

	const live::cgroup group_{"mayfly-live-innocent"};
	/// Shared with the innocent.
	counter *const rounds_ = new (mmap(nullptr, sizeof(counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
					   -1, 0)) counter(0);
	std::unique_ptr<live::resident> innocent_;
	std::unique_ptr<memory> ballast_;
	std::uint64_t oom_kills_ = 0;
};

TEST_F(HostMemory, SpawnIsRefusedBeforeAnInnocentIsKilled)
{
	const live::fd wait = image(guests::wait_loop);
	{
		crowd all(device, wait, 100000, MAYFLY_SPAWN_START);

		EXPECT_EQ(all.result(), -ENOMEM);
		EXPECT_GT(all.size(), 1000u);
		expect_calm();
		// Those that are there go on.
		const std::vector<mayfly_vm_info> before = all.rows();

		EXPECT_TRUE(live::eventually([&] {
			const std::vector<mayfly_vm_info> &now = all.rows();

			return std::ranges::equal(before, now, [](const auto &then, const auto &later) {
				return later.reason == MAYFLY_END_NONE && later.exits > then.exits;
			});
		}));
		expect_calm();
	}
	EXPECT_EQ(spawn(), 0);
}

TEST_F(HostMemory, VmsThatGrowEndBeforeAnInnocentIsKilled)
{
	const live::fd greedy = image(guests::touch_all), stride = image(guests::touch_stride);

	for (const live::fd *guest : {&greedy, &stride}) {
		const machine neighbour(image(guests::wait_loop), device, MAYFLY_SPAWN_START);
		{
			// Each could have all there is; one of them steps over every second page,
			// so that it gets small ones.
			std::vector<machine> all;

			for (int i = 0; i < 4; i++) {
				all.emplace_back(*guest, device, 0, 4096 * mib);
				live::vcpu_state state = all.back().state();

				state.regs[8] = guests::range_gpa;
				state.regs[9] = 500'000;
				state.regs[10] = 2;
				EXPECT_EQ(all.back().set_state(state), 0);
			}
			for (int i = 1; i < 4; i++)
				EXPECT_EQ(all[static_cast<std::size_t>(i)].control(MAYFLY_OP_START), 0);
			EXPECT_EQ(all[0].run(), 0);
			for (const machine &vm : all) {
				EXPECT_TRUE(vm.wait_for_end());
				EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_NO_MEMORY});
			}
			expect_calm();
		}
		const std::uint64_t parked = neighbour.info().parked;

		EXPECT_TRUE(live::eventually([&] { return neighbour.info().parked > parked + 5; }));
		EXPECT_EQ(spawn(), 0);
	}
}

TEST_F(HostMemory, VmsThatFillItToTheBrimLeaveEnoughForAnInnocent)
{
	const live::fd stamp = image(guests::stamp_wait);
	std::vector<machine> all;

	// Who finds no room gives all back, so smaller ones fill what is left.
	for (const std::uint64_t size : {32 * mib, 4 * mib, mib / 2})
		for (int i = 0; i < 20; i++) {
			all.emplace_back(stamp, device, 0, 64 * mib);
			all.back().set_parameters(guests::range_gpa, size / 4096);
		}
	std::size_t held = 0;

	for (std::size_t i = 0; i < all.size(); i++) {
		const machine &vm = all[i];

		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		EXPECT_TRUE(live::eventually([&] { return vm.info().state == MAYFLY_PARKED || vm.info().reason; }));
		if (!vm.info().reason) {
			held++;
			continue;
		}
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_NO_MEMORY});
		i = (i / 20 + 1) * 20 - 1; // the next size
	}
	EXPECT_GT(held, 3u);
	expect_enough_for_the_innocent();
}

TEST_F(HostMemory, ImagesThatFillItToTheBrimLeaveEnoughForAnInnocent)
{
	// One page of zeroes, many times over.
	constexpr std::uint64_t most = 32 * mib;
	void *const zeroes = mmap(nullptr, most, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	std::vector<live::fd> all;

	ASSERT_NE(zeroes, MAP_FAILED);
	for (const std::uint64_t size : {most, 4 * mib, mib / 2}) {
		live::image_request request(guests::exit42);
		std::array<mayfly_segment, 3> segments{request.segments[0], request.segments[1]};
		int ret = 0;

		segments[2] = {.gpa = 4 * mib,
			       .length = size,
			       .source = live::address(zeroes),
			       .flags = MAYFLY_SEGMENT_WRITE,
			       .reserved = 0};
		request.create.segments = live::address(segments.data());
		request.create.nr_segments = 3;
		for (int i = 0; i < 200 && (ret = live::create_image(device, request.create)) >= 0; i++)
			all.emplace_back(ret);
		EXPECT_EQ(ret, -ENOMEM);
	}
	munmap(zeroes, most);
	EXPECT_GT(all.size(), 3u);
	expect_enough_for_the_innocent();
}

}
