#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# VMs that are saved on one vendor's CPU go on, on the other's, with another TSC. Each test is
# a boot of each machine.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	nested=(scripts/nested-host --debug --timeout 300 --share "$BATS_TEST_TMPDIR")
}

# In the machine: a VM that counts, saved when it has counted.
# shellcheck disable=SC2016
saves='vmctl spawn -q --name web daytime >/dev/null
	lines() { vmctl logs "$1" | wc -l; }
	until (($(lines web) >= 2)); do :; done
	vmctl save web "$MAYFLY_OUT/web.mayfly"'

# What goes on, and how: as many as were there, and each with its clock.
# shellcheck disable=SC2016
restores='vmctl restore -q -n 10 --name copy "$MAYFLY_OUT/web.mayfly" >/dev/null
	lines() { vmctl logs "$1" | wc -l; }
	until (($(lines copy-1) >= 2 && $(lines copy-10) >= 2)); do :; done
	image=$(vmctl ps --json copy-1 | jq ".[0].image_id")
	vmctl image inspect "$image" | jq -r ".[0] | .label, .cpu_vendor"
	# It prints Unix time, which it adds up from its own clock.
	printed=$(date -d "$(vmctl logs copy-1 | tail -n 1)" +%s)
	(($(date +%s) - printed < 100)) && echo "the time is right"
	vmctl stop --all; vmctl rm -f --all >/dev/null 2>&1; rmmod mayfly && echo "clean end"'

carried()
{
	"${nested[@]}" --cpu "$1" -- bash -c "$saves"
	run "${nested[@]}" --cpu "$2" -- bash -c "$restores"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"daytime"$'\n'"$3"$'\n'"the time is right"*"clean end"* ]]
}

@test "from SVM to VT-x: the guest still sees AMD's" {
	carried svm vmx AMD
}

@test "from VT-x to SVM: the guest still sees Intel's" {
	carried vmx svm Intel
}
