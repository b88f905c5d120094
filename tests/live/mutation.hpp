// SPDX-License-Identifier: Apache-2.0
//
// Rules of the module's that a DEBUG build breaks on purpose.

#pragma once

namespace live
{

/// The numbers of enum mutation in kmod/debug/mutation.h.
enum mutation {
	none,
	guest_cs,
	host_msr,
	host_cr,
	host_dr,
	host_gdtr,
	host_idtr,
	host_selector,
	host_base,
	host_xcr0,
	host_pkru,
	host_flags,
	host_field,
	keep_fpu,
	control_field,
	intercept,
	msr_bitmap,
	syscalls,
	tsc_ratio,
	io_bitmap,
	clean,
	shutdown,
	vmxon,
	tsc_khz,
	split_lock,
	broken_page,
	skip_tag,
	skip_flush,
	skip_invept,
	free_mapped,
	free_inside,
	freeze,
	generation,
	fold,
	sender, ///< these three: see network.cpp
	ring,
	port,
	node, ///< see tests/host/nodes.bats
};

}
