// SPDX-License-Identifier: Apache-2.0
//
// A VM that is saved and restored has the same memory, page by page, and the same registers.

#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <vmctl/vmctl.hpp>
#include <x86intrin.h>

#include "saved_records.hpp"
#include "snapshots.hpp"

namespace
{

using bytes = live::saved_bytes;

constexpr std::uint64_t memory = 24 << 20;

template <class T> T must(vmctl::result<T> got)
{
	EXPECT_TRUE(got) << got.error().what;
	if constexpr (!std::is_void_v<T>)
		return std::move(*got);
}

class Saving : public live::Live
{
protected:
	/// A VM that has never run, with memory of each kind that there is.
	vmctl::vm make_one(const vmctl::image &from)
	{
		auto vm = must(to.spawn_attached(from, {.memory = memory, .name = {}, .start = false}));
		const bytes page(4096, std::byte{0x5a}), zero(4096), many(5 << 20, std::byte{0xa5});

		must(vm.write_memory(8 << 20, page));
		must(vm.write_memory((8 << 20) + 3 * 4096, zero)); // left out
		must(vm.write_memory(guests::gpa + 4096, zero));   // where the image has something
		must(vm.write_memory((10 << 20) + 4096, many));    // beyond one piece, and 2 MiB
		must(vm.write_memory(memory - 4096, page));
		return vm;
	}
	bytes memory_of(const vmctl::vm &vm)
	{
		bytes all(memory - MAYFLY_GPA_IMAGE);

		must(vm.read_memory(MAYFLY_GPA_IMAGE, all));
		return all;
	}
	template <class What> bytes saved(const What &what)
	{
		bytes file;

		must(to.save(what, [&](std::span<const std::byte> piece) -> vmctl::result<void> {
			file.insert(file.end(), piece.begin(), piece.end());
			return {};
		}));
		return file;
	}
	vmctl::result<vmctl::restored> restore(const bytes &file)
	{
		std::span<const std::byte> rest = file;

		return to.restore([&](std::span<std::byte> room) -> vmctl::result<std::size_t> {
			const std::size_t n = std::min<std::size_t>({room.size(), rest.size(), 1000});

			std::copy_n(rest.begin(), n, room.begin());
			rest = rest.subspan(n);
			return n;
		});
	}
	vmctl::restored restored(const bytes &file) { return must(restore(file)); }
	/// Compares what \p file makes with \p vm.
	void expect_same(const vmctl::vm &vm, const bytes &file)
	{
		const auto image = restored(file);
		const auto copy = must(to.spawn_attached(image.from, {.memory = memory, .name = {}, .start = false}));
		vmctl::vcpu_state was = must(vm.state()), is = must(copy.state());

		EXPECT_TRUE(memory_of(vm) == memory_of(copy));
		EXPECT_EQ(is.generation, was.generation + 1);
		EXPECT_GT(is.clock_seq, was.clock_seq);
		// Both clocks go on: the copy's has stood still from the snapshot to its making.
		EXPECT_LE(is.tsc_offset, was.tsc_offset);
		is.generation = was.generation;
		is.clock_seq = was.clock_seq;
		is.tsc_offset = was.tsc_offset;
		EXPECT_TRUE(is == was);
	}
	vmctl::image make_image()
	{
		live::image_request request(code_);

		return vmctl::image(vmctl::descriptor(calls, live::create_image(device, request.create)));
	}

	vmctl::posix_system calls;
	vmctl::device to = must(vmctl::device::open(calls));

private:
	// Two pages and a bit, all of them with something on them.
	const bytes code_ = bytes(9000, std::byte{0xf4});
};

TEST_F(Saving, AllMemoryComesBack)
{
	const auto image = make_image();
	const auto vm = make_one(image);

	expect_same(vm, saved(vm));
}

TEST_F(Saving, AlsoWhenTheProgramIsPartOfASnapshot)
{
	const auto vm = make_one(make_image());

	static_cast<void>(must(vm.snapshot()));
	// It is folded when there is time.
	ASSERT_TRUE(live::eventually([&] { return live::info(device).images == 1; }));
	expect_same(vm, saved(vm));
}

TEST_F(Saving, AlsoTwice)
{
	const auto image = make_image();
	const auto vm = make_one(image);
	const bytes once = saved(vm);
	const auto between = restored(once);

	expect_same(vm, saved(between.from));
}

constexpr std::size_t flags_at = 24, khz_at = 40, header_size = 160;

template <class T> T read_at(const bytes &content, std::size_t at)
{
	T value;

	std::memcpy(&value, content.data() + at, sizeof(value));
	return value;
}

template <class T> void write_at(bytes &content, std::size_t at, T value)
{
	std::memcpy(content.data() + at, &value, sizeof(value));
}

/// The guest's TSC, as a file has it.
std::uint64_t ticks_in(const bytes &first)
{
	return read_at<std::uint64_t>(first, header_size + offsetof(mayfly_vcpu_state, tsc_offset));
}

/// A file that can say that it comes from a host with another TSC.
class travelled
{
public:
	explicit travelled(bytes file) : file_(std::move(file)), contents_(live::contents_of(file_)) {}

