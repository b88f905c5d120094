// SPDX-License-Identifier: BSD-2-Clause
//
// CPUID answers from Mayfly's table: what is not in it is zero.

#include "check.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <mayfly/console.hpp>
#include <mayfly_guest.h>

namespace
{

struct cpuid {
	std::uint32_t eax, ebx, ecx, edx;

	explicit cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0)
	{
		asm volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(leaf), "c"(subleaf));
	}

	bool is_zero() const { return (eax | ebx | ecx | edx) == 0; }
};

constexpr std::uint32_t bits(std::initializer_list<unsigned> numbers)
{
	std::uint32_t mask = 0;
	for (const auto number : numbers)
		mask |= 1u << number;
	return mask;
}

// FPU DE PSE TSC MSR PAE CX8 SEP PGE CMOV CLFSH MMX FXSR SSE SSE2
constexpr auto leaf_1_edx = bits({0, 2, 3, 4, 5, 6, 8, 11, 13, 15, 19, 23, 24, 25, 26});
constexpr auto leaf_1_ecx = bits({13, 31});             // CX16 HYPERVISOR
constexpr auto extended_1_edx = bits({11, 20, 26, 29}); // SYSCALL NX PDPE1GB LM
constexpr auto extended_1_ecx = bits({0});              // LAHF
constexpr std::uint32_t address_bits = 48 << 8 | 40;    // virtual, physical

bool is_signature(const char *name, std::uint32_t first, std::uint32_t second, std::uint32_t third)
{
	const std::uint32_t words[] = {first, second, third};
	return memcmp(words, name, sizeof words) == 0;
}

// What the C library computes from: bytes of a cache.
std::uint32_t intel_cache_size(std::uint32_t subleaf)
{
	const cpuid cache(4, subleaf);
	return ((cache.ebx >> 22) + 1) * ((cache.ebx & 0xfff) + 1) * (cache.ecx + 1);
}

void check_intel_caches()
{
	check_equal(intel_cache_size(0), 32 << 10, "cpuid 4: L1 data");
	check_equal(intel_cache_size(1), 32 << 10, "cpuid 4: L1 code");
	check_equal(intel_cache_size(2), 512 << 10, "cpuid 4: L2");
	check_equal(intel_cache_size(3), 8 << 20, "cpuid 4: L3");
	check(cpuid(4, 4).is_zero(), "cpuid 4: no fifth cache");
}

void check_amd_caches()
{
	check_equal(cpuid(0x80000005).ecx >> 24, 32, "cpuid 0x80000005: KiB of L1 data");
	check_equal(cpuid(0x80000006).ecx >> 16, 512, "cpuid 0x80000006: KiB of L2");
	check_equal((cpuid(0x80000006).edx >> 18) * 512, 8 << 10, "cpuid 0x80000006: KiB of L3");
}

constexpr std::array<std::uint32_t, 19> absent = {
	5,          6,          7,          0xa,        0xb,        0xd,        0x14,
	0x15,       0x16,       0x1f,       0x40000001, 0x40000010, 0x80000002, 0x80000007,
	0x80000009, 0x8000000a, 0x8000001e, 0x8fffffff, 0xffffffff,
};

}

void check_cpuid()
{
	const cpuid zero(0);
	const bool amd = is_signature("AuthenticAMD", zero.ebx, zero.edx, zero.ecx);
	check(amd || is_signature("GenuineIntel", zero.ebx, zero.edx, zero.ecx), "cpuid 0: vendor");
	check_equal(zero.eax, amd ? 1 : 4, "cpuid 0: highest leaf");
	amd ? check_amd_caches() : check_intel_caches();

	const cpuid one(1);
	check_equal(one.eax >> 8, amd ? 15 : 6, "cpuid 1: family");
	check_equal(one.edx, leaf_1_edx, "cpuid 1: edx");
	check_equal(one.ecx, leaf_1_ecx, "cpuid 1: ecx");

	const cpuid base(MAYFLY_CPUID_BASE);
	check_equal(base.eax, MAYFLY_CPUID_BASE, "cpuid 0x40000000: highest leaf");
	check(is_signature(MAYFLY_CPUID_SIGNATURE, base.ebx, base.ecx, base.edx), "cpuid 0x40000000: Mayfly");

	check_equal(cpuid(0x80000000).eax, 0x80000008, "cpuid 0x80000000: highest leaf");
	const cpuid extended(0x80000001);
	check_equal(extended.edx, extended_1_edx, "cpuid 0x80000001: edx");
	check_equal(extended.ecx, extended_1_ecx, "cpuid 0x80000001: ecx");
	check_equal(cpuid(0x80000008).eax, address_bits, "cpuid 0x80000008: eax");

	std::uint32_t leaf_found = 0;
	for (const auto leaf : absent)
		for (std::uint32_t subleaf = 0; subleaf < 3; ++subleaf)
			if (!cpuid(leaf, subleaf).is_zero())
				leaf_found = leaf;
	check_equal(leaf_found, 0, "cpuid: every other leaf is zero");
}
