// SPDX-License-Identifier: Apache-2.0
//
// What the tests of snapshots have in common: a VM that knows whether its memory is its own.

#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include <x86intrin.h>

#include "crowd.hpp"

namespace live
{

inline constexpr std::uint64_t page = 4096;

class Snapshots : public Live
{
protected:
	[[nodiscard]] static bool is_parked(const machine &vm) { return vm.info().state == MAYFLY_PARKED; }
	static void wait_until_parked(const machine &vm)
	{
		ASSERT_TRUE(eventually([&] { return is_parked(vm); })) << "status " << vm.info().status;
	}
	/// A started VM that has filled \p pages with its id, and now waits.
	[[nodiscard]] machine twin(std::uint64_t pages, std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		return twin_of(make_image(device, guests::twin), pages, memory);
	}
	/// The same, of an image that stays, or else it is folded as soon as there is a snapshot.
	[[nodiscard]] machine twin_of(const fd &image, std::uint64_t pages,
				      std::uint64_t memory = MAYFLY_MEMORY_DEFAULT) const
	{
		machine vm(image, device, 0, memory);

		vm.set_parameters(guests::range_gpa, pages);
		EXPECT_EQ(vm.control(MAYFLY_OP_START), 0);
		wait_until_parked(vm);
		return vm;
	}
	/// Does it find its memory as it should be?
	static void expect_answer(const machine &vm, std::uint32_t event = 5)
	{
		const std::uint64_t before = vm.info().parked;

		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, event), 0);
		ASSERT_TRUE(eventually([&] { return vm.info().parked > before; })) << "status " << vm.info().status;
	}
	static void expect_answers(crowd &all, std::uint32_t event = 5)
	{
		const std::vector<mayfly_vm_info> before = all.rows();

		ASSERT_EQ(all.control(MAYFLY_OP_NOTIFY, event), all.size());
		ASSERT_TRUE(eventually([&] {
			const auto &now = all.rows();

			for (std::size_t i = 0; i < now.size(); i++)
				if (now[i].state != MAYFLY_ENDED && now[i].parked <= before[i].parked)
					return false;
			return true;
		}));
		EXPECT_EQ(all.count(is_ended), 0u) << "status " << all.rows()[0].status;
	}
	static void expect_good_end(crowd &all)
	{
		ASSERT_EQ(all.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), all.size());
		ASSERT_TRUE(eventually([&] { return all.count(is_ended) == all.size(); }));
		for (const mayfly_vm_info &row : all.rows()) {
			EXPECT_EQ(row.reason, unsigned{MAYFLY_END_EXITED});
			EXPECT_EQ(row.status, 0) << "1: memory, 2: generation";
		}
	}
	static void expect_good_end(const machine &vm)
	{
		ASSERT_EQ(vm.control(MAYFLY_OP_NOTIFY, MAYFLY_EVENT_STOP), 0);
		ASSERT_TRUE(vm.wait_for_end());
		EXPECT_EQ(vm.info().reason, unsigned{MAYFLY_END_EXITED});
		EXPECT_EQ(vm.info().status, 0) << "1: memory, 2: generation";
	}
	static std::uint64_t counter(const machine &vm)
	{
		std::uint64_t value = 0;

		EXPECT_EQ(access_memory(vm.handle(), guests::counter_gpa, std::as_writable_bytes(std::span(&value, 1)),
					0),
			  0);
		return value;
	}
	static std::uint64_t guest_tsc(const machine &vm) { return __rdtsc() + vm.state().tsc_offset; }
};

}