	[[nodiscard]] std::uint64_t tsc() const { return ticks_in(contents_.front()); }
	[[nodiscard]] std::uint64_t khz() const { return read_at<std::uint64_t>(contents_.front(), khz_at); }
	void set_flags(std::uint32_t flags) { write_at(contents_.front(), flags_at, flags); }
	bytes from_host_with(std::uint64_t khz)
	{
		write_at(contents_.front(), khz_at, khz);
		return live::with_records(file_, contents_);
	}

private:
	bytes file_;
	std::vector<bytes> contents_;
};

/// The file says that it comes from a host whose TSC is half as fast.
TEST_F(Saving, TicksAreConverted)
{
	const auto image = make_image();
	travelled file(saved(make_one(image)));
	const std::uint64_t tsc = file.tsc(), khz = file.khz();

	EXPECT_EQ(khz, live::info(device).tsc_khz);

	const std::uint64_t start = __rdtsc();
	const std::uint64_t now = must(restored(file.from_host_with(khz / 2)).from.state()).tsc_offset;

	EXPECT_GE(now, 2 * tsc);
	EXPECT_LE(now, 2 * tsc + 2 * tsc / 1'000'000 + (__rdtsc() - start) + 1000);
}

/// Of a guest that counts them.
TEST_F(Saving, TicksThatAreCountedNeedTheSameFrequency)
{
	if (live::info(device).flags & MAYFLY_INFO_TSC_SCALING)
		GTEST_SKIP() << "needs a CPU without TSC scaling";

	const auto image = make_image();
	travelled file(saved(make_one(image)));
	const std::uint64_t khz = file.khz();

	file.set_flags(1);
	for (const std::uint64_t other : {khz / 2, khz - khz / 3000, khz + khz / 3000, 2 * khz}) {
		const auto refused = restore(file.from_host_with(other));

		ASSERT_FALSE(refused) << other;
		EXPECT_EQ(refused.error().code, ENOTSUP);
		EXPECT_EQ(refused.error().what, fmt::format("its guest counts ticks of a TSC of {} kHz, but this "
							    "host's has {} kHz",
							    other, khz));
	}
	EXPECT_EQ(live::info(device).vms, 0u);
}

/// Where the processor can, they keep it.
TEST_F(Saving, TicksThatAreCountedStayAsFastWhereTheProcessorCan)
{
	if (!(live::info(device).flags & MAYFLY_INFO_TSC_SCALING))
		GTEST_SKIP() << "needs TSC scaling";

	const auto image = make_image();
	travelled file(saved(make_one(image)));
	const std::uint64_t tsc = file.tsc(), khz = file.khz();

	file.set_flags(1);
	for (const std::uint64_t other : {khz / 2, khz - khz / 3000, khz + khz / 3000, 2 * khz}) {
		const std::uint64_t start = __rdtsc();
		const vmctl::image made = restored(file.from_host_with(other)).from;
		const vmctl::vcpu_state now = must(made.state());

		EXPECT_EQ(now.tsc_khz, other);
		EXPECT_GE(now.tsc_offset, tsc);
		EXPECT_LE(now.tsc_offset, tsc + 2 * (__rdtsc() - start));

		// From file to file, and back to a host like the first.
		const bytes again = saved(must(to.spawn_attached(made, {.name = {}, .start = false})));

		EXPECT_EQ(read_at<std::uint64_t>(live::contents_of(again).front(), khz_at), other);
		EXPECT_EQ(must(restored(travelled(again).from_host_with(khz)).from.state()).tsc_khz, 0u);
	}
	for (const std::uint64_t other : {256 * khz, (std::uint64_t{1} << 32) + khz})
		EXPECT_EQ(restore(file.from_host_with(other)).error().code, ENOTSUP) << other;
}

TEST_F(Saving, TicksThatAreCountedDoNotGoBack)
{
	const auto image = make_image();
	travelled file(saved(make_one(image)));
	const std::uint64_t tsc = file.tsc(), khz = file.khz();

	file.set_flags(1);
	// Measured a little differently, it is the same. Neither ticks nor their time goes back.
	for (const std::uint64_t other : {khz, khz + khz / 10'000, khz - khz / 10'000}) {
		const std::uint64_t start = __rdtsc();
		const vmctl::image made = restored(file.from_host_with(other)).from;
		const std::uint64_t now = must(made.state()).tsc_offset;

		EXPECT_GE(now, tsc);
		EXPECT_GE(now, static_cast<std::uint64_t>(static_cast<unsigned __int128>(tsc) * khz / other));
		EXPECT_LE(now, tsc + tsc / 5'000 + (__rdtsc() - start) + 1000);
		EXPECT_TRUE(must(made.info()).same_tsc);

		// So it stays, from file to file.
		const bytes again = saved(must(to.spawn_attached(made, {.name = {}, .start = false})));

		EXPECT_EQ(read_at<std::uint32_t>(live::contents_of(again).front(), flags_at), 1u);
	}
	file.set_flags(2);
	EXPECT_EQ(restore(file.from_host_with(khz)).error().code, ENOTSUP);
}

}
