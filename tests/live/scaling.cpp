// SPDX-License-Identifier: Apache-2.0
//
// A guest whose TSC has another frequency than the host's, where the processor can do that.

#include "snapshots.hpp"

namespace
{

using live::machine;
using live::vcpu_state;

class Scaling : public live::Snapshots
{
protected:
	void SetUp() override
	{
		Snapshots::SetUp();
		if (!(live::info(device).flags & MAYFLY_INFO_TSC_SCALING))
			GTEST_SKIP() << "needs TSC scaling";
	}
	[[nodiscard]] std::uint32_t khz() const { return static_cast<std::uint32_t>(live::info(device).tsc_khz); }
	/// Its TSC is now \p tsc, and goes on at \p khz.
	static void set_tsc(const machine &vm, std::uint32_t khz, std::uint64_t tsc)
	{
		vcpu_state state = vm.state();

		state.tsc_khz = khz;
		state.tsc_offset = tsc;
		state.flags |= MAYFLY_STATE_TSC;
		ASSERT_EQ(vm.set_state(state), 0);
		EXPECT_EQ(vm.state().tsc_khz, khz);
		EXPECT_EQ(vm.state().flags, state.flags & ~MAYFLY_STATE_TSC);
	}
	/// What the guest of tsc_loop saw last. It has run, and is paused now.
	static std::uint64_t seen_by(const machine &vm)
	{
		std::uint64_t seen = 0;

		EXPECT_TRUE(live::eventually([&] {
			EXPECT_EQ(vm.control(MAYFLY_OP_PAUSE), 0);
			seen = counter(vm);
			if (!seen) {
				EXPECT_EQ(vm.control(MAYFLY_OP_RESUME), 0);
			}
			return seen != 0;
		}));
		return seen;
	}
	/// Ticks of a TSC with \p other kHz in \p ticks of the host's, and one or two for rounding.
	[[nodiscard]] std::uint64_t converted(std::uint64_t ticks, std::uint32_t other) const
	{
		return static_cast<std::uint64_t>(static_cast<unsigned __int128>(ticks) * other / khz());
	}
};

/// What a guest sees, between what it must see at least and at most.
TEST_F(Scaling, TheTscGoesOnAtItsOwnRate)
{
	constexpr std::uint64_t begin = 1'000'000'000'000;

	for (const std::uint32_t other : {2 * khz(), khz() / 3}) {
		const machine vm(live::make_image(device, guests::tsc_loop), device);
		const std::uint64_t before = __rdtsc();

		set_tsc(vm, other, begin);

		const std::uint64_t set = __rdtsc();

		usleep(100'000);

		const std::uint64_t start = __rdtsc();

		ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);

		const std::uint64_t seen = seen_by(vm), end = __rdtsc();

		EXPECT_GE(seen, begin + converted(start - set, other));
		EXPECT_LE(seen, begin + converted(end - before, other) + 2);
	}
}

/// Its clock shows the same time as anybody's, so its timers run as long.
TEST_F(Scaling, ItsClockAndTimersAreRight)
{
	for (const std::uint32_t other : {4 * khz(), khz() / 4}) {
		const machine vm(live::make_image(device, guests::wait_deadline), device);
		const double before = live::ns_per_tick(vm);
		const std::uint32_t seq = live::device_page(vm).clock.seq;

		set_tsc(vm, other, 0);
		EXPECT_NEAR(live::ns_per_tick(vm) / before, static_cast<double>(khz()) / other, 0.001);
		EXPECT_GT(live::device_page(vm).clock.seq, seq);
		ASSERT_EQ(vm.control(MAYFLY_OP_START), 0);
		ASSERT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().status, 0) << "1: too early";
	}
}

/// A snapshot's VMs go on as it did, and only they: others' TSC is the host's.
TEST_F(Scaling, ClonesHaveIt)
{
	const machine vm(live::make_image(device, guests::tsc_loop), device);

	set_tsc(vm, 2 * khz(), 1ull << 60);

	const std::uint64_t before = __rdtsc();
	const machine clone(snapshot(vm), device);
	const machine other(live::make_image(device, guests::tsc_loop), device);

	EXPECT_EQ(clone.state().tsc_khz, 2 * khz());
	EXPECT_EQ(other.state().tsc_khz, 0u);
	for (const machine *one : {&clone, &other, &vm})
		ASSERT_EQ(one->control(MAYFLY_OP_START), 0);
	EXPECT_GE(seen_by(clone), 1ull << 60);
	EXPECT_GE(seen_by(vm), 1ull << 60);

	const std::uint64_t seen = seen_by(other);

	EXPECT_LE(seen, __rdtsc() - before);
}

TEST_F(Scaling, NoTscIsFarFromTheHosts)
{
	const machine vm(live::make_image(device, guests::exit42), device);
	vcpu_state state = vm.state();

	for (const std::uint32_t other : {1u, khz(), 250 * khz()}) {
		state.tsc_khz = other;
		EXPECT_EQ(vm.set_state(state), 0) << other;
	}
	state.tsc_khz = 251 * khz();
	EXPECT_EQ(vm.set_state(state), -EOPNOTSUPP);
	EXPECT_EQ(vm.state().tsc_khz, 250 * khz());
}

using NoScaling = live::Snapshots;

TEST_F(NoScaling, AnotherFrequencyIsRefused)
{
	const machine vm(live::make_image(device, guests::exit42), device);
	vcpu_state state = vm.state();

	if (live::info(device).flags & MAYFLY_INFO_TSC_SCALING)
		GTEST_SKIP() << "needs a CPU without TSC scaling";
	state.tsc_khz = static_cast<std::uint32_t>(live::info(device).tsc_khz) / 2;
	EXPECT_EQ(vm.set_state(state), -EOPNOTSUPP);
	EXPECT_EQ(vm.state().tsc_khz, 0u);
}

/// SET_STATE takes the TSC itself as well as what makes it.
TEST_F(NoScaling, TheTscCanBeSetToAValue)
{
	const machine vm(live::make_image(device, guests::tsc_loop), device);
	vcpu_state state = vm.state();
	const std::uint64_t before = __rdtsc();

	state.flags |= MAYFLY_STATE_TSC;
	state.tsc_offset = 1ull << 60;
	ASSERT_EQ(vm.set_state(state), 0);
	EXPECT_EQ(vm.state().flags & MAYFLY_STATE_TSC, 0u);
	EXPECT_GE(guest_tsc(vm), 1ull << 60);
	EXPECT_LE(guest_tsc(vm), (1ull << 60) + (__rdtsc() - before));
}

}
