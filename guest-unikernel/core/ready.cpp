// SPDX-License-Identifier: BSD-2-Clause
//
// The moment for a snapshot.

#include <mayfly/events.hpp>
#include <mayfly/hypercall.hpp>
#include <mayfly/ready.hpp>

mayfly::arguments mayfly::ready()
{
	hypercall(MAYFLY_HC_READY);
	notice_generation_if_asked();
	return {};
}
