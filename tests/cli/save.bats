#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# VMs and images in files.

# shellcheck disable=SC2154 # stderr is set by bats
load with_module

teardown()
{
	vmctl rm -f --all 2>/dev/null || true
	vmctl image rm --all
	# An image that is being folded goes a little later.
	eventually holds_nothing
}

# Into an empty folder.
go_aside()
{
	mkdir "$BATS_TEST_TMPDIR/aside"
	cd "$BATS_TEST_TMPDIR/aside" || return
}

# Is what remains in the module as before? $1 VMs, $2 images.
has_only()
{
	vmctl info --json | jq -e --argjson vms "$1" --argjson images "$2" \
		'.[0] | .vms == $vms and .images == $images'
}

@test "a saved VM goes on, and so do a thousand that are restored" {
	go_aside
	counting web
	vm save web web.mayfly
	expect_status 0
	[[ -z $output && $(stat -c %a web.mayfly) == 600 ]]
	[[ $(vmctl ps -q | wc -l) -eq 1 ]]
	vm restore -n 1000 --name copy web.mayfly
	expect_status 0
	[[ $(wc -l <<<"$output") -eq 1000 ]]
	eventually has_lines copy-1 2
	eventually has_lines copy-1000 2
	eventually has_lines web 4
	# Console and id are their own; the state goes on.
	[[ $(field copy-7 memory) -eq $(field web memory) && $(field copy-7 image_id) -ne $(field web image_id) ]]
	[[ $(find . -type f | wc -l) -eq 1 ]]
}

@test "arguments are saved, and can be others" {
	go_aside
	vmctl create -q --name one primes -- 20 30 >/dev/null
	vmctl save one one.mayfly
	vm restore --name two one.mayfly
	expect_status 0
	vmctl wait two
	vmctl start one
	vmctl wait one
	[[ $(vmctl logs two) == "$(vmctl logs one)" ]]
	vmctl restore -q --name three one.mayfly -- 20 >/dev/null
	vmctl wait three
	[[ $(vmctl logs three) != "$(vmctl logs one)" ]]
}

@test "save --stop ends the VM when its file is complete" {
	go_aside
	counting web
	vm save --stop web web.mayfly
	expect_status 0
	[[ $(field web state) == ended && $(field web reason) == killed ]]
	vmctl restore -q --name again web.mayfly >/dev/null
	eventually has_lines again 1
}

@test "a save that fails leaves the VM running, and no file" {
	go_aside
	counting web
	vm save web /dev/full
	expect_status 125
	expect_error "vmctl: save: web: /dev/full: No space left on device"
	vm save --stop web nowhere/web
	expect_status 125
	expect_error "vmctl: save: nowhere/web: No such file or directory"
	# Nobody can know whether anybody has read what is in a pipe.
	run bash -c 'vmctl save --stop web - | cat >/dev/null; exit ${PIPESTATUS[0]}'
	[[ $status -eq 125 && $output == *"--stop needs a file"* ]]
	[[ $(find . -type f | wc -l) -eq 0 ]]
	# A full disk leaves the old file.
	mkdir small
	mount -t tmpfs -o size=8k none small
	echo old >small/web
	vm save --stop web small/web
	kept=$(cat small/web; find small -type f | wc -l)
	umount small
	expect_status 125
	[[ $kept == $'old\n1' ]]
	before=$(vmctl logs web | wc -l)
	eventually has_lines web $((before + 2))
}

@test "links are followed, and what is saved again can be restored" {
	go_aside
	counting web
	mkdir there
	echo old >there/file
	ln -s there/file link
	vmctl save web link
	[[ -L link && $(stat -c %s there/file) -gt 100 ]]
	# What web was made from is now a part of a snapshot.
	eventually has_only 1 1
	vm save web again
	expect_status 0
	vm restore --name copy again
	expect_status 0
	eventually has_lines copy 2
}

@test "images are saved and loaded" {
	go_aside
	vmctl image load --name web "$BATS_TEST_DIRNAME/../../build/guests/primes"
	vm save web web.mayfly
	expect_status 0
	vm image load --name other web.mayfly
	expect_status 0
	vmctl image inspect web other | jq -e \
		'map({bytes, memory_min, memory_default, "label": .label, cpu_level}) | .[0] == .[1]'
	[[ $(vmctl run other -- 20) == "$(vmctl run web -- 20)" ]]
	vm image load web.mayfly
	expect_status 0
	vmctl image inspect web.mayfly
	vm image load --name web web.mayfly
	expect_status 1
	expect_error "vmctl: image load: another image is called web"
	vm image load -f --name web web.mayfly
	expect_status 0
	vm image load -m 16M --name more web.mayfly
	expect_status 2
	vm save --stop web x
	expect_status 2
}

