#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hostile and broken ELF files, each refused before anything is made.

# shellcheck disable=SC2154 # stderr is set by bats
load common

setup_file()
{
	load_module
}

teardown_file()
{
	unload_module
}

# refused FILE WHY
refused()
{
	vm spawn -n 3 "$1"
	expect_status 126
	expect_error "vmctl: spawn: $1: $2"
	[[ -z $output && -z $(vmctl ps -aq) ]]
	vmctl info --json | jq -e '.[0].images == 0'
}

@test "not an ELF file" {
	echo 'echo hello' >"$BATS_TEST_TMPDIR/hello.elf"
	cd "$BATS_TEST_TMPDIR"
	refused hello.elf "not an x86-64 ELF executable"
	: >empty
	refused ./empty "not an x86-64 ELF executable"
}

@test "truncated" {
	file=$(patched 0 '\x7f')
	truncate -s 3000 "$file"
	refused "$file" "truncated: segment 0 ends beyond the file"
	truncate -s 100 "$file"
	vm spawn "$file"
	expect_status 126
	truncate -s 40 "$file"
	refused "$file" "truncated within the ELF header"
}

@test "32-bit" {
	refused "$(patched 4 '\x01')" "not an x86-64 ELF executable (32-bit)"
}

@test "wrong machine" {
	refused "$(patched 18 '\xb7\x00')" "not an x86-64 ELF executable (machine 183)"
}

@test "a program of the host" {
	vm run /bin/ls
	expect_status 126
}

@test "overlapping segments" {
	patched $((120 + 16)) '\x00\x00\x10\x80\xff\xff\xff\xff' >/dev/null
	file=$(patched $((120 + 24)) '\x00\x00\x10\x00\x00\x00\x00\x00')
	refused "$file" "segments at 0x100000 and 0x100000 overlap"
}

@test "an address that wraps" {
	patched $((120 + 24)) '\x00\xf0\xff\xff\xff\xff\xff\xff' >/dev/null
	patched $((120 + 40)) '\x00\x20\x00\x00\x00\x00\x00\x00' >/dev/null
	file=$(patched $((120 + 16)) '\x00\xf0\xff\x7f\xff\xff\xff\xff')
	refused "$file" "segment 1 wraps around the end of the address space"
}

@test "4 GiB claimed by a tiny file" {
	file=$(patched $((120 + 40)) '\x00\x00\x00\x00\x01\x00\x00\x00')
	vm spawn "$file"
	expect_status 126
	[[ $stderr == *"beyond the 1 GiB an image may span"* ]]
}

@test "1 GiB of .bss is taken, and costs nothing" {
	# Up to 1 GiB less a page, from 0x111000.
	file=$(patched $((120 + 40)) '\x00\xe0\xee\x3f\x00\x00\x00\x00')
	vm spawn -m 16M "$file"
	expect_status 126
	[[ $stderr == *"needs at least 1024.0 MiB of memory, not 16.0 MiB" || $stderr == *"needs at least 1.0 GiB"* ]]
	vm run -d "$file"
	expect_status 0
	(($(vmctl ps --json "$output" | jq '.[0].private_bytes') < 1048576))
	vmctl rm -f "$output"
}
