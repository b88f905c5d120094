#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The tracepoints, as people use them: with trace-cmd.

load with_module

@test "trace-cmd records a life: states, faults, and as many exits as inspect counts" {
	cd "$BATS_TEST_TMPDIR"
	trace-cmd record -q -e mayfly bash -c 'vmctl spawn -q --name traced noop && vmctl wait traced'
	id=$(vmctl inspect traced | jq '.[0].id')
	trace-cmd report 2>/dev/null | grep " vm=$id " >report
	cat report
	[[ $(grep -c ' vm_exit: ' report) -eq $(vmctl inspect traced | jq '.[0].exits') ]]
	[[ $(grep -c ' vm_entry: ' report) -eq $(grep -c ' vm_exit: ' report) ]]
	grep -q ' vm_exit: .* reason=hypercall ' report
	grep -q ' fault: .* access=write error=0' report
	grep -q ' vm_state: .* running -> ended reason=exited' report
}