@test "an image that needs the same TSC says so wherever it goes" {
	go_aside
	vmctl image load --same-tsc --name steady "$BATS_TEST_DIRNAME/../../build/guests/hello"
	vmctl spawn -q --name web steady >/dev/null
	eventually has_state web parked
	vmctl snapshot web warm
	vmctl save web web.mayfly
	vmctl image load --name loaded web.mayfly
	vmctl image inspect steady warm loaded | jq -e 'map(.same_tsc) == [true, true, true] and map(.snapshot) == [false, true, true]'
	vm image load --same-tsc web.mayfly
	expect_status 2
}

@test "what is no saved image, or damaged, is refused, and nothing is made" {
	go_aside
	counting web
	vmctl save web good
	vmctl rm -f web
	eventually holds_nothing
	head -c 200 good >short
	head -c 5 good >tiny
	{ cat good; echo; } >long
	cp good flipped
	middle=$(($(stat -c %s good) / 2))
	byte=$(od -An -tu1 -j "$middle" -N 1 good)
	# shellcheck disable=SC2059
	printf "\\x$(printf %x $((byte ^ 1)))" | dd of=flipped bs=1 seek="$middle" conv=notrunc status=none
	cp good newer
	printf '\2' | dd of=newer bs=1 seek=8 conv=notrunc status=none
	echo "no image" >text
	: >empty
	refused()
	{
		vm restore "$1"
		expect_status 126
		expect_error "vmctl: restore: $1: $2"
	}
	refused short "ends too early"
	refused tiny "not a saved image"
	refused long "has something behind its end"
	refused flipped "damaged"
	refused newer "of format 2; this vmctl knows 1"
	refused text "not a saved image"
	refused empty "not a saved image"
	refused . "Is a directory"
	vm_without_image restore nothing
	expect_error "vmctl: restore: nothing: No such file or directory"
	vm restore - <short
	expect_status 126
	vm restore
	expect_status 2
	vm save web
	expect_status 2
	vm save nobody x
	expect_status 1
	expect_error "vmctl: save: nobody: no such VM or image"
	holds_nothing
}

# However far it came: web goes on, or its file is complete.
@test "SIGKILL of save at any moment" {
	go_aside
	for i in {1..20}; do
		vmctl spawn -q --name web >/dev/null
		eventually has_state web parked
		in_background vmctl save --stop web web.mayfly
		sleep "0.0$(printf %02d $((2 * i)))"
		kill -KILL "$pid" || true
		wait "$pid" || true
		if [[ -e web.mayfly ]]; then
			vmctl restore -q --name copy web.mayfly >/dev/null
			vmctl rm -f copy
		else
			eventually has_state web parked
		fi
		vmctl rm -f web
		rm -f web.mayfly*
	done
}

@test "SIGKILL of restore at any byte leaves nothing" {
	go_aside
	counting web
	vmctl save web web.mayfly
	vmctl rm -f web
	eventually holds_nothing
	mkfifo slow
	for bytes in 0 5 16 200 1000 $(($(stat -c %s web.mayfly) - 1)); do
		in_background vmctl restore slow
		exec {to}>slow
		head -c "$bytes" web.mayfly >&"$to"
		sleep 0.2 # however far it comes
		kill -KILL "$pid"
		wait "$pid" || true
		exec {to}>&-
		eventually holds_nothing
	done
}

@test "restored VMs share pages with an image that is there" {
	go_aside
	vmctl image load --name web "$BATS_TEST_DIRNAME/../../build/guests/daytime"
	counting other
	vmctl spawn -q --name one web >/dev/null
	eventually has_lines one 1
	vmctl save one one.mayfly
	vmctl rm -f one other
	base=$(vmctl image inspect web | jq '.[0].id')
	vmctl restore -q --name two one.mayfly >/dev/null
	vmctl image inspect "$(field two image_id)" | jq -e --argjson base "$base" '.[0].parent == $base'
	# In another one it would be only alike.
	[[ $(vmctl image inspect "$(field two image_id)" | jq '.[0].bytes') -lt $(vmctl image inspect web | jq '.[0].bytes + 8192') ]]
}
