// SPDX-License-Identifier: Apache-2.0
// Lists of all that there is.
#include <algorithm>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "vmctl/device.hpp"

#include "convert.hpp"

namespace vmctl
{

namespace
{

// Hands the first \p row_size bytes of each row of the listing \p command, ids
// \p from to \p to, to \p take: one call for up to 1,024, then one for every max_batch.
template <class Raw>
result<void> sweep(const descriptor &handle, unsigned long command, const char *what, std::uint32_t row_size,
		   std::uint64_t from, std::uint64_t to, auto take)
{
	std::unique_ptr<std::byte[]> batch;
	std::uint64_t size = 1024, room = 0;
	mayfly_list list{};
	Raw row{};

	list.next = from;
	do {
		// A short range needs no large batch.
		if (to - list.next < size)
			size = std::max<std::uint64_t>(to - list.next + 1, 1024);
		if (size > room) {
			batch.reset();
			batch = std::make_unique_for_overwrite<std::byte[]>(size * row_size);
			room = size;
		}
		list.from = list.next;
		list.next = 0;
		list.rows = address_of(batch.get());
		list.count = static_cast<std::uint32_t>(size);
		list.row_size = row_size;

		const int ret = handle.calls().ioctl(handle.fd(), command, &list);

		if (ret < 0)
			return fail(-ret, fmt::format("listing {}: ", what) + errno_text(-ret));
		for (std::uint64_t i = 0; i < std::min<std::uint64_t>(list.count, size); i++) {
			std::memcpy(&row, batch.get() + i * row_size, row_size);
			if (row.id <= to)
				take(row);
		}
		size = max_batch;
	} while (list.next > list.from && list.next <= to);
	return {};
}

} // namespace

result<std::vector<vm_info>> device::list(std::uint64_t from, std::uint64_t to) const
{
	std::vector<vm_info> rows;

	VMCTL_TRY(sweep<mayfly_vm_info>(handle_, MAYFLY_LIST, "VMs", sizeof(mayfly_vm_info), from, to,
					[&](const mayfly_vm_info &raw) { rows.push_back(info_of(raw)); }));
	return rows;
}

result<std::vector<demand_info>> device::demands() const
{
	std::vector<demand_info> rows;

	VMCTL_TRY(sweep<mayfly_demand_info>(handle_, MAYFLY_DEMAND_LIST, "addresses on demand",
					    sizeof(mayfly_demand_info), 0, std::numeric_limits<std::uint64_t>::max(),
					    [&](const mayfly_demand_info &raw) { rows.push_back(info_of(raw)); }));
	return rows;
}

result<std::vector<image_info>> device::images() const
{
	std::vector<image_info> rows;

	VMCTL_TRY(sweep<mayfly_image_info>(handle_, MAYFLY_IMAGE_LIST, "images", sizeof(mayfly_image_info), 0,
					   std::numeric_limits<std::uint64_t>::max(),
					   [&](const mayfly_image_info &raw) { rows.push_back(info_of(raw)); }));
	return rows;
}

} // namespace vmctl
