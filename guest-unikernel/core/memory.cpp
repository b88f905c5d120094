// SPDX-License-Identifier: BSD-2-Clause

#include <mayfly/memory.hpp>

int mayfly::discard(void *start, std::size_t pages)
{
	auto gpa = gpa_of(start);

	while (pages != 0) {
		const auto done = hypercall(MAYFLY_HC_DISCARD, gpa, pages);
		if (done <= 0)
			return static_cast<int>(done);
		gpa += static_cast<std::uint64_t>(done) * page_size;
		pages -= static_cast<std::size_t>(done);
	}
	return 0;
}
