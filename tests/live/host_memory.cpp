// SPDX-License-Identifier: Apache-2.0
//
// A host with little memory left, and no cgroup that says whose: what VMs hold is
// nobody's in the eyes of the OOM killer, so it would pick an innocent process.

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
		innocent_ = std::make_unique<live::resident>(root_, [] {
			set_oom_score("0");
			const memory own(50 * mib);

			const std::uint64_t total = live::system_number("/proc/meminfo", "MemTotal:") << 10;

			// Some more now and then, as everybody needs: half of what VMs leave.
			for (;;) {
				const memory more(total / 128);

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
	void expect_calm() const
	{
		EXPECT_EQ(oom_kills(), oom_kills_);
		EXPECT_FALSE(innocent_->has_ended());
	}

private:
	static constexpr std::uint64_t leave = 256 * mib;

	static std::uint64_t oom_kills() { return live::system_number("/proc/vmstat", "oom_kill"); }
	static void set_oom_score(const char *score) { std::ofstream("/proc/self/oom_score_adj") << score; }

	const live::cgroup root_{"mayfly-live-innocent"};
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
				mayfly_vcpu_state state = all.back().state();

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
		const std::uint64_t parked = neighbour.stat().parked;

		EXPECT_TRUE(live::eventually([&] { return neighbour.stat().parked > parked + 5; }));
		EXPECT_EQ(spawn(), 0);
	}
}

TEST_F(HostMemory, ImagesAreRefusedBeforeAnInnocentIsKilled)
{
	// One page of zeroes, mapped many times over: 512 MiB of an image.
	constexpr std::uint64_t bytes = 512 * mib;
	char *const zeroes = static_cast<char *>(mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	live::image_request request(guests::exit42);

	ASSERT_NE(zeroes, MAP_FAILED);
	std::array<mayfly_segment, 3> segments{request.segments[0], request.segments[1]};

	segments[2] = {.gpa = 4 * mib, .length = bytes, .source = live::address(zeroes),
		       .flags = MAYFLY_SEGMENT_WRITE, .reserved = 0};
	request.create.segments = live::address(segments.data());
	request.create.nr_segments = 3;
	EXPECT_EQ(call(device, MAYFLY_IMAGE_CREATE, &request.create), -ENOMEM);
	munmap(zeroes, bytes);
	expect_calm();
	EXPECT_EQ(spawn(), 0);
}

}
