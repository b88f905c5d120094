// SPDX-License-Identifier: Apache-2.0
// Lists of all that there is.
#include <algorithm>
#include <memory>

#include "vmctl/device.hpp"

#include "convert.hpp"

namespace vmctl
{

result<std::vector<vm_info>> device::list(std::uint64_t from, std::uint64_t to) const
{
	std::vector<vm_info> rows;
	std::unique_ptr<mayfly_vm_info[]> batch;
	std::uint64_t size = 1024, room = 0;
	mayfly_list list{};

	list.next = from;
	do {
		// A short range needs no large batch.
		if (to - list.next < size)
			size = std::max<std::uint64_t>(to - list.next + 1, 1024);
		if (size > room) {
			batch.reset();
			batch = std::make_unique_for_overwrite<mayfly_vm_info[]>(size);
			room = size;
		}
		list.from = list.next;
		list.next = 0;
		list.rows = address_of(batch.get());
		list.count = static_cast<std::uint32_t>(size);
		list.row_size = sizeof(mayfly_vm_info);

		const int ret = handle_.calls().ioctl(handle_.fd(), MAYFLY_LIST, &list);

		if (ret < 0)
			return fail(-ret, "listing VMs: " + errno_text(-ret));
		for (const mayfly_vm_info &raw : std::span(batch.get(), std::min<std::uint64_t>(list.count, size)))
			if (raw.id <= to)
				rows.push_back(info_of(raw));
		size = max_batch;
	} while (list.next > list.from && list.next <= to);
	return rows;
}

} // namespace vmctl
