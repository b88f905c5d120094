#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# `make install-dkms`, in fresh Debians that know nothing else of Mayfly: DKMS builds
# the module for the kernel there is, and by itself for the one that comes later. What
# it built is loaded.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.." || return
	mkdir -p build/kernels
	built=$(mktemp -d "$PWD/build/kernels/dkms.XXXXXX")
}

teardown()
{
	rm -rf "$built"
}

# In Debian $1: the kernel of series $2, then that of series $3, and a VM on both.
builds_and_runs()
{
	local suite=$1 series release
	shift

	for series; do
		scripts/fetch-kernel "$series"
	done
	scripts/debian-root "$suite" tests/kernels/dkms.bash "$built" \
		"$(<"build/kernel-$1/release")" "$(<"build/kernel-$2/release")"
	for series; do
		release=$(<"build/kernel-$series/release")
		scripts/nested-host --kernel-series "$series" --module "$built/$release.ko" -- vmctl run noop
	done
}

@test "Debian 12: for its 6.1, and for the 6.12 of its backports when that comes" {
	builds_and_runs bookworm 6.1 6.12
}

@test "Debian 13: for its 6.12, and for the newest of its backports when that comes" {
	builds_and_runs trixie trixie trixie-backports
}
