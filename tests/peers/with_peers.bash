# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the files of this tier share. Its programs are Debian's, unchanged: scripts/install-deps
# --network. None of the tests measures how fast they are.

load ../net/with_network

guests=$BATS_TEST_DIRNAME/../../build/tests

setup()
{
	vmctl net create web --subnet 10.9.0.0/16
	kernel_lines=$(dmesg | wc -l)
}

teardown()
{
	remove_all
}

# The host's kernel has had nothing to say since the test began.
kernel_is_quiet()
{
	dmesg | tail -n "+$((kernel_lines + 1))"
	[[ $(dmesg | wc -l) -eq $kernel_lines ]]
}

# Do all VMs live, without a word?
are_unharmed()
{
	[[ $(vmctl ps -a --json | jq '[.[] | select(.state == "ended")] | length') -eq 0 && -z $(vmctl logs --all) ]]
}

page='<!doctype html><title>Mayfly</title><p>It works.</p>'

serves_a_page()
{
	[[ $(curl -sS -m 60 "http://$1/") == "$page" ]]
}
