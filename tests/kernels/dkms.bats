#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# `make install-dkms`, in fresh Debians that know nothing else of Mayfly: DKMS builds
# the module for the kernels there are, and by itself for the one that comes later. What
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

# The module for series $1, from $built, makes a VM on that kernel.
runs_on()
{
	local release
	release=$(<"build/kernel-$1/release")
	scripts/nested-host --kernel-series "$1" --module "$built/$release.ko" -- vmctl run noop
}

@test "Debian 12: for its 6.1, and for the 6.12 of its backports when that comes" {
	scripts/debian-root bookworm tests/kernels/dkms.bash "$built" bookworm-backports
	for series in 6.1 6.12; do
		scripts/fetch-kernel "$series"
		runs_on "$series"
	done
}

@test "Debian 13: for its 6.12, and for the newest of its backports when that comes" {
	scripts/debian-root trixie tests/kernels/dkms.bash "$built" trixie-backports
	for series in trixie trixie-backports; do
		scripts/fetch-kernel "$series"
		runs_on "$series"
	done
}
