#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images in the module: loaded, named, found by name, removed.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

teardown()
{
	vmctl rm -f --all 2>/dev/null || true
	vmctl image rm --all
	vmctl info --json | jq -e '.[0] | .vms == 0 and .images == 0 and .pages == 0'
}

# A field of a loaded image: image WORD FIELD
image()
{
	vmctl image inspect "$1" | jq -r ".[0].$2"
}

@test "an image outlives its file, and VMs share it" {
	file=$(patched 0 '\x7f')
	vm image load --name web "$file"
	expect_status 0
	id=$output
	rm "$file"
	vmctl spawn -q -n 5 web
	vmctl run -d web
	[[ $(image web id) == "$id" && $(image "$id" name) == web && $(image web label) == patched.elf ]]
	[[ $(image web users) -eq 6 && $(vmctl info --json | jq '.[0].images') -eq 1 ]]
	vmctl ps -a --json | jq -e --argjson id "$id" 'all(.[]; .image_id == $id and .image == "patched.elf")'
}

@test "what it was loaded with" {
	vmctl image load -m 4M --cpu sse4.2 --name web hello
	vmctl run -d --name one web
	vmctl run -d --name two -m 8M web
	[[ $(field one memory) -eq 4194304 && $(field two memory) -eq 8388608 ]]
	[[ $(image web cpu_level) == sse4.2 && $(image web profile) == unikernel ]]
	vm run -m 1M web
	expect_status 126
	expect_error "vmctl: run: web: needs at least 1.1 MiB of memory, not 1.0 MiB"
}

@test "a name is one image's, unless it is taken from it" {
	vmctl image load hello
	vm image load hello
	expect_status 1
	expect_error "vmctl: image load: another image is called hello"
	[[ -z $output && $(vmctl info --json | jq '.[0].images') -eq 1 ]]
	vmctl run -d hello
	old=$(image hello id)
	vmctl image load -f hello
	[[ $(image hello id) -gt $old && $(image "$old" name) == null ]]
	# It has a VM, and may have a name of its own.
	vmctl tag "$old" old
	[[ $(image old id) -eq $old ]]
	vm tag old hello
	expect_status 1
	expect_error "vmctl: image tag: old: another image is called hello"
}

@test "removed: gone when nobody uses it" {
	vmctl image load --name web hello
	id=$(image web id)
	vmctl run -d web
	vmctl rmi web
	vm_without_image run -d web
	expect_status 127
	[[ $(image "$id" name) == null ]]
	vm image rm "$id"
	expect_status 1
	expect_error "vmctl: image rm: $id: has no name; it goes with the last VM made from it"
	vmctl rm -f --all
	vm image inspect "$id"
	expect_status 1
}

@test "a name means the loaded image, a bundled one, a file here" {
	cd "$BATS_TEST_TMPDIR"
	cp "$(patched 0 '\x7f')" hello
	vm run -d hello
	expect_status 0
	expect_error "vmctl: run: hello: taking the bundled image, not ./hello"
	vmctl image load --name hello ./hello
	vm run -d hello
	expect_error "vmctl: run: hello: taking the loaded image, not the bundled one or ./hello"
	# Without an operand: the bundled one, whatever is here.
	: >hello
	vm run -d
	expect_status 0
	[[ -z $stderr ]]
	vm run -d ./hello
	expect_status 126
}

@test "the list has what is loaded and what is bundled" {
	vmctl image load --name web hello
	vm images
	expect_status 0
	grep -qE '^web +[0-9]+ +hello +[0-9.]+ KiB +16.0 MiB +0 +[0-9]+s$' <<<"$output"
	grep -qE '^daytime +- +bundled ' <<<"$output"
	vmctl images --json | jq -e '(.[0].name == "web") and any(.[1:][]; .name == "hello" and .id == null)'
	[[ $(vmctl images -q) == "$(image web id)" ]]
	# As with docker: all of them.
	# shellcheck disable=SC2046
	vmctl rmi $(vmctl images -q)
	[[ -z $(vmctl images -q) ]]
}

@test "names are their owner's" {
	install -m 644 "$BATS_TEST_DIRNAME/../../build/guests/hello" /run/hello
	chmod 666 /dev/mayfly
	id=$(vmctl image load --name web hello)
	as_nobody vmctl image load --name web /run/hello
	[[ $(as_nobody vmctl image inspect web | jq '.[0].id') -ne $id ]]
	run as_nobody vmctl image rm "$id"
	[[ $status -eq 1 && $output == "vmctl: image rm: $id: someone else's image" ]]
	# Root sees both, its own by name.
	[[ $(vmctl images | grep -c '^web .* \(0\|65534\)$') -eq 2 && $(image web uid) -eq 0 ]]
}
