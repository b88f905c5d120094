// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"

namespace vmctl
{

vm_stat stat_of(const mayfly_vm_info &raw)
{
	vm_stat stat;

	stat.info = info_of(raw);
	for (const exit_reason reason : all_exit_reasons)
		stat.exits[reason] = raw.exits_by[std::to_underlying(reason)];
	stat.guest_pages = raw.guest_pages;
	stat.table_pages = raw.table_pages;
	stat.device_pages = raw.device_pages;
	stat.struct_bytes = raw.struct_bytes;
	stat.console_bytes = raw.console_bytes;
	stat.console_lost = raw.console_lost;
	stat.parked = raw.parked;
	stat.ready = raw.ready;
	return stat;
}

} // namespace vmctl
